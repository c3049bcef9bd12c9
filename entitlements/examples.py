"""Names of plans and features of the catalog for the examples in the API documentation.

If the catalog has no feature of a kind, or no plan with a price, the examples name a feature of another kind, or the free plan.
"""

from contextmcp.common.money import format_amount

from .catalog import CATALOG
from .types import Kind


def _feature(*kinds: Kind, excluding: str = "") -> str:
    names = [feature.name for feature in CATALOG.features if feature.kind in kinds and feature.name != excluding]
    return next(iter(names), "example")


QUOTA = CATALOG.main_meter.name if CATALOG.main_meter else _feature(*Kind)
RATE_LIMIT = _feature(Kind.RATE_LIMIT)
# Examples that set a gauge exclude the number of members, which is calculated.
GAUGE = _feature(Kind.GAUGE, excluding=CATALOG.seats.name if CATALOG.seats else "")
_PAID = [plan for plan in CATALOG.plans if plan.prices]
FREE_PLAN = CATALOG.free
PLAN = next(iter(_PAID), FREE_PLAN)
HIGHER_PLAN = _PAID[1] if len(_PAID) > 1 else PLAN
PRICE = next(iter(PLAN.prices), None)
HIGHER_PRICE = next(iter(HIGHER_PLAN.prices), None)
INTERVAL = PRICE.interval if PRICE else "month"
AMOUNT = PRICE.amount if PRICE else 0
HIGHER_AMOUNT = HIGHER_PRICE.amount if HIGHER_PRICE else 0
CURRENCY = CATALOG.currency


def formatted(amount: int) -> str:
    return format_amount(amount, CURRENCY)
