"""Migrates subscribers from one version of a plan to another, with a preview for staff."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from accounts.models import Organization
from billing.catalog import prices
from billing.customer_locks import serialized
from billing.errors import StripeMissing
from billing.idempotent_actions import Actor, AuditNote, idempotent_action
from billing.models import PlanPrice, SubscriptionState
from billing.stripe.gateway import subscriptions
from billing.sync.customer import sync_customer
from entitlements.manager import EntitlementsManager
from entitlements.models import PlanVersion

from .resolve_plan_change import CHANGEABLE


@dataclass(frozen=True, slots=True)
class SubscriberMigration:
    """The migration of one subscriber. Amounts are minor units. `refused` is the reason why it cannot be migrated, or empty."""

    organization: Organization
    state: SubscriptionState
    price: PlanPrice
    differences: tuple[str, ...]
    refused: str = ""

    @property
    def amounts(self) -> tuple[int | None, int]:
        return self.state.amount, self.price.amount * self.state.quantity


def preview_migrations(
    plan: str, *, to_version: int | None = None, organizations: Iterable[Organization] | None = None
) -> list[SubscriberMigration]:
    """Return the migrations of subscribers of a plan to a version, by default the latest."""
    target = EntitlementsManager.version(plan, to_version)
    states = SubscriptionState.objects.live().filter(plan_version__plan=plan).exclude(plan_version=target)
    if organizations is not None:
        states = states.filter(organization__in=list(organizations))
    # Cached per interval and version, because there may be many subscribers.
    price = cache(lambda interval: prices.sellable_price(plan, interval, version=target.version))
    changes = cache(lambda version: tuple(f"{name}: {old} -> {new}" for name, old, new in differences(version, target)))
    migrations = []
    for state in states.select_related("organization", "plan_version").order_by("organization__name", "pk"):
        assert state.plan_version is not None
        refused = "" if state.status in CHANGEABLE else f"its subscription is {state.status}"
        refused = refused or ("a plan change is scheduled" if state.schedule_id else "")
        refused = refused or ("a plan change is waiting for payment confirmation" if state.pending_change else "")
        migrations.append(SubscriberMigration(state.organization, state, price(state.interval), changes(state.plan_version), refused))
    return migrations


def differences(before: PlanVersion, after: PlanVersion) -> list[tuple[str, str, str]]:
    """Return the features whose value differs, as (name, value before, value after) in words."""
    old, new = before.terms.features, after.terms.features
    values = [(name, old[name].value if name in old else False, new[name].value if name in new else False) for name in sorted({*old, *new})]
    return [(name, _format_value(left), _format_value(right)) for name, left, right in values if left != right]


def _format_value(value: object) -> str:
    return "unlimited" if value is None else "no" if value is False else "yes" if value is True else str(value)


def migrate_subscription(subscription_id: str, version: int, actor: Actor = None, reason: str = "") -> str:
    """Migrate one subscription to a version of its plan. Return why it was not migrated, or an empty string.

    A subscription that has the version already counts as migrated.
    """
    state = SubscriptionState.objects.filter(stripe_subscription_id=subscription_id).select_related("plan_version", "organization").first()
    if state is None or not state.plan or not state.is_live:
        return "its subscription has ended"
    if state.plan_version and state.plan_version.version == version:
        return ""
    migrations = preview_migrations(state.plan, to_version=version, organizations=[state.organization])
    move = next((each for each in migrations if each.state.pk == state.pk), None)
    if move is None:
        return "its plan has changed"
    if not move.refused:
        _migrate(move, actor, reason)
    return move.refused


def migrate(moves: Iterable[SubscriberMigration], actor: Actor = None, reason: str = "") -> int:
    """Execute the migrations that are not refused. Returns the number migrated.

    The new price applies from the next period. Nothing is charged or credited for the current one.
    """
    return sum(_migrate(move, actor, reason) for move in moves if not move.refused)


def _migrate(move: SubscriberMigration, actor: Actor, reason: str) -> int:
    subscription_id = move.state.stripe_subscription_id
    note = AuditNote(reason, {"plan": str(move.state.plan_version), "price": move.state.stripe_price_id})
    parameters = {"subscription": subscription_id, "price": move.price.stripe_price_id}
    with serialized(move.organization.pk):
        with idempotent_action(move.organization, "move_version", actor, note, **parameters) as row:
            if subscriptions.retrieve(subscription_id) is None:
                raise StripeMissing(f"The subscription {subscription_id} does not exist.")
            subscriptions.update(
                subscription_id,
                key=row.pk,
                items=[{"id": move.state.stripe_item_id, "price": move.price.stripe_price_id}, *_overage(move)],
                proration_behavior="none",
            )
        sync_customer(move.state.stripe_customer_id)
    return 1


def _overage(move: SubscriberMigration) -> list[dict[str, str]]:
    """Return the update that moves the metered item to the overage price of the new version; empty if there is none."""
    row = PlanPrice.objects.filter(plan_version=move.price.plan_version, interval=PlanPrice.OVERAGE, current=True).first()
    return [{"id": move.state.overage_item_id, "price": row.stripe_price_id}] if row and move.state.overage_item_id else []
