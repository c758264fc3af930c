"""Whatever is in the file, and whatever is written: properties of Shopify's CSV."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from core.catalog.shopify import CsvError, ImportedProduct, ImportedSku, ParsedCatalog, Status, parse, render
from core.catalog.shopify_table import BASE_COLUMNS
from core.kit.html import sanitise


def attempt(data: bytes) -> tuple[ParsedCatalog, str]:
    """What was read and "", or nothing and the code of the error."""
    try:
        return parse(data), ""
    except CsvError as error:
        return ParsedCatalog((), ()), error.code


def without_lines(products: tuple[ImportedProduct, ...]) -> list[ImportedProduct]:
    replace = msgspec.structs.replace
    return [
        replace(product, line=0, skus=tuple(replace(sku, line=0) for sku in product.skus))
        for product in products
    ]


TEXT = st.text(st.characters(exclude_categories=["C"]) | st.sampled_from("\"',\n;=火"), max_size=12)
LINE = TEXT.map(lambda text: " ".join(text.split()))
NAMED = LINE.filter(bool)
NAME = NAMED.filter(lambda name: name.casefold() != "title")
CODE = st.none() | NAMED.filter(lambda code: not code.startswith("'"))
TAG = LINE.map(lambda tag: " ".join(tag.replace(",", "").replace("，", "").split())).filter(bool)
URL = st.from_regex(r"(https://[a-z]{1,5}\.cn|/static)/[a-z0-9]{1,5}", fullmatch=True)
VALUE = TEXT.map(str.strip).filter(bool)
PRICE = st.integers(0, 1_000_000_000)
STATES: list[Status] = ["listed", "delisted", "draft"]


def by_name(names: list[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(st.sampled_from(names), VALUE, max_size=3)


@st.composite
def skus(draw: st.DrawFn, specs: tuple[str, ...]) -> ImportedSku:
    price = draw(PRICE)
    higher = st.none() if price == 1_000_000_000 else st.none() | st.integers(price + 1, 1_000_000_000)
    return ImportedSku(
        0, draw(CODE), specs, price, draw(higher), draw(st.integers(0, 10_000_000)),
        draw(st.integers(0, 1_000_000_000)), draw(CODE), draw(st.none() | URL), draw(st.booleans()),
        draw(by_name(["Cost per item", "Variant Tax Code", "Unit Price Base Measure", "Variant Note"])),
    )  # fmt: skip


@st.composite
def products(draw: st.DrawFn) -> ImportedProduct:
    names = draw(st.lists(NAME, max_size=3, unique_by=str.casefold))
    values = st.tuples(*[NAMED for _ in names])
    combinations = st.lists(
        values, min_size=1, max_size=4, unique_by=lambda some: tuple(map(str.casefold, some))
    )
    chosen = draw(combinations) if names else [()]
    return ImportedProduct(
        0, draw(st.from_regex(r"[a-z0-9火]{1,6}(-[a-z0-9]{1,3})?", fullmatch=True)), draw(NAMED),
        sanitise(draw(TEXT | st.just("<p>a <b>b</b></p>"))), draw(LINE), draw(LINE),
        tuple(draw(st.lists(TAG, max_size=4, unique=True))), draw(st.sampled_from(STATES)),
        tuple(draw(st.lists(URL, max_size=5, unique=True))), tuple(names),
        tuple(draw(skus(specs)) for specs in chosen),
        draw(by_name(["SEO Title", "Gift Card", "Product Category", "Google Shopping / MPN", "配料"])),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(products(), max_size=4, unique_by=lambda product: product.handle))
def test_what_is_written_is_read_back_the_same(some: list[ImportedProduct]) -> None:
    catalog = parse(render(some))
    assert catalog.refused == ()
    assert without_lines(catalog.products) == some


CELL = st.sampled_from(
    [
        "",
        "a",
        "b",
        "1",
        "-1",
        "1e9",
        "NaN",
        "Title",
        "Default Title",
        "https://a.cn/x",
        "<b>",
        "是",
        "draft",
        '"',
        "\n",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(CELL | st.text(max_size=3), max_size=len(BASE_COLUMNS) + 1), max_size=8))
def test_rubbish_never_breaks_the_import_and_what_is_left_is_stable(table: list[list[str]]) -> None:
    rows = [",".join('"' + cell.replace('"', '""') + '"' for cell in ["a", *cells]) for cells in table]
    data = "\n".join([",".join(BASE_COLUMNS), *rows]).encode("utf-8", "replace")
    catalog, code = attempt(data)
    assert code in {"", "encoding"}
    for product in catalog.products:
        assert product.skus
        assert all(len(sku.specs) == len(product.spec_names) for sku in product.skus)
    assert all(refusal.line >= 2 for refusal in catalog.refused)
    assert parse(render(catalog.products)).refused == ()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_catalog_or_a_csv_error(data: bytes) -> None:
    for some in (data, b"Handle,Title,Variant Price\n" + data):
        assert attempt(some)[1] in {"", "empty", "encoding", "malformed", "missing_columns"}
