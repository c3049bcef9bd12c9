"""Migrates subscribers from one version of a plan to another, with a preview for staff."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from accounts.models import Organization, User
from billing import enqueue
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
class PlanMigration:
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
) -> list[PlanMigration]:
    """Return the migrations of subscribers of a plan to a version, by default the latest."""
    target = EntitlementsManager.version(plan, to_version)
    states = SubscriptionState.objects.live().filter(plan_version__plan=plan).exclude(plan_version=target)
    if organizations is not None:
        states = states.filter(organization__in=list(organizations))
    # Cached per interval and version, because there may be many subscribers.
    price = cache(lambda interval: prices.sellable_price(plan, interval, version=target.version))
    differences = cache(lambda version: tuple(_differences(version, target)))
    migrations = []
    for state in states.select_related("organization", "plan_version").order_by("organization__name", "pk"):
        assert state.plan_version is not None
        refused = "" if state.status in CHANGEABLE else f"its subscription is {state.status}"
        refused = refused or ("a plan change is scheduled" if state.schedule_id else "")
        refused = refused or ("a plan change is waiting for payment confirmation" if state.pending_change else "")
        migrations.append(PlanMigration(state.organization, state, price(state.interval), differences(state.plan_version), refused))
    return migrations


def _differences(before: PlanVersion, after: PlanVersion) -> Iterable[str]:
    old, new = before.terms.features, after.terms.features
    for name in sorted({*old, *new}):
        values = [terms[name].value if name in terms else False for terms in (old, new)]
        if values[0] != values[1]:
            yield f"{name}: {_format_value(values[0])} -> {_format_value(values[1])}"


def _format_value(value: object) -> str:
    return "unlimited" if value is None else "no" if value is False else "yes" if value is True else str(value)


def enqueue_migrations(moves: Iterable[PlanMigration], actor: User, reason: str) -> int:
    """Queue one job for each migration that is not refused. Returns the number queued."""
    targets = [(move.state.stripe_subscription_id, move.price.plan_version.version) for move in moves if not move.refused]
    if targets:
        enqueue.migrations(targets, actor.pk, reason)
    return len(targets)


def migrate_subscription(subscription_id: str, version: int, actor: Actor = None, reason: str = "") -> bool:
    """Migrate one subscription to a version of its plan.

    Returns False if that is no longer possible because it was migrated, changed or canceled meanwhile.
    """
    state = SubscriptionState.objects.filter(stripe_subscription_id=subscription_id).select_related("plan_version").first()
    if state is None or not state.plan:
        return False
    migrations = preview_migrations(state.plan, to_version=version, organizations=[state.organization])
    return migrate([move for move in migrations if move.state.pk == state.pk], actor, reason) == 1


def migrate(moves: Iterable[PlanMigration], actor: Actor = None, reason: str = "") -> int:
    """Execute the migrations that are not refused. Returns the number migrated.

    The new price applies from the next period. Nothing is charged or credited for the current one.
    """
    return sum(_migrate(move, actor, reason) for move in moves if not move.refused)


def _migrate(move: PlanMigration, actor: Actor, reason: str) -> int:
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


def _overage(move: PlanMigration) -> list[dict[str, str]]:
    """Return the update that moves the metered item to the overage price of the new version; empty if there is none."""
    row = PlanPrice.objects.filter(plan_version=move.price.plan_version, interval=PlanPrice.OVERAGE, current=True).first()
    return [{"id": move.state.overage_item_id, "price": row.stripe_price_id}] if row and move.state.overage_item_id else []
