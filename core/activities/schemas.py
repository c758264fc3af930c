"""The calendar on the wire."""

from datetime import datetime
from typing import Annotated

import msgspec

from core.kit.ids import ref
from core.types.activities import Activity

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class ActivityOut(msgspec.Struct, frozen=True, kw_only=True):
    """An activity. `phase`: `upcoming`, `running`, `over` or `stopped`; `skus` is how many take part."""

    id: str
    merchant_id: str
    plugin: str
    kind: str
    name: str
    starts_at: datetime
    ends_at: datetime
    exclusive: bool
    phase: str
    campaign_id: str | None
    campaign: str | None
    skus: int
    stopped_at: datetime | None


class CampaignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A campaign binds activities of several tools together."""

    name: Title
    starts_at: datetime
    ends_at: datetime


class CampaignChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays."""

    name: Title | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class CampaignOut(msgspec.Struct, frozen=True):
    """A campaign and how many activities it has."""

    id: str
    merchant_id: str
    name: str
    starts_at: datetime
    ends_at: datetime
    activities: int


def activity_out(activity: Activity) -> ActivityOut:
    """The wire form."""
    return ActivityOut(
        id=ref(activity.id),
        merchant_id=ref(activity.merchant_id),
        plugin=activity.plugin,
        kind=activity.kind,
        name=activity.name,
        starts_at=activity.starts_at,
        ends_at=activity.ends_at,
        exclusive=activity.exclusive,
        phase=activity.phase,
        campaign_id=ref(activity.merchant_id, activity.campaign_id) if activity.campaign_id else None,
        campaign=activity.campaign,
        skus=activity.skus,
        stopped_at=activity.stopped_at,
    )
