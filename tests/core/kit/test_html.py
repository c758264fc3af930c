import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kit.html import MAX_DEPTH, safe_image, safe_link, sanitise

PIECES = st.sampled_from(
    [
        *(
            "<p>",
            "</p>",
            "<b>",
            "</b>",
            "<li>",
            "<table>",
            "<td colspan=2>",
            "<br/>",
            "<IMG SRC='https://a.cn/b'",
        ),
        *(
            "<script>",
            "</script>",
            "<SCRIPT",
            "<style>",
            "</style ",
            "<svg onload=alert(1)>",
            "<!--",
            "-->",
            "<!",
        ),
        *(
            "<?",
            "<![CDATA[",
            "]]>",
            "<",
            ">",
            "&",
            "&lt;",
            "&amp;lt;",
            "&#60;",
            "&#0;",
            "&#13;",
            "&#x8;",
            "'",
            '"',
        ),
        *(
            "<a href=",
            '"https://a.cn/?b&c"',
            "javascript:alert(1)",
            " onclick=alert(1)",
            "=",
            "/",
            " ",
            "\r\n",
        ),
        *(
            "\x00",
            "<a href='java\nscript:x'>",
            "</a>",
            "<iframe src=//x>",
            "火锅",
            "x",
            "</",
            "<x:y>",
            "<b\x0c",
        ),
    ]
)
RUBBISH = st.lists(PIECES | st.text(max_size=4), max_size=30).map("".join)
TAG = re.compile(
    r"</?(?:p|b|strong|i|em|[uo]l|li|h[1-6]|span|div|table|caption|thead|tbody|tfoot|tr|br)>|</(?:a|td|th)>"
    r'|<t[dh](?: colspan="\d{1,3}")?(?: rowspan="\d{1,3}")?>'
    r'|<a href="https://[^"<>\s]+" rel="nofollow noopener">'
    r'|<img src="(?:https:/|/static)/[^"<>\s]+" alt="[^"<>]*">',
    re.IGNORECASE,
)


class _Nesting(HTMLParser):
    """A second opinion: every end tag closes what was opened last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)
        if tag not in {"br", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@given(RUBBISH)
def test_of_rubbish_only_allowed_tags_are_left_and_cleaning_again_changes_nothing(rubbish: str) -> None:
    safe = sanitise(rubbish)
    assert not set(TAG.sub("", safe)) & set("<>\x00\r")
    assert sanitise(safe) == safe
    nesting = _Nesting()
    nesting.feed(safe)
    nesting.close()
    assert nesting.open == []


@pytest.mark.parametrize(
    ("dirty", "safe"),
    [
        ("plain 1 < 2 & 3", "plain 1 &lt; 2 &amp; 3"),
        ("<p>一<b>二</b></p>", "<p>一<b>二</b></p>"),
        ("<p onclick=x style='a'>hi", "<p>hi</p>"),
        ("a<script>alert('<p>')</script >b", "ab"),
        ("a<SCRIPT>never closed", "a"),
        ("<scr<script></script>ipt>x", "ipt&gt;x"),
        ("a<style>p{}</style><!-- c -->b<![if x]>c", "abc"),
        ("<<!-- -->!-- x", "&lt;!-- x"),
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
        ("<font color=red>x</font>", "x"),
        ("<a href='javascript:x'>t</a>", "t"),
        ("<a href='&#106;avascript:x'>t</a>", "t"),
        (
            "<a href='https://a.cn/?x=1&y=2' target=_blank>t</a>",
            '<a href="https://a.cn/?x=1&amp;y=2" rel="nofollow noopener">t</a>',
        ),
        ("<img src=http://a.cn/b.png>", ""),
        ("<img src=/static/a.svg alt='\"x\"' onerror=x>", '<img src="/static/a.svg" alt="&quot;x&quot;">'),
        ("<td colspan=2 rowspan='9999'>x</td>", '<td colspan="2">x</td>'),
        ("<p title='>'>x", "<p>x</p>"),
        ("<p>it ends <b", "<p>it ends </p>"),
        ("&lt;script&gt;", "&lt;script&gt;"),
        ("  \n x \n ", "x"),
    ],
)
def test_cleaning_by_example(dirty: str, safe: str) -> None:
    assert sanitise(dirty) == safe


def test_depth_is_bounded() -> None:
    assert sanitise("<div>" * 5000 + "x").count("<div>") == MAX_DEPTH


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<!--", "<script>", "</script", "<a href='", '<b x="', "&#1", "<p>"]
)
def test_time_is_linear_in_hostile_input(piece: str) -> None:
    started = time.perf_counter()
    sanitise(piece * (200_000 // len(piece)))
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://a.cn",
            "javascript:alert(1)",
            "//a.cn/x",
            "https:///x",
            "https://u:p@a.cn",
            "https://a.cn/ b",
        ),
        *(
            'https://a.cn/"x',
            "https://a.cn:x/",
            "https://[a",
            "data:image/png,x",
            "",
            "https://a.cn/" + "x" * 2048,
        ),
    ],
)
def test_unsafe_addresses_are_refused(url: str) -> None:
    assert safe_link(url) is None
    assert safe_image(url) is None


@pytest.mark.parametrize(
    "path",
    ["/static/../x", "/static/%2e%2e/x", "/static//x", "/static/a\\..\\b", "/static/", "/etc", "/static/a b"],
)
def test_image_paths_stay_below_static(path: str) -> None:
    assert safe_image(path) is None


def test_safe_addresses_pass() -> None:
    assert safe_link("https://a.cn:8443/x?y=1#z") == "https://a.cn:8443/x?y=1#z"
    assert safe_image("/static/demo/a.svg") == "/static/demo/a.svg"
    assert safe_link("/static/demo/a.svg") is None
