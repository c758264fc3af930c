"""Why a rule was not taken, in words: core's own codes in English and Chinese. Plugins bring theirs in `Refused`."""

from typing import NamedTuple

from core.types.pricing import Refused


class Reason(NamedTuple):
    """A stable code, a sentence for people in each language, and what is missing to it in fen."""

    code: str = ""
    en: str = ""
    zh: str = ""
    short: int = 0


APPLIED = Reason()
BY_PRIORITY = Reason(
    "",
    "There were too many combinations to compare, so offers were taken by priority.",
    "可选组合过多，已按优先级选用。",
)

WORDS = {
    "not_a_rule": ("This is not a price rule.", "这不是价格规则。"),
    "unknown_kind": ("There is no kind of rule {it!r}.", "没有“{it}”这种规则。"),
    "duplicate_rule": ("Several rules call themselves by this id.", "有多条规则使用了同一编号。"),
    "load_failed": ("This plugin failed and was left out.", "该插件出错，已忽略。"),
    "not_own": ("Rules under another plugin's name were left out.", "冒用其他插件名称的规则已忽略。"),
    "no_matching_goods": (
        "None of the goods in the basket are meant by this offer.", "没有符合该优惠条件的商品。"
    ),
    "rule_failed": ("The rule failed: {it}.", "规则出错（{it}），已忽略。"),
    "rule_endless": ("The rule did not come to an end and was stopped.", "规则运行超时，已终止。"),
    "bad_proposal": ("The rule misbehaves: {it}", "规则给出的优惠无效，已忽略。"),
    "bad_terms": ("The terms of this way of shipping failed.", "该配送方式的运费规则出错，已忽略。"),
    "nothing_to_do": ("This offer changes nothing in this basket.", "该优惠对当前商品没有影响。"),
    "nothing_left": ("Other offers leave nothing to discount.", "其他优惠之后已没有可抵扣的金额。"),
    "blocked": ("Cannot be combined with “{it}”.", "不能与“{it}”同时使用。"),
    "blocked_before": (
        "It cannot be combined with an offer that applies already.", "不能与已生效的优惠同时使用。"
    ),
    "excluded": ("Cannot be combined with “{it}”, which was chosen.", "不能与已选择的“{it}”同时使用。"),
    "chosen_other": ("Cannot be combined with “{it}”, which was chosen.", "不能与已选择的“{it}”同时使用。"),
    "limit_reached": (
        "No further offer of this sort can be used here.", "此类优惠已达到可用数量上限。"
    ),
    "twin": (
        "“{it}” is of the same sort and gives more, or comes first.", "同类优惠“{it}”更划算或优先。"
    ),
    "beaten": ("“{it}” is taken instead.", "已选用更划算的“{it}”。"),
    "beaten_by_some": ("Another offer is taken instead.", "已选用其他优惠。"),
}  # fmt: skip

# What one code says in several ways.
_CODES = {"blocked_before": "blocked", "twin": "beaten", "beaten_by_some": "beaten"}


def say(name: str, it: str = "") -> Reason:
    """The reason called `name`; `it` is what it speaks of: another offer's label, a fault."""
    return _said(name, it) if it else _PLAIN[name]


def _said(name: str, it: str) -> Reason:
    en, zh = WORDS[name]
    return Reason(_CODES.get(name, name), en.format(it=it), zh.format(it=it))


_PLAIN = {name: _said(name, "") for name in WORDS}


def says(refused: Refused) -> Reason:
    """A plugin's own reason; one without Chinese words says it in English."""
    return Reason(refused.code, refused.detail, refused.zh or refused.detail, refused.short)


def with_note(reason: Reason, note: Reason) -> Reason:
    """The reason with a further sentence."""
    return reason._replace(en=f"{reason.en} {note.en}".strip(), zh=reason.zh + note.zh)
