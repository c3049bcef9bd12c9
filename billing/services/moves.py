"""Moving subscribers from one version of a plan to another: staff's decision, with a look at it first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accounts.models import Organization
from billing.errors import StripeMissing
from billing.gateway import subscriptions
from billing.models import PlanPrice, SubscriptionState
from entitlements.manager import EntitlementsManager
from entitlements.models import PlanVersion

from . import prices
from .actions import Actor, wish
from .locks import one_at_a_time
from .sync import sync_customer
from .target import CHANGEABLE


@dataclass(frozen=True, slots=True)
class Move:
    """What moving one subscriber changes. Amounts are minor units. `refused` says why it cannot be moved."""

    organization: Organization
    state: SubscriptionState
    price: PlanPrice
    differences: tuple[str, ...]
    refused: str = ""

    @property
    def amounts(self) -> tuple[int | None, int]:
        return self.state.unit_amount, self.price.amount


def preview(plan: str, *, to_version: int | None = None, organizations: Iterable[Organization] | None = None) -> list[Move]:
    """Who would move to this version (by default the newest), and what would change for whom."""
    target = EntitlementsManager.version(plan, to_version)
    states = SubscriptionState.objects.live().filter(plan_version__plan=plan).exclude(plan_version=target)
    if organizations is not None:
        states = states.filter(organization__in=list(organizations))
    found = []
    for state in states.select_related("organization", "plan_version").order_by("organization__name", "pk"):
        assert state.plan_version is not None
        price = prices.for_sale(plan, state.interval, version=target.version)
        refused = "" if state.status in CHANGEABLE else f"its subscription is {state.status}"
        refused = refused or ("a plan change is planned" if state.schedule_id else "")
        found.append(Move(state.organization, state, price, tuple(_differences(state.plan_version, target)), refused))
    return found


def _differences(before: PlanVersion, after: PlanVersion) -> Iterable[str]:
    old, new = before.terms.features, after.terms.features
    for name in sorted({*old, *new}):
        values = [terms[name].value if name in terms else False for terms in (old, new)]
        if values[0] != values[1]:
            yield f"{name}: {_told(values[0])} -> {_told(values[1])}"


def _told(value: object) -> str:
    return "unlimited" if value is None else "no" if value is False else "yes" if value is True else str(value)


def make(moves: Iterable[Move], actor: Actor = None) -> int:
    """Move them. The new price counts from the next period; nothing is charged or credited for the present one. Returns how many."""
    return sum(_make(move, actor) for move in moves if not move.refused)


def _make(move: Move, actor: Actor) -> int:
    subscription_id = move.state.stripe_subscription_id
    with one_at_a_time(move.organization.pk):
        with wish(move.organization, "move_version", actor, subscription=subscription_id, price=move.price.stripe_price_id) as row:
            present = subscriptions.retrieve(subscription_id)
            if present is None:
                raise StripeMissing(f"{subscription_id} is gone")
            subscriptions.update(
                subscription_id,
                key=row.pk,
                items=[{"id": move.state.stripe_item_id, "price": move.price.stripe_price_id}, *_overage(move)],
                proration_behavior="none",
            )
        sync_customer(move.state.stripe_customer_id)
    return 1


def _overage(move: Move) -> list[dict[str, str]]:
    """The metered item goes with it, to the overage price of the new version."""
    row = PlanPrice.objects.filter(plan_version=move.price.plan_version, interval=PlanPrice.OVERAGE, current=True).first()
    return [{"id": move.state.overage_item_id, "price": row.stripe_price_id}] if row and move.state.overage_item_id else []
