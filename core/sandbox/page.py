"""The console page as HTML: one page, no script, nothing from elsewhere."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from urllib.parse import quote
from uuid import UUID

import msgspec

from core.kit.ids import ref
from core.kit.money import format_yuan
from core.sandbox.messages import Behaviour, Books

STYLE = """
:root{color-scheme:light;--ink:#1d2329;--dim:#66717c;--line:#e3e7eb;--paper:#fff;--ground:#f4f6f8;--main:#0b6e4f;--red:#b3261e}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,"Noto Sans CJK SC","PingFang SC",sans-serif}
header{background:var(--main);color:#fff;padding:18px 28px}
header h1{margin:0;font-size:22px}
header p{margin:2px 0 0;opacity:.85}
header a{color:#fff}
main{max-width:1240px;margin:0 auto;padding:20px 28px 60px;display:grid;gap:20px}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:16px 20px;overflow-x:auto}
h2{margin:0 0 10px;font-size:17px}
h2 small,label small,.dim{color:var(--dim);font-weight:400}
table{border-collapse:collapse;width:100%}
th{text-align:left;color:var(--dim);font-weight:500;font-size:13px}
th{border-bottom:1px solid var(--line);padding:4px 10px 6px 0}
td{border-bottom:1px solid var(--line);padding:8px 10px 8px 0;vertical-align:top}
tr:last-child td{border-bottom:0}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code{font:13px ui-monospace,monospace}
.state{display:inline-block;border-radius:20px;padding:1px 10px;font-size:13px;background:#e8ecef;white-space:nowrap}
.open{background:#fff3d6;color:#7a5200}.paid,.done{background:#d9f2e6;color:#075c40}.returned{background:#fde4e1;color:var(--red)}
form{display:inline-block;margin:0 4px 4px 0}
form.wide{display:block}
button{font:inherit;white-space:nowrap}
button{border:1px solid var(--line);background:#fff;border-radius:7px;padding:3px 12px;cursor:pointer}
button:hover{border-color:var(--main)}
button.main{background:var(--main);border-color:var(--main);color:#fff}
.cards{display:flex;flex-wrap:wrap;gap:12px}
.cards div{border:1px solid var(--line);border-radius:8px;padding:8px 14px;min-width:150px}
.cards b{display:block;font-size:19px;font-variant-numeric:tabular-nums}
.fields{display:grid;grid-template-columns:repeat(auto-fill,minmax(270px,1fr));gap:10px 22px;margin-bottom:12px}
label{display:flex;justify-content:space-between;gap:10px;align-items:center}
input{font:inherit;width:100px;border:1px solid var(--line);border-radius:6px;padding:3px 8px;text-align:right}
nav a{margin-right:12px}
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_STATES = {
    "open": "待支付 open",
    "paid": "已支付 paid",
    "closed": "已关闭 closed",
    "refunded": "已全部退款 refunded",
    "done": "完成 done",
    "working": "处理中 working",
    "returned": "银行退回 returned",
}
_KINDS = {
    "refund": "退款 refund",
    "subsidise": "补差 subsidy",
    "return_subsidy": "补差退回 subsidy back",
    "split": "分账 split",
    "return_split": "分账回退 split back",
    "finish": "分账完结 finish",
    "pay_out": "提现 payout",
    "payout_returned": "提现退回 payout returned",
}
_FIELDS = {
    "notify_delay": ("通知延迟", "notifications late by, ms"),
    "notify_shuffle": ("乱序范围", "and up to, in any order, ms"),
    "notify_copies": ("重复次数", "more copies of each"),
    "notify_lost": ("丢失比例", "lost the first time, %"),
    "notify_wrong": ("金额错误比例", "with a wrong amount, %"),
    "fail_before": ("入账前失败", "calls refused, %"),
    "fail_after": ("入账后失败", "answers lost, %"),
    "working": ("处理中次数", "asks until done"),
    "payouts_returned": ("银行退回比例", "payouts returned, %"),
    "seed": ("随机种子", "seed"),
}


class PaymentRow(msgspec.Struct, frozen=True):
    """A payment as listed; `legs` are (merchant, amount, refunded, frozen, finished)."""

    id: str
    amount: int
    status: str
    description: str
    created: str
    legs: Sequence[tuple[str, int, int, int, bool]]
    attempts: int
    acknowledged: bool


class OperationRow(msgspec.Struct, frozen=True):
    """An operation as listed."""

    kind: str
    id: str
    merchant: str
    amount: int
    advance: int
    status: str
    at: str


class View(msgspec.Struct, frozen=True):
    """All that the page shows."""

    account: str
    accounts: Sequence[str]
    books: Books
    payments: Sequence[PaymentRow]
    operations: Sequence[OperationRow]
    payouts: Sequence[OperationRow]
    behaviour: Behaviour
    older: int | None
    said: str = ""


def page(view: View) -> str:
    """The document."""
    accounts = " ".join(f'<a href="/?account={quote(a)}">{escape(a)}</a>' for a in view.accounts)
    said = f"<section><b>{escape(view.said)}</b></section>" if view.said else ""
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>沙箱支付 Sandbox payments</title><style>{STYLE}</style></head><body>"
        "<header><h1>沙箱支付 Sandbox payments</h1>"
        f"<p>账户 account <b>{escape(view.account)}</b> · 没有真钱 no real money</p><nav>{accounts}</nav></header><main>"
        f"{said}{_payments(view)}{_books(view.books)}{_operations(view)}{_payouts(view)}{_behaviour(view)}"
        "</main></body></html>"
    )


def button(view: View, action: str, row_id: str, text: str, *, main: bool = False) -> str:
    """A form of one button that does something to a row."""
    return (
        f'<form method="post" action="/console/{action}">'
        f'<input type="hidden" name="account" value="{escape(view.account)}">'
        f'<input type="hidden" name="id" value="{escape(row_id)}">'
        f"<button{' class=main' if main else ''}>{text}</button></form>"
    )


def _payments(view: View) -> str:
    rows = "".join(_payment(view, payment) for payment in view.payments)
    head = "<tr><th>支付 payment</th><th class=n>金额 yuan</th><th>状态 state</th><th>分单 legs</th><th></th></tr>"
    older = (
        ""
        if view.older is None
        else f'<p><a href="/?account={quote(view.account)}&amp;before={view.older}">更早 older</a></p>'
    )
    body = f"<table>{head}{rows}</table>{older}" if rows else "<p class=dim>还没有支付 no payments yet</p>"
    return f"<section id=payments><h2>支付 <small>Payments</small></h2>{body}</section>"


def _payment(view: View, payment: PaymentRow) -> str:
    about = f"<span class=dim>{escape(payment.created)}<br>{escape(payment.description)}</span>"
    return (
        f"<tr><td><code>{escape(_short(payment.id))}</code><br>{about}</td><td class=n>{format_yuan(payment.amount)}</td>"
        f"<td>{_state(payment.status)}<br><span class=dim>{_told(payment)}</span></td>"
        f"<td>{_legs(payment.legs)}</td><td>{_actions(view, payment)}</td></tr>"
    )


def _told(payment: PaymentRow) -> str:
    if payment.status in ("open", "closed"):
        return ""
    return "已通知 market told" if payment.acknowledged else f"通知 {payment.attempts} 次未确认 not told yet"


def _legs(legs: Sequence[tuple[str, int, int, int, bool]]) -> str:
    return "<br>".join(
        f"<code>{escape(_short(merchant))}</code> {format_yuan(amount)}"
        + (f" <span class=dim>退 back {format_yuan(refunded)}</span>" if refunded else "")
        + (f" <span class=dim>冻结 frozen {format_yuan(frozen)}</span>" if frozen else "")
        + (" <span class=dim>已完结 finished</span>" if finished else "")
        for merchant, amount, refunded, frozen, finished in legs
    )


def _actions(view: View, payment: PaymentRow) -> str:
    match payment.status:
        case "open":
            return (
                button(view, "pay", payment.id, "支付 Pay", main=True)
                + button(view, "pay-unheard", payment.id, "支付但丢失通知 Pay, notice lost")
                + button(view, "close", payment.id, "关闭 Close")
            )
        case "closed":
            return button(view, "pay-late", payment.id, "仍然支付 Pay late")
        case _:
            return button(view, "tell", payment.id, "再次通知 Tell again")


def _books(books: Books) -> str:
    frozen = sum(leg.amount for leg in books.frozen)
    cards = "".join(
        f"<div>{name}<b>{format_yuan(amount)}</b></div>"
        for name, amount in (
            ("买家已付 from buyers", books.buyers),
            ("平台资金 market funds", books.funds),
            ("冻结 frozen", frozen),
            ("商户余额 merchants", sum(books.merchants.values())),
            ("分账收款人 earners", sum(books.earners.values())),
            ("已到银行 at banks", sum(books.banks.values())),
        )
    )
    rows = "".join(
        _owners(title, held)
        for title, held in (
            ("商户 merchant", books.merchants),
            ("银行 bank of", books.banks),
            ("收款人 earner", books.earners),
        )
    )
    table = f"<table>{rows}</table>" if rows else ""
    return (
        f"<section id=books><h2>账本 <small>Books</small></h2><div class=cards>{cards}</div>{table}</section>"
    )


def _owners(title: str, held: Mapping[UUID, int]) -> str:
    return "".join(
        f"<tr><td>{title} <code>{escape(ref(owner))}</code></td><td class=n>{format_yuan(amount)}</td></tr>"
        for owner, amount in held.items()
    )


def _operations(view: View) -> str:
    rows = "".join(_operation(o, "") for o in view.operations)
    body = f"<table>{rows}</table>" if rows else "<p class=dim>无 none</p>"
    return f"<section id=operations><h2>退款与分账 <small>Refunds and splits</small></h2>{body}</section>"


def _payouts(view: View) -> str:
    rows = "".join(
        _operation(
            o, "" if o.status == "returned" else button(view, "return", o.id, "银行退回 Bank returns it")
        )
        for o in view.payouts
    )
    body = f"<table>{rows}</table>" if rows else "<p class=dim>无 none</p>"
    return f"<section id=payouts><h2>提现 <small>Payouts</small></h2>{body}</section>"


def _operation(row: OperationRow, action: str) -> str:
    advance = f" <span class=dim>平台垫付 market {format_yuan(row.advance)}</span>" if row.advance else ""
    return (
        f"<tr><td>{_KINDS[row.kind]}<br><span class=dim>{escape(row.at)}</span></td>"
        f"<td><code>{escape(_short(row.id))}</code></td><td><code>{escape(_short(row.merchant))}</code></td>"
        f"<td class=n>{format_yuan(row.amount)}{advance}</td><td>{_state(row.status)}</td><td>{action}</td></tr>"
    )


def _behaviour(view: View) -> str:
    fields = "".join(
        f'<label for="{name}"><span>{zh} <small>{en}</small></span>'
        f'<input id="{name}" name="{name}" inputmode="numeric" value="{getattr(view.behaviour, name)}"></label>'
        for name, (zh, en) in _FIELDS.items()
    )
    return (
        "<section id=behaviour><h2>故障模拟 <small>How it misbehaves</small></h2>"
        '<form class=wide method="post" action="/console/behaviour">'
        f'<input type="hidden" name="account" value="{escape(view.account)}"><div class=fields>{fields}</div>'
        "<button class=main>保存 Save</button></form></section>"
    )


def _state(status: str) -> str:
    return f'<span class="state {escape(status)}">{_STATES[status]}</span>'


def _short(text: str) -> str:
    return ref(UUID(text)) if len(text) == 36 else text
