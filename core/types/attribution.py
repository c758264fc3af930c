"""Where somebody came from."""

from typing import Annotated, Literal

import msgspec

SourceKind = Literal[
    "direct", "home", "search", "share", "shop", "geofence", "ad", "promoter", "qr", "message"
]

_Reference = Annotated[str, msgspec.Meta(max_length=64)]


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """A source: `home` names the slot in `reference`, `search` the words, `share`, `promoter` and `qr` their code, `shop`
    the other shop, `geofence` the fence, `ad` the advertisement, `message` the notice."""

    kind: SourceKind
    reference: _Reference = ""
