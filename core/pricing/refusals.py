"""Words of refusals: why the rules of a plugin do not apply, in English and Chinese. Pure."""

from collections.abc import Mapping

from core.types.pricing import Refused


class Refusals:
    """Name -> a sentence in English and one in Chinese; `{it}` in them is what they speak of.

    A name is the stable code of its refusal unless `codes` has another for it: what one code says in several ways.
    """

    def __init__(self, words: Mapping[str, tuple[str, str]], codes: Mapping[str, str] = {}) -> None:
        self.words, self._codes = words, codes

    def __call__(self, name: str, it: object = "", short: int = 0) -> Refused:
        """The refusal called `name`; `short` is what is missing, in fen. Raises `KeyError` for a name that is none."""
        en, zh = self.words[name]
        return Refused(self._codes.get(name, name), en.format(it=it), short, zh.format(it=it))
