from hypothesis import given
from hypothesis import strategies as st

from core.kit.text import clean, grams, query_grams

HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=10)
WORD = st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True)
TITLES = st.lists(HAN | WORD, min_size=1, max_size=8).map(" ".join)


def found(query: str, title: str) -> bool:
    wanted = set(query_grams(query))
    return bool(wanted) and wanted <= set(grams(title))


@given(TITLES, HAN, TITLES, st.data())
def test_any_part_of_a_chinese_run_is_found(before: str, run: str, after: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(run) - 1))
    end = data.draw(st.integers(start + 1, len(run)))
    assert found(run[start:end], f"{before} {run} {after}")


@given(TITLES, st.from_regex(r"[A-Za-z0-9]{2,20}", fullmatch=True), TITLES, st.data())
def test_any_prefix_of_a_word_is_found(before: str, word: str, after: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(2, min(12, len(word))))
    assert found(word[:size], f"{before} {word} {after}")
    assert found(word, f"{before} {word} {after}")


@given(TITLES)
def test_a_title_finds_itself_and_in_capitals(title: str) -> None:
    assert found(title, title)
    assert found(title.upper(), title)


def test_the_form_of_letters_does_not_matter() -> None:
    assert found("ＨＯＴ", "Hotpot 火锅")
    assert found("iphone", "全新IPHONE15手机壳")
    assert found("手机", "全新IPHONE15手机壳")


def test_what_is_not_there_is_not_found() -> None:
    assert not found("锅火", "火锅")
    assert not found("pot", "hotpot")
    assert not found("hotel", "hotpot")
    assert not found("火锅 牛油", "清油火锅")


def test_grams_of_a_title_by_example() -> None:
    assert grams("火锅 base") == ["火锅", "base", "ba", "bas", "火", "锅"]
    assert query_grams("火锅 锅 ba") == ["火锅", "锅", "ba"]


def test_one_chinese_character_and_one_letter_are_queries() -> None:
    assert found("麻", "麻辣")
    assert found("x", "vitamin x")


def test_nothing_to_search_for_gives_no_grams() -> None:
    assert query_grams(" ，。!? \u200b") == []
    assert grams("") == []


@given(st.text(max_size=2000), st.integers(0, 400))
def test_grams_are_distinct_and_bounded(text: str, limit: int) -> None:
    for some, bound in ((grams(text, limit=limit), limit), (query_grams(text), 32)):
        assert len(some) <= bound
        assert len(set(some)) == len(some)
        assert all(1 <= len(gram) <= 12 for gram in some)


def test_single_characters_give_way_first() -> None:
    run = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    assert found(run[100:110], run)
    assert len(grams(run)) == 400


@given(st.text())
def test_clean_text_has_no_control_characters_and_stays_so(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert "\r" not in once
    assert "\x00" not in once
    assert clean("a\r\nb\rc\td") == "a\nb\nc\td"
