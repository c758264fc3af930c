"""Markup written by strangers: what of it may be shown.

Everything is parsed and written anew from a short list of harmless tags and attributes; nothing of the input
is copied through. So the answer is well nested, and cleaning it again changes nothing.

The tokens are read by patterns of our own that never go back, in linear time: the standard library's
`HTMLParser` takes seconds for 30 kB of unclosed tags and raises on some declarations.
"""

import re
from html import escape, unescape
from urllib.parse import unquote, urlsplit

from core.kit.text import clean

MAX_DEPTH = 64
MAX_URL = 2048

_TABLE = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
_VOID = {"br", "img"}
_TAGS = {"p", "br", "b", "strong", "i", "em", "ul", "ol", "li", "img", "a", "span", "div", *_TABLE} | {
    f"h{level}" for level in range(1, 7)
}
# What stands inside them is code or fallback, not prose: it goes with the tag.
_SILENT = {
    *("script", "style", "template", "noscript", "iframe", "object", "noembed", "noframes"),
    *("svg", "math", "title", "head", "select", "textarea"),
}
# A second one right inside the first means that the end tag was left out.
_SELF_CLOSING = {"p", "li", "tr", "td", "th"}
_TAG = re.compile(
    r"<(?P<end>/?)(?P<name>[a-zA-Z][^\s/>]*+)(?P<rest>(?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+)>"
)
_ATTRIBUTE = re.compile(r"([^\s/>=]++)(?:\s*+=\s*+(\"[^\"]*+\"|'[^']*+'|[^\s>]*+))?+")
_SPAN = re.compile(r"[0-9]{1,3}")
_TAG_START = re.compile(r"<(?:[!?]|/?[a-zA-Z])")
_BAD_IN_URL = set("\"'<>\\`{}|^") | {chr(code) for code in range(0x21)} | {"\x7f"}


def safe_link(url: str) -> str | None:
    """`url` if it is an https address with a host and without credentials, else None."""
    if len(url) > MAX_URL or any(char in _BAD_IN_URL or char.isspace() for char in url):
        return None
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and "@" not in parts.netloc
        parts.port  # noqa: B018 -- reading it is what checks it
    except ValueError:
        return None
    return url if parts.scheme == "https" and has_host else None


def safe_image(url: str) -> str | None:
    """`url` if it is an https address or a path below `/static/` of this site, else None."""
    if not url.startswith("/static/"):
        return safe_link(url)
    if len(url) > MAX_URL or any(char in _BAD_IN_URL or char.isspace() for char in url):
        return None
    segments = unquote(url).replace("\\", "/").split("/")
    return None if ".." in segments or "" in segments[1:] else url


def sanitise(html: str) -> str:
    """`html` reduced to a short list of tags, well nested, trimmed; text is kept, scripts and styles are not.

    Left are paragraphs, headings, lists, tables, emphasis, `img` with a safe `src` and `alt`, `a` with an
    https `href`. No other attribute survives, so no handler, style, id or class does. Idempotent.
    """
    html = clean(html)
    writer = _Writer()
    position = 0
    while start := _TAG_START.search(html, position):
        writer.text(html[position : start.start()])
        position = _skip_or_write(html, start, writer)
    writer.text(html[position:])
    return writer.finish()


def _skip_or_write(html: str, start: re.Match[str], writer: "_Writer") -> int:
    """Handles the tag or comment at `start`; returns where the text goes on (what never ends eats it)."""
    at = start.start()
    if start[0] in {"<!", "<?"}:
        closing = "-->" if html.startswith("<!--", at) else ">"
        return _after(html, closing, at + 2)
    tag = _TAG.match(html, at)
    if tag is None:
        return len(html)
    name = tag["name"].lower()
    if tag["end"]:
        writer.end(name)
    elif name in _SILENT:
        closing_tag = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(html, tag.end())
        return len(html) if closing_tag is None else _after(html, ">", closing_tag.end())
    else:
        writer.start(name, tag["rest"])
    return tag.end()


def _after(html: str, closing: str, position: int) -> int:
    found = html.find(closing, position)
    return len(html) if found < 0 else found + len(closing)


class _Writer:
    """Writes allowed tags and escaped text, and closes what was left open."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._open: list[str] = []

    def text(self, raw: str) -> None:
        self._out.append(escape(clean(unescape(raw)), quote=False))

    def start(self, tag: str, rest: str) -> None:
        if tag not in _TAGS or (tag not in _VOID and len(self._open) >= MAX_DEPTH):
            return
        kept = _attributes(tag, rest)
        if kept is None:
            return
        if tag in _SELF_CLOSING and self._open and self._open[-1] == tag:
            self._close(tag)
        self._out.append(f"<{tag}{kept}>")
        if tag not in _VOID:
            self._open.append(tag)

    def end(self, tag: str) -> None:
        if tag in self._open:
            self._close(tag)

    def _close(self, tag: str) -> None:
        while True:
            inner = self._open.pop()
            self._out.append(f"</{inner}>")
            if inner == tag:
                return

    def finish(self) -> str:
        while self._open:
            self._close(self._open[-1])
        return "".join(self._out).strip()


def _attributes(tag: str, rest: str) -> str | None:
    """The attributes to write for `tag`, or None if the tag means nothing without what is missing."""
    if tag not in {"a", "img", "td", "th"}:
        return ""
    given: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(rest):
        value = match[2] or ""
        value = value[1:-1] if value[:1] in {'"', "'"} and value[-1:] == value[:1] else value
        given.setdefault(match[1].lower(), clean(unescape(value)))
    if tag == "a":
        href = safe_link(given.get("href", "").strip())
        return None if href is None else f' href="{escape(href)}" rel="nofollow noopener"'
    if tag == "img":
        src = safe_image(given.get("src", "").strip())
        return None if src is None else f' src="{escape(src)}" alt="{escape(given.get("alt", ""))}"'
    spans = [(name, given.get(name, "")) for name in ("colspan", "rowspan")]
    return "".join(f' {name}="{span}"' for name, span in spans if _SPAN.fullmatch(span))
