"""Phone numbers of the mainland: mobile and landline."""

import re
import unicodedata

_MOBILE = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
# Area code (three digits with its 0 in the large cities, four elsewhere), number, perhaps an extension.
_LANDLINE = re.compile(r"(?:\+?86-?0?|0)(10|2[0-9]|[3-9][0-9]{2})-?([2-9][0-9]{6,7})(?:-([0-9]{1,6}))?")
_ALLOWED = re.compile(r"[0-9+ -]{5,24}")


def normal_phone(text: str) -> str | None:
    """The number as it is kept: `13812345678`, `023-63801234`, `023-63801234-12`; None for no such number."""
    typed = unicodedata.normalize("NFKC", text).strip()
    if not _ALLOWED.fullmatch(typed):
        return None
    if found := _MOBILE.fullmatch(re.sub("[ -]", "", typed)):
        return found[1]
    if found := _LANDLINE.fullmatch(typed.replace(" ", "")):
        area, number, extension = found.groups()
        return f"0{area}-{number}" + (f"-{extension}" if extension else "")
    return None
