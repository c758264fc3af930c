"""Placed orders as rows, for tests of what comes after placing. Amounts in fen."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from core.identity import tokens
from core.kit.ids import new_id, new_number, ref
from core.orders.address import Address, seal
from core.types.scope import SYSTEM, Audience, Principal

ADDRESS = Address("王小明", "13812345678", "重庆市", "重庆市", "南岸区", "南坪西路 1 号 3 单元 501")
DAY = timedelta(days=1)


class Line(msgspec.Struct, frozen=True):
    """A line of a placed order."""

    id: UUID
    sku_id: UUID
    quantity: int


class Placed(msgspec.Struct, frozen=True):
    """A placed order."""

    merchant_id: UUID
    id: UUID
    trade_id: UUID
    account_id: UUID
    number: str
    lines: tuple[Line, ...]

    @property
    def ref(self) -> str:
        """Its opaque id."""
        return ref(self.merchant_id, self.id)


async def place_order(
    runtime: Any,
    *,
    status: str = "paid",
    lines: Sequence[tuple[int, int]] = ((2, 500), (1, 3000)),
    merchant_id: UUID | None = None,
    account_id: UUID | None = None,
    trade_id: UUID | None = None,
    address: Address | None = ADDRESS,
    market_borne: int = 0,
    commission: int = 0,
) -> Placed:
    """A trade with one order of `lines` (quantity, unit price), its stock reserved. With `trade_id` the order joins a
    trade that is there."""
    merchant_id, account_id = merchant_id or new_id(), account_id or new_id()
    order_id, number, now = new_id(), new_number(), datetime.now(UTC)
    made = tuple(Line(new_id(), new_id(), quantity) for quantity, _ in lines)
    goods = sum(quantity * price for quantity, price in lines)
    payable = goods - market_borne
    async with runtime.tx(SYSTEM) as tx:
        trade_id = trade_id or await _trade(tx, account_id, status, goods, market_borne, now)
        await tx.execute(
            "insert into orders (merchant_id, id, trade_id, account_id, number, merchant_name, status, goods_amount,"
            " discount_amount, shipping_amount, payable, market_borne, commission, commission_rule, address, province,"
            " phone_index, shipping, remark, created_at, paid_at)"
            " values ($1, $2, $3, $4, $5, '南山果园', $6, $7, $8, 0, $9, $8, $10, 'none', $11, '重庆市', $12,"
            " $13::jsonb, '请放门口', $14, $15)",
            merchant_id,
            order_id,
            trade_id,
            account_id,
            number,
            status,
            goods,
            market_borne,
            payable,
            commission,
            seal(tx.env.vault, order_id, address) if address else None,
            tx.env.vault.blind(address.phone) if address else None,
            json.dumps({"key": "express_delivery:flat", "kind": "express", "name": "快递"}),
            now,
            now if status not in ("unpaid", "closed") else None,
        )
        for line, (quantity, price) in zip(made, lines, strict=True):
            await _line(tx, merchant_id, order_id, account_id, line, quantity, price)
        if market_borne:
            await tx.execute(
                "insert into order_discount (merchant_id, id, order_id, account_id, line_id, plugin, rule, kind, label,"
                " amount, bearer_market, bearer_merchant)"
                " values ($1, $2, $3, $4, $5, 'coupons', 'r1', 'coupons.market', '满减券', $6, $6, 0)",
                merchant_id,
                new_id(),
                order_id,
                account_id,
                made[0].id,
                market_borne,
            )
    return Placed(merchant_id, order_id, trade_id, account_id, number, made)


async def _trade(tx: Any, account_id: UUID, status: str, goods: int, discount: int, now: datetime) -> UUID:
    trade_id = new_id()
    await tx.execute(
        "insert into trade (account_id, id, number, status, goods_amount, discount_amount, shipping_amount, payable,"
        " created_at, expires_at) values ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9)",
        account_id,
        trade_id,
        new_number(),
        status if status in ("unpaid", "closed") else "paid",
        goods,
        discount,
        goods - discount,
        now,
        now + DAY,
    )
    return trade_id


async def _line(
    tx: Any, merchant_id: UUID, order_id: UUID, account_id: UUID, line: Line, quantity: int, price: int
) -> None:
    await tx.execute(
        "insert into order_line (merchant_id, id, order_id, account_id, sku_id, product_id, title, specs, quantity,"
        " unit_price, amount, payable) values ($1, $2, $3, $4, $5, $6, '巫山脆李', $7, $8, $9, $10, $10)",
        merchant_id,
        line.id,
        order_id,
        account_id,
        line.sku_id,
        new_id(),
        ["5斤"],
        quantity,
        price,
        quantity * price,
    )
    await tx.execute(
        "insert into stock (merchant_id, sku_id, on_hand, reserved) values ($1, $2, $3, $4)",
        merchant_id,
        line.sku_id,
        quantity + 7,
        quantity,
    )


async def hold_order(runtime: Any, order: Placed, reason: str = "拼团未满") -> None:
    """Put an order on hold."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at)"
            " values ($1, $2, 'group_buy', $3, $4, $5)",
            order.merchant_id,
            order.id,
            order.account_id,
            reason,
            tx.now,
        )


async def bearer(
    runtime: Any,
    audience: Audience,
    account_id: UUID | None = None,
    merchant_id: UUID | None = None,
    roles: tuple[str, ...] = ("owner",),
) -> dict[str, str]:
    """The header of a fresh sign-in, without the password's cost."""
    me = Principal(account_id or new_id(), new_id(), audience, merchant_id, roles)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into session (id, account_id, audience, merchant_id, roles, refresh_hash, created_at, expires_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8)",
            me.session_id,
            me.account_id,
            audience.value,
            merchant_id,
            list(roles),
            me.session_id.bytes,
            tx.now,
            tx.now + DAY,
        )
        token = tokens.issue(tx.env.vault, me, tx.now + DAY)
    return {"Authorization": f"Bearer {token}"}
