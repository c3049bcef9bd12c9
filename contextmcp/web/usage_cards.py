"""Usage meters of the account pages."""

from dataclasses import dataclass
from datetime import datetime

from entitlements.catalog import CATALOG
from entitlements.types import Kind
from usage.selectors import FeatureUsage

from .organization_state import Overage


@dataclass(frozen=True)
class UsageCard:
    """A usage meter. An `included` of None is unlimited.

    `state` says what the meter shows in words: "unlimited", "ok", "near" (80 %), "full" (the next unit is refused), "overage" (units beyond
    the quota are sold) or "over". `tone` is the color: "ok", "near" (amber) or "full" (red).
    """

    feature: str
    title: str
    kind: Kind
    unit: str
    used: int | None
    included: int | None
    overage: int
    resets_at: datetime | None
    state: str
    tone: str

    @property
    def remaining(self) -> int:
        return max(0, (self.included or 0) - (self.used or 0))

    @property
    def is_rate(self) -> bool:
        return self.kind is Kind.RATE_LIMIT


def usage_cards(usage: list[FeatureUsage], overage: Overage | None) -> list[UsageCard]:
    """Return a meter for each feature that the plan includes or that is used, in the order of the catalog."""
    return [_meter(each, overage) for each in usage if each.included != 0 or each.used]


def home_cards(usage: list[FeatureUsage], overage: Overage | None) -> list[UsageCard]:
    """Return the meters of the account's overview, in the places that the catalog gives them."""
    places = {feature.name: feature.home for feature in CATALOG.features if feature.home}
    return sorted((card for card in usage_cards(usage, overage) if card.feature in places), key=lambda card: places[card.feature])


def _meter(feature_usage: FeatureUsage, overage: Overage | None) -> UsageCard:
    declared = CATALOG.feature(feature_usage.feature)
    sold = overage is not None and overage.state.feature == feature_usage.feature and overage.state.enabled and not overage.cap_reached
    state = _state(feature_usage, sold=sold)
    return UsageCard(
        feature=feature_usage.feature,
        title=declared.title if declared else feature_usage.feature,
        kind=feature_usage.kind,
        unit=declared.unit if declared else "",
        used=feature_usage.used,
        included=feature_usage.included,
        overage=feature_usage.overage,
        resets_at=feature_usage.resets_at,
        state=state,
        tone=_tone(feature_usage, state),
    )


def _state(usage: FeatureUsage, *, sold: bool) -> str:
    used, included = usage.used or 0, usage.included
    if included is None:
        return "unlimited"
    if used > included:
        return "overage" if sold else "over"
    if used == included and included:
        return "overage" if sold else "full"
    return "near" if included and used * 5 >= included * 4 else "ok"


def _tone(usage: FeatureUsage, state: str) -> str:
    if state in {"unlimited", "ok"}:
        return "ok"
    if state == "full" and usage.kind is Kind.GAUGE:
        # Using all of a gauge is normal. One of one, such as the only seat of a new account, is no reason to warn.
        return "ok" if usage.included == 1 else "near"
    return "full" if state in {"full", "over"} else "near"
