from pathlib import Path

import msgspec
import pytest

from core.catalog import shopify_table
from core.catalog.shopify import (
    CsvError,
    ImportedProduct,
    ImportedSku,
    ParsedCatalog,
    parse,
    render,
)

HEADER = (
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,"
    "Option2 Value,Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,"
    "Variant Price,Variant Compare At Price,Variant Barcode,Image Src,Image Position,Image Alt Text,"
    "Variant Image,Variant Weight Unit,Status,SEO Title,Cost per item"
)
COLUMNS = HEADER.split(",")
REAL = [
    path
    for path in (
        Path("/work/shared/data/shopify-apparel.csv"),
        Path(__file__).parents[4] / "shared/data/shopify-apparel.csv",
    )
    if path.exists()
]


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def row(**cells: str) -> str:
    """One line by column name, blanks and brackets left out: `VariantPrice="1"`."""
    names = {"".join(filter(str.isalnum, column)): column for column in COLUMNS}
    by_column = {names[key]: value for key, value in cells.items()}
    return ",".join(quoted(by_column.get(column, "")) for column in COLUMNS)


def one(**cells: str) -> str:
    return row(**{"Handle": "a", "Title": "A", "VariantPrice": "1", **cells})


def read(*rows: str, header: str = HEADER) -> ParsedCatalog:
    return parse("\n".join([header, *rows]).encode())


def codes(catalog: ParsedCatalog) -> list[tuple[int, str]]:
    return [(refusal.line, refusal.code) for refusal in catalog.refused]


def without_lines(products: tuple[ImportedProduct, ...]) -> list[ImportedProduct]:
    replace = msgspec.structs.replace
    return [
        replace(product, line=0, skus=tuple(replace(sku, line=0) for sku in product.skus))
        for product in products
    ]


def test_a_file_like_shopifys_sample_is_read() -> None:
    catalog = read(
        row(
            Handle="ocean-blue-shirt", Title="Ocean Blue Shirt", BodyHTML="Blue cotton. ",
            Vendor="demo", Tags="men", Published="true", Option1Name="Title", Option1Value="Default Title",
            VariantGrams="0", VariantInventoryQty="1", VariantPrice="50",
            ImageSrc="https://a.cn/1.jpg", ImagePosition="1", VariantWeightUnit="kg",
        ),
        row(
            Handle="varsity-top", Title="Varsity Top", Option1Name="Size", Option1Value="Small",
            VariantPrice="60", SEOTitle="Top",
        ),
        row(Handle="varsity-top", Option1Value="Medium", VariantPrice="60.5"),
    )  # fmt: skip
    assert catalog.refused == ()
    shirt, top = catalog.products
    assert (shirt.line, shirt.title, shirt.description) == (2, "Ocean Blue Shirt", "Blue cotton.")
    assert (shirt.spec_names, shirt.tags, shirt.status) == ((), ("men",), "listed")
    assert shirt.images == ("https://a.cn/1.jpg",)
    assert shirt.skus == (
        ImportedSku(
            2, None, (), 5000, None, 0, 1, None, None, tracked=False, extra={"Variant Weight Unit": "kg"}
        ),
    )
    assert (top.spec_names, top.extra) == (("Size",), {"SEO Title": "Top"})
    assert [(sku.line, sku.specs, sku.price) for sku in top.skus] == [
        (3, ("Small",), 6000),
        (4, ("Medium",), 6050),
    ]


@pytest.mark.parametrize("path", REAL[:1])
def test_the_sample_of_shopify_is_taken_whole_and_comes_back(path: Path) -> None:
    catalog = parse(path.read_bytes())
    assert (len(catalog.products), sum(len(product.skus) for product in catalog.products)) == (20, 22)
    assert catalog.refused == ()
    assert without_lines(parse(render(catalog.products)).products) == without_lines(catalog.products)


