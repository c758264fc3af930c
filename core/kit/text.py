"""Text as it is stored and searched: cleaning, and the grams of the Chinese and English search index."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

MAX_QUERY_GRAMS = 32
MIN_PREFIX = 2
MAX_PREFIX = 12

_CJK = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"([{_CJK}]+)|((?:(?![{_CJK}])[^\\W_])+)")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Line ends become "\\n"; control characters other than tab and newline go (PostgreSQL stores no NUL)."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def normalise(text: str) -> str:
    """The form that search compares: full-width and half-width, upper and lower case are the same."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Each run of letters or digits in the normalised text, and whether it is written without spaces."""
    for match in _RUN.finditer(normalise(text)):
        yield match[0], match[1] is not None


def _pairs(run: str) -> list[str]:
    return [run[index : index + 2] for index in range(len(run) - 1)]


def _first(grams: Iterable[str], limit: int) -> list[str]:
    return list(dict.fromkeys(grams))[:limit]


def grams(text: str, *, limit: int = 400) -> list[str]:
    """The grams under which `text` is found, distinct, at most `limit`.

    A run of Chinese (Japanese, Korean) gives its bigrams and single characters; any other word its prefixes
    of 2 to 12 characters (a word of one character: itself). If there are more than `limit`, single
    characters are dropped first, then prefixes: what longer queries ask for stays longest.
    """
    pairs: list[str] = []
    words: list[str] = []
    prefixes: list[str] = []
    singles: list[str] = []
    for run, is_cjk in _runs(text):
        if is_cjk:
            pairs += _pairs(run)
            singles += run
        else:
            words.append(run[:MAX_PREFIX])
            prefixes += [run[:size] for size in range(MIN_PREFIX, min(len(run), MAX_PREFIX))]
    return _first([*pairs, *words, *prefixes, *singles], limit)


def query_grams(text: str) -> list[str]:
    """The grams a hit must have all of (`grams @> query_grams`), distinct, at most 32.

    A run of Chinese asks for its bigrams, a single character for itself, a word for being a prefix (of which
    the first 12 characters count). Empty if nothing in `text` can be searched for: the caller must not take
    that for a query, since every row contains the empty set.
    """
    wanted: list[str] = []
    for run, is_cjk in _runs(text):
        if is_cjk:
            wanted += _pairs(run) or [run]
        else:
            wanted.append(run[:MAX_PREFIX])
    return _first(wanted, MAX_QUERY_GRAMS)
