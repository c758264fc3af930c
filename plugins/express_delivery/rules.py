"""Carriers and waybill numbers. Pure.

Numbers of different carriers overlap and published patterns contradict each other, so a number is only looked
at for whether it can be one at all.
"""

import re

import msgspec

from core.api import FieldError, Invalid, ParcelDraft, WaybillChange

_WAYBILL = re.compile(r"[A-Za-z0-9-]{6,40}", re.ASCII)


class Carrier(msgspec.Struct, frozen=True):
    """A courier. `aliases` are its codes at WeChat, Kdniao and Kuaidi100, where they differ from ours."""

    code: str
    name: str
    aliases: tuple[str, ...] = ()


CARRIERS = (
    Carrier("sf", "顺丰速运", ("shunfeng",)),
    Carrier("yto", "圆通速递", ("yuantong",)),
    Carrier("zto", "中通快递", ("zhongtong",)),
    Carrier("sto", "申通快递", ("shentong",)),
    Carrier("yunda", "韵达快递", ("yd",)),
    Carrier("jd", "京东物流"),
    Carrier("jt", "极兔速递", ("jtsd", "jtexpress")),
    Carrier("ems", "EMS"),
    Carrier("post", "邮政快递包裹", ("yzpy", "youzhengguonei")),
    Carrier("deppon", "德邦快递", ("dbl", "debangkuaidi")),
    Carrier("best", "百世快递", ("htky", "huitongkuaidi")),
    Carrier("zjs", "宅急送", ("zhaijisong",)),
)

_KNOWN = {code: carrier for carrier in CARRIERS for code in (carrier.code, *carrier.aliases)}


def carrier(code: str) -> Carrier | None:
    """The carrier with this code, ours or an alias, in whatever case."""
    return _KNOWN.get(code.strip().lower())


def check(parcel: ParcelDraft | WaybillChange) -> None:
    """Raises `Invalid` with all that is wrong with an express parcel, be it new or its waybill: `unknown_carrier`,
    `bad_waybill`."""
    if parcel.kind != "express":
        return
    faults = []
    if carrier(parcel.carrier) is None:
        known = ", ".join(c.code for c in CARRIERS)
        faults.append(FieldError("carrier", "unknown_carrier", f"Use one of {known}."))
    if not _WAYBILL.fullmatch(parcel.waybill_no):
        faults.append(FieldError("waybill_no", "bad_waybill", "Use 6 to 40 letters, digits and hyphens."))
    if faults:
        raise Invalid("This parcel cannot be followed.", *faults)