def test_the_names_of_the_2025_template_are_read_in_any_case() -> None:
    header = (
        "TITLE,url handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,"
        "Barcode,Option1 name,Option1 value,Price,Compare-at price,Inventory tracker,Inventory quantity,"
        "Continue selling when out of stock,Weight value (grams),Weight unit for display,Product image URL,"
        "Image position,Variant image URL,Cost per item"
    )
    line = (
        'T,h,<p>d</p>,v,Food > Base,火锅,"a, b，c",TRUE,Active,S1,\'0123,Size,L,19.9,25,shopify,'
        "7,TRUE,12.5,g,https://a.cn/i.png,1,https://a.cn/v.png,3"
    )
    (product,) = read(line, header=header).products
    assert product == ImportedProduct(
        2, "h", "T", "<p>d</p>", "v", "火锅", ("a", "b", "c"), "listed", ("https://a.cn/i.png",), ("Size",),
        (
            ImportedSku(
                2, "S1", ("L",), 1990, 2500, 13, 7, "0123", "https://a.cn/v.png", tracked=True,
                extra={
                    "Variant Inventory Policy": "continue", "Variant Weight Unit": "g", "Cost per item": "3"
                },
            ),
        ),
        {"Product Category": "Food > Base"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("price", "code"),
    [
        *(("19.999", "bad_price"), ("abc", "bad_price"), ("-1", "bad_price"), ("NaN", "bad_price")),
        *(
            ("1e9999", "bad_price"),
            ("1,5", "bad_price"),
            ("", "no_price"),
            ("10000000.01", "price_too_large"),
        ),
    ],
)
def test_a_price_that_is_none_refuses_its_row_only(price: str, code: str) -> None:
    catalog = read(
        one(Option1Name="S", Option1Value="1"),
        row(Handle="a", Option1Value="2", VariantPrice=price),
        row(Handle="a", Option1Value="3", VariantPrice="10000000"),
    )
    assert codes(catalog) == [(3, code)]
    assert [sku.price for sku in catalog.products[0].skus] == [100, 1_000_000_000]


@pytest.mark.parametrize(("compare", "list_price"), [("", None), ("1", None), ("0.5", None), ("1.01", 101)])
def test_a_list_price_is_higher_than_the_price(compare: str, list_price: int | None) -> None:
    assert read(one(VariantCompareAtPrice=compare)).products[0].skus[0].list_price == list_price


@pytest.mark.parametrize(
    ("tracker", "quantity", "tracked", "on_hand"),
    [("", "", False, 0), ("", "5", False, 5), ("shopify", "-3", True, 0), ("shopify", "12.0", True, 12)],
)
def test_stock(tracker: str, quantity: str, tracked: bool, on_hand: int) -> None:
    sku = read(one(VariantInventoryTracker=tracker, VariantInventoryQty=quantity)).products[0].skus[0]
    assert (sku.tracked, sku.on_hand) == (tracked, on_hand)


def test_a_foreign_tracker_is_kept() -> None:
    catalog = read(one(VariantInventoryTracker="shipwire"))
    assert catalog.products[0].skus[0].extra == {"Variant Inventory Tracker": "shipwire"}
    assert without_lines(parse(render(catalog.products)).products) == without_lines(catalog.products)


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"VariantInventoryQty": "1.5"}, "bad_quantity"),
        ({"VariantInventoryQty": "many"}, "bad_quantity"),
        ({"VariantInventoryQty": "9999999999"}, "bad_quantity"),
        ({"VariantGrams": "-1"}, "bad_weight"),
        ({"VariantGrams": "1e9"}, "bad_weight"),
        ({"VariantSKU": "x" * 256}, "too_long"),
        ({"Option2Value": "x"}, "option_without_name"),
        ({"Option1Name": "Size"}, "no_option"),
    ],
)
def test_a_bad_row_is_refused_and_a_product_without_sku_too(cells: dict[str, str], code: str) -> None:
    catalog = read(one(**cells))
    assert codes(catalog) == [(2, code), (2, "no_sku")]
    assert catalog.products == ()


@pytest.mark.parametrize(
    ("weight", "unit", "grams"), [("1.5", "kg", 1500), ("2", "lb", 907), ("3", "oz", 85), ("9.5", "", 10)]
)
def test_a_weight_in_another_unit_becomes_grams(weight: str, unit: str, grams: int) -> None:
    header = "Handle,Title,Variant Price,Variant Weight,Variant Weight Unit"
    assert read(f"a,A,1,{weight},{unit}", header=header).products[0].skus[0].weight_g == grams


def test_grams_are_grams_whatever_the_unit_for_display() -> None:
    assert read(one(VariantGrams="250.5", VariantWeightUnit="kg")).products[0].skus[0].weight_g == 251


@pytest.mark.parametrize(
    ("published", "state", "expected"),
    [
        *(
            ("", "", "listed"),
            ("TRUE", "Active", "listed"),
            ("false", "", "delisted"),
            ("true", "draft", "draft"),
        ),
        *(("true", "archived", "delisted"), ("", "unlisted", "delisted"), ("否", "", "delisted")),
    ],
)
def test_states(published: str, state: str, expected: str) -> None:
    assert read(one(Published=published, Status=state)).products[0].status == expected


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"Title": ""}, "no_title"),
        ({"Title": "x" * 256}, "too_long"),
        ({"Status": "sold"}, "bad_status"),
        ({"Published": "maybe"}, "bad_published"),
        ({"Tags": "x" * 256}, "too_long"),
        ({"BodyHTML": "&" * 30_000}, "too_long"),
        ({"Option1Name": "Size", "Option2Name": "size"}, "duplicate_option_name"),
    ],
)
def test_a_bad_first_row_refuses_all_rows_of_the_product(cells: dict[str, str], code: str) -> None:
    catalog = read(one(**cells), row(Handle="a", VariantPrice="2"), one(Handle="b"))
    assert codes(catalog) == [(2, code), (3, "product_refused")]
    assert [product.handle for product in catalog.products] == ["b"]


def test_rows_without_handle_or_content_are_refused() -> None:
    catalog = read(one(Handle=""), one(), row(Handle="a", Vendor="x"), "", ",,,", one(Handle="x" * 256))
    assert codes(catalog) == [(2, "no_handle"), (4, "empty_row"), (7, "too_long")]
    assert len(catalog.products) == 1


