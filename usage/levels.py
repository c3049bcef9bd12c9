"""Levels: how much of a limit is in use, stated or given back. Taking is the gate's."""

from datetime import datetime

from accounts.models import Organization
from entitlements.types import Entitlements, Kind

from . import digests
from .asking import COUNTED
from .limits import level_standing
from .models import UsageLevel
from .requests import invalid
from .types import Ask, GiveBack, ItemAnswer, Who


def _check(entitlements: Entitlements, feature: str) -> int | None:
    """The limit; refuses what is no level, or is counted by ourselves."""
    allowance = entitlements.require(feature)
    if allowance.kind is not Kind.LIMIT:
        raise invalid("feature", f"{feature} is not a level: it is not in use, it is used up.")
    if feature in COUNTED:
        raise invalid("feature", f"{feature} is counted here; it cannot be stated.")
    return allowance.limit


def state(organization: Organization, entitlements: Entitlements, feature: str, value: int) -> tuple[ItemAnswer, int]:
    """Set it, whatever the limit. Return the answer and the value before. Call it in a transaction."""
    limit = _check(entitlements, feature)
    row = UsageLevel.objects.select_for_update().filter(organization=organization, feature=feature).first()
    UsageLevel.objects.update_or_create(organization=organization, feature=feature, defaults={"value": value})
    return level_standing(feature, value, value, limit), row.value if row else 0


def give_back(who: Who, entitlements: Entitlements, feature: str, amount: int, *, at: datetime, key: str | None) -> Ask:
    """What to decide. Conflict when less than that is in use."""
    part = GiveBack(feature, amount, _check(entitlements, feature), entitlements.allowances[feature].on_outage)
    digest = None if key is None else digests.of_key(key)
    return Ask(who, at, [part], True, digests.of_request([(feature, amount)], "\nrelease"), digest)
