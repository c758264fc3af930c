"""What is checked of plugins at start, and how they become a snapshot."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pytest
import sqlalchemy as sa

from core import hookspecs
from core.api import (
    Basket,
    CommissionTerms,
    NoConfig,
    Paying,
    Permission,
    Phase,
    Placement,
    Plugin,
    PriceRule,
    RuleKind,
    ShippingOption,
    Tx,
    hookimpl,
    metadata,
)
from core.hooks import effect
from core.plugin import PluginError, build, check, discover, in_order
from core.types.events import OrderEvent


class A(Plugin):
    name = "aaa"
    title = "A"
    summary = "a"

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        return []


class B(Plugin):
    name = "bbb"
    title = "B"
    summary = "b"
    requires = ("aaa",)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        return []

    @hookimpl
    async def order_paid(self, tx: Tx, event: OrderEvent) -> None: ...


def _build(*classes: type[Plugin], enabled: Any = None, winding_down: Any = None) -> Any:
    known = {c.name: c for c in classes}
    return build(
        known,
        hookspecs,
        generation=1,
        enabled=enabled or {n: {} for n in known},
        winding_down=winding_down or {},
    )


def test_implementations_are_frozen_in_the_order_of_names() -> None:
    snapshot = _build(B, A)
    assert [n for n, _ in snapshot.hooks.of(hookspecs.price_rules)] == ["aaa", "bbb"]
    assert [n for n, _ in snapshot.hooks.of(hookspecs.order_paid)] == ["bbb"]


def test_a_plugin_that_winds_down_gets_no_new_business_but_finishes_its_own() -> None:
    class Closing(A):
        name = "ccc"

        @hookimpl
        async def order_closing(self, tx: Tx, closing: hookspecs.Closing) -> None: ...

    snapshot = _build(A, Closing, enabled={"aaa": {}}, winding_down={"ccc": {}})
    assert [n for n, _ in snapshot.hooks.of(hookspecs.price_rules)] == ["aaa"]
    assert [n for n, _ in snapshot.hooks.of(hookspecs.order_closing)] == ["ccc"]
    assert snapshot.hooks.find("price_rules", "ccc") is not None


def test_of_orders_only_those_are_asked_who_had_a_part_or_want_all() -> None:
    class Own(A):
        name = "own"

        @hookimpl
        async def order_paying(self, tx: Tx, paying: Paying) -> None: ...

    class Every(A):
        name = "every"

        @hookimpl(every_order=True)
        async def order_paying(self, tx: Tx, paying: Paying) -> None: ...

    hooks = _build(Own, Every).hooks
    for contributors, asked in (((), ["every"]), (("own",), ["every", "own"]), (None, ["every", "own"])):
        assert [n for n, _ in hooks.about(hookspecs.order_paying, contributors)] == asked
    off = _build(A, Own, enabled={"aaa": {}}, winding_down={"own": {}}).hooks
    assert [n for n, _ in off.about(hookspecs.order_paying, ["own"])] == ["own"]


def test_every_order_is_for_hooks_that_ask_who_had_a_part() -> None:
    class Eager(Plugin):
        name = "eager"
        title = summary = ""

        @hookimpl(every_order=True)
        async def order_placing(self, tx: Tx, placement: Placement) -> None: ...

    with pytest.raises(PluginError, match="order_placing has every_order"):
        _build(Eager)


def test_faults_of_hooks_are_named_all_at_once() -> None:
    class Wrong(Plugin):
        name = "wrong"
        title = summary = ""

        @hookimpl
        async def no_such_hook(self, tx: Tx) -> None: ...

        @hookimpl
        def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
            return []

        @hookimpl
        async def shipping_options(self, tx: Tx) -> Sequence[ShippingOption]:
            return []

        @hookimpl
        async def order_paid(self, tx: Tx, event: int) -> None: ...

        async def order_accepted(self, tx: Tx, event: OrderEvent) -> None: ...

    with pytest.raises(PluginError) as refused:
        _build(Wrong)
    text = str(refused.value)
    for part in (
        "no hook no_such_hook",
        "price_rules must be an async function",
        "shipping_options takes",
        "order_paid takes",
        "order_accepted is a hook, mark it",
    ):
        assert part in text, text
    assert "wrong" in text


@pytest.mark.parametrize("option", [{"tryfirst": True}, {"trylast": True}])
def test_pluggys_own_ordering_is_refused(option: dict[str, bool]) -> None:
    import pluggy

    class Pushy(Plugin):
        name = "pushy"
        title = summary = ""

        @pluggy.HookimplMarker("jishi")(**option)
        async def order_paid(self, tx: Tx, event: OrderEvent) -> None: ...

    with pytest.raises(PluginError, match="order comes from phases"):
        _build(Pushy)


def test_an_event_that_a_plugin_declares_can_be_subscribed_to_by_name() -> None:
    @effect
    async def ccc_happened(tx: Tx, event: OrderEvent) -> None:
        """Something happened."""

    class Source(Plugin):
        name = "ccc"
        title = summary = ""
        events: ClassVar[Any] = {"ccc_happened": ccc_happened}

    class Reader(Plugin):
        name = "ddd"
        title = summary = ""

        @hookimpl
        async def ccc_happened(self, tx: Tx, event: OrderEvent) -> None: ...

    assert [n for n, _ in _build(Source, Reader).hooks.of(ccc_happened)] == ["ddd"]


@pytest.mark.parametrize(
    ("attribute", "value", "word"),
    [
        ("permissions", (Permission("x.manage", "merchant", ""),), "Permission x.manage"),
        ("rule_kinds", (RuleKind("x.kind", Phase.SHOP_COUPON, ""),), "Rule kind x.kind"),
        ("events", {"x_event": None}, "Event x_event"),
    ],
)
def test_clashes_name_both_owners(attribute: str, value: object, word: str) -> None:
    first = type("First", (Plugin,), {"name": "first", "title": "", "summary": "", attribute: value})
    second = type("Second", (Plugin,), {"name": "second", "title": "", "summary": "", attribute: value})
    with pytest.raises(PluginError) as refused:
        check([first, second])
    assert word in str(refused.value)
    assert "first" in str(refused.value)
    assert "second" in str(refused.value)


def test_tables_carry_their_owners_name() -> None:
    registry = metadata()
    sa.Table("orders", registry, sa.Column("id", sa.Integer))
    bad = type("Bad", (Plugin,), {"name": "bad", "title": "", "summary": "", "metadata": registry})
    with pytest.raises(PluginError, match="Table orders of plugin bad"):
        check([bad])


def test_only_one_plugin_reckons_commission() -> None:
    class Fees(Plugin):
        name = "fees"
        title = summary = ""

        def commission_provider(self) -> Any:
            return lambda base: CommissionTerms(0, "none")

    other = type("Other", (Fees,), {"name": "other"})
    with pytest.raises(PluginError, match="fees and other"):
        _build(Fees, other)


def test_what_a_plugin_requires_comes_first_or_is_missed_by_name() -> None:
    assert in_order({"aaa": A, "bbb": B}, ["bbb", "aaa"]) == ["aaa", "bbb"]
    with pytest.raises(PluginError, match="bbb requires aaa; enable aaa first"):
        in_order({"aaa": A, "bbb": B}, ["bbb"])
    ring = type("A", (A,), {"requires": ("bbb",)})
    with pytest.raises(PluginError, match="ring"):
        in_order({"aaa": ring, "bbb": B}, ["aaa", "bbb"])
    with pytest.raises(PluginError, match="zzz is not installed"):
        in_order({"aaa": A}, ["zzz"])


def test_configs_are_validated_with_the_field_named() -> None:
    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        rate_bp: int = 5

    class Rated(Plugin):
        name = "rated"
        title = summary = ""

    Rated.Config = Config
    assert _build(Rated, enabled={"rated": {"rate_bp": 7}}).config(Config).rate_bp == 7
    with pytest.raises(PluginError, match=r"Config of rated: .*rate_bp"):
        _build(Rated, enabled={"rated": {"rate_bp": "x"}})
    with pytest.raises(PluginError, match="unknown field"):
        _build(Rated, enabled={"rated": {"other": 1}})
    assert _build(A).config(NoConfig) == NoConfig()


def test_the_built_in_plugins_come_by_the_entry_points() -> None:
    assert {"commission", "coupons", "express_delivery"} <= set(discover())