def test_a_handle_in_two_places_is_one_product() -> None:
    catalog = read(
        one(Option1Name="Size", Option1Value="S"),
        one(Handle="b"),
        one(Handle=" A ", Title="Other", Option1Value="M"),
    )
    assert codes(catalog) == []
    first = catalog.products[0]
    assert (first.title, [sku.specs for sku in first.skus]) == ("A", [("S",), ("M",)])


def test_the_same_options_twice_are_refused() -> None:
    catalog = read(
        one(Option1Name="Size", Option1Value="S"), row(Handle="a", Option1Value="s", VariantPrice="2")
    )
    assert codes(catalog) == [(3, "duplicate_option")]
    assert codes(read(one(), row(Handle="a", VariantPrice="2"))) == [(3, "duplicate_option")]


def test_an_option_called_title_with_real_values_is_a_choice() -> None:
    catalog = read(
        one(Option1Name="Title", Option1Value="Large"), row(Handle="a", Option1Value="S", VariantPrice="2")
    )
    assert catalog.products[0].spec_names == ("Title",)


def test_images_come_by_position_also_from_rows_of_their_own() -> None:
    catalog = read(
        one(ImageSrc="https://a.cn/2", ImagePosition="2", ImageAltText="two"),
        row(Handle="a", ImageSrc="https://a.cn/last"),
        row(Handle="a", ImageSrc="/static/demo/1.svg", ImagePosition="1", ImageAltText="one"),
        row(Handle="a", ImageSrc="https://a.cn/2", ImagePosition="9"),
        row(Handle="a", ImageSrc="http://a.cn/plain"),
        row(Handle="a", ImageSrc="javascript:alert(1)"),
    )
    assert codes(catalog) == [(6, "bad_image"), (7, "bad_image")]
    (product,) = catalog.products
    assert product.images == ("/static/demo/1.svg", "https://a.cn/2", "https://a.cn/last")
    assert product.extra == {"Image Alt Text": "one"}
    assert without_lines(parse(render([product])).products) == without_lines((product,))


def test_a_bad_variant_image_is_refused_but_its_row_is_not() -> None:
    catalog = read(one(VariantImage="ftp://x"))
    assert codes(catalog) == [(2, "bad_image")]
    assert catalog.products[0].skus[0].image is None


def test_bodies_are_sanitised_and_lines_counted_as_in_the_file() -> None:
    catalog = read(
        one(BodyHTML='<p onclick="x">a\r\nb</p>\n<script>alert(1)</script>'), row(Handle="", Title="x")
    )
    assert catalog.products[0].description == "<p>a\nb</p>"
    assert codes(catalog) == [(5, "no_handle")]


def test_long_rows_are_refused_and_short_ones_filled() -> None:
    header = "Handle,Title,Variant Price,Variant SKU"
    catalog = read("a,A,1", "b,B,1,s,extra", "c,C,1,s,, ", header=header)
    assert codes(catalog) == [(3, "too_many_cells")]
    assert [product.handle for product in catalog.products] == ["a", "c"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_encodings_and_line_ends(encoding: str, end: str) -> None:
    text = end.join(["Handle,Title,Variant Price", "a,重庆火锅底料,1", "b,,1", ""])
    catalog = parse(text.encode(encoding))
    assert catalog.products[0].title == "重庆火锅底料"
    assert codes(catalog) == [(3, "no_title")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"Handle,Title\n", "missing_columns"),
        (b"Handle;Title;Variant Price\n", "missing_columns"),
        (b"Handle,Title,Variant Price\na,\x00,1", "encoding"),
        ("Handle,Title,Variant Price\n".encode("utf-16"), "encoding"),
        (b"Handle,Title,Variant Price\n\xff\xff,x,1", "encoding"),
        (b'Handle,Title,Variant Price\na,"A,1\nb,B,1\n', "malformed"),
        (b'Handle,Title,Variant Price\na,"A"x,1\n', "malformed"),
        (b"Handle,Title,Variant Price\na," + b"x" * 140_000 + b",1\n", "malformed"),
        (b"Handle,Title,Variant Price" + b",x" * 1000, "too_many_columns"),
        (b"x" * (20 * 1024 * 1024 + 1), "too_large"),
        (b"Handle,Title,Variant Price\n" + b"a,A,1\n" * 50_001, "too_many_rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_read_says_why(data: bytes, code: str) -> None:
    with pytest.raises(CsvError) as caught:
        parse(data)
    assert caught.value.code == code


def test_a_header_alone_is_an_empty_catalog() -> None:
    assert parse(b"Handle,Title,Variant Price") == ParsedCatalog((), ())
    assert parse(render([])) == ParsedCatalog((), ())


def test_values_that_look_like_formulas_come_back_unchanged() -> None:
    (product,) = read(one(Title="=1+1", VariantSKU="-7", Vendor="@x")).products
    (again,) = parse(render([product])).products
    assert (again.title, again.skus[0].code, again.vendor) == ("=1+1", "-7", "@x")


def test_the_written_columns_are_all_known() -> None:
    header = render([]).decode().strip().split(",")
    assert header == list(shopify_table.BASE_COLUMNS)
