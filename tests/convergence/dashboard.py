"""Actions of staff in Stripe's dashboard other than selling plans, and grants in the product's admin."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID, uuid5

from tests.convergence.actions import Action, TenantSnapshot, registrar
from tests.convergence.stripe_fixture import Gift, Scenario, Tenant
from tests.support.stripe import DAY

ACTIONS: list[Action] = []
action = registrar(ACTIONS)

# Stripe allows keys of 40 and values of 500 characters. An empty value removes its key.
OUR_KEYS = ("checkout_attempt", "organization", "organization_id", "contextmcp_plan", "contextmcp_feature", "djstripe_subscriber")
KEYS = (*OUR_KEYS, "a", "k" * 40, "Schl\u00fcssel", "\u043a\u043b\u044e\u0447", "\U0001f511", "__proto__", "with space")
VALUES = (
    "",
    "0",
    "None",
    "null",
    "{}",
    "[1]",
    "see ticket 42",
    "\U0001f600" * 100,
    "\u00e9" * 500,
    "0" * 500,
    "' OR 1=1 --",
    "<b>bold</b>",
)
# Results of debits: paid or returned.
PAYING_ACCOUNT, BOUNCING_ACCOUNT = "AT611904300234573201", "AT861904300235473202"


def arbitrary_metadata(rng: Random, organization_ids: Sequence[str] = ()) -> dict[str, str]:
    """Return up to four metadata entries. Some values name an object as the product does: a nonexistent one, or an organization."""
    values = [*VALUES, str(UUID(int=1)), *organization_ids]
    return {key: rng.choice(values) for key in rng.sample(KEYS, rng.randrange(1, 5))}


def _metadata(scenario: Scenario, rng: Random) -> dict[str, str]:
    return arbitrary_metadata(rng, [tenant.organization_id for tenant in scenario.tenants])


def _steady(snapshot: TenantSnapshot) -> bool:
    return bool(snapshot.live) and snapshot.changeable and not snapshot.scheduled and not snapshot.live.cancel_at


def _items(scenario: Scenario, subscription: Any, rows: list[dict[str, Any]], behavior: str) -> None:
    with scenario.may_be_declined():
        params: Any = {"items": rows, "proration_behavior": behavior, "payment_behavior": "error_if_incomplete"}
        scenario.sdk.subscriptions.update(subscription.id, params)


# Other products


@action(10, lambda snapshot: not snapshot.deleted and not snapshot.contract)
def signs_a_support_contract(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    with scenario.may_be_declined():
        more: dict[str, Any] = rng.choice(
            [{}, {"trial_period_days": 5}, {"metadata": _metadata(scenario, rng)}, {"payment_behavior": "default_incomplete"}]
        )
        scenario.world.subscribe(tenant.customer, rng.choice(scenario.foreign), **more)


@action(4, lambda snapshot: snapshot.contract and snapshot.contract.status in ("active", "trialing"))
def changes_the_support_contract(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    item = snapshot.contract["items"].data[0]
    row = {"id": item.id, "price": rng.choice(scenario.foreign), "quantity": rng.randrange(1, 4)}
    _items(scenario, snapshot.contract, [row], rng.choice(["none", "always_invoice"]))


@action(4, lambda snapshot: snapshot.contract)
def ends_the_support_contract(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    if rng.random() < 0.5 and snapshot.contract.status == "active":
        scenario.sdk.subscriptions.update(snapshot.contract.id, {"cancel_at_period_end": True})
    else:
        scenario.sdk.subscriptions.cancel(snapshot.contract.id)


@action(4, lambda snapshot: _steady(snapshot) and not snapshot.extra)
def gets_a_foreign_item_beside_the_plan(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    _items(scenario, snapshot.live, [{"price": rng.choice(scenario.foreign)}], rng.choice(["none", "create_prorations", "always_invoice"]))


@action(3, lambda snapshot: _steady(snapshot) and snapshot.extra)
def loses_the_foreign_item(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    _items(scenario, snapshot.live, [{"id": snapshot.extra.id, "deleted": True}], rng.choice(["none", "always_invoice"]))


@action(3, lambda snapshot: not snapshot.deleted and not snapshot.live)
def is_sold_a_special_offer(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    """Subscribe to a price that was not published, with another item before it."""
    published = set(scenario.prices.values())
    offer = rng.choice([price for price in scenario.plans if price not in published])
    with scenario.may_be_declined():
        rows: Any = [{"price": rng.choice(scenario.foreign[:2])}, {"price": offer, "quantity": rng.choice([1, 2])}]
        scenario.sdk.subscriptions.create({"customer": tenant.customer, "items": rows})


@action(2, lambda snapshot: snapshot.live and snapshot.changeable)
def is_subscribed_twice(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    with scenario.may_be_declined():
        scenario.world.subscribe(tenant.customer, rng.choice(list(scenario.plans)))


# Other fields of the dashboard


@action(8, lambda snapshot: not snapshot.deleted)
def metadata_is_written(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    written: Any = {"metadata": _metadata(scenario, rng)}
    scenario.sdk.customers.update(tenant.customer, written)
    for subscription in filter(None, [snapshot.live, snapshot.contract]):
        scenario.sdk.subscriptions.update(subscription.id, {"metadata": _metadata(scenario, rng)})
    # Prices belong to all customers; the metadata of a special offer may name its plan.
    scenario.sdk.prices.update(rng.choice([*scenario.foreign, *scenario.prices.values()]), {"metadata": _metadata(scenario, rng)})


@action(7, _steady)
def the_quantity_changes(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    behavior = rng.choice(["none", "create_prorations", "always_invoice"])
    _items(scenario, snapshot.live, [{"id": snapshot.item.id, "quantity": rng.choice([1, 2, 5, 12])}], behavior)


@action(6, lambda snapshot: _steady(snapshot) and snapshot.status == "active")
def gets_free_days(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    end = scenario.now(tenant) + rng.randrange(3, 25) * DAY
    scenario.sdk.subscriptions.update(snapshot.live.id, {"trial_end": end, "proration_behavior": "none"})


@action(6, lambda snapshot: snapshot.live and snapshot.status in ("active", "past_due", "trialing") and not snapshot.live.pause_collection)
def collection_is_paused(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    pause: Any = {"behavior": rng.choice(["keep_as_draft", "mark_uncollectible", "void"])}
    if rng.random() < 0.4:
        pause["resumes_at"] = scenario.now(tenant) + rng.randrange(2, 40) * DAY
    scenario.sdk.subscriptions.update(snapshot.live.id, {"pause_collection": pause})


@action(9, lambda snapshot: snapshot.live and snapshot.live.pause_collection)
def collection_resumes(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.sdk.subscriptions.update(snapshot.live.id, {"pause_collection": ""})


@action(5, lambda snapshot: snapshot.live and snapshot.status != "incomplete")
def pays_by_debit(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    account = {"iban": rng.choice([PAYING_ACCOUNT, BOUNCING_ACCOUNT])}
    payer = {"name": "Ann Example", "email": "ann@example.com"}
    params: Any = {"type": "sepa_debit", "sepa_debit": account, "billing_details": payer}
    debit = scenario.sdk.payment_methods.create(params).id
    scenario.sdk.payment_methods.attach(debit, {"customer": tenant.customer})
    scenario.sdk.customers.update(tenant.customer, {"invoice_settings": {"default_payment_method": debit}})
    scenario.sdk.subscriptions.update(snapshot.live.id, {"default_payment_method": debit})


# The product's admin


@action(7, lambda snapshot: len(snapshot.gifts) < 2)
def is_given_a_plan(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    starts = scenario.moment(tenant) + rng.choice([0, 0, 0, 5]) * DAY
    ends = None if rng.random() < 0.2 else starts + rng.randrange(2, 50) * DAY + rng.randrange(DAY)
    reference = str(uuid5(UUID(tenant.organization_id), str(len(tenant.gifts))))
    tenant.gifts[reference] = Gift(reference, rng.choice(["pro", "enterprise"]), rng.choice(["gift", "staff"]), starts, ends)


@action(5, lambda snapshot: snapshot.gifts)
def a_gift_is_ended(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    gift = rng.choice(snapshot.gifts)
    # A grant that has not started is ended before its start.
    moment = max(scenario.moment(tenant), gift.starts_at)
    tenant.gifts[gift.reference] = Gift(gift.reference, gift.plan, gift.source, gift.starts_at, gift.ends_at, moment)
