"""The actions of customers, staff and time. Each has a precondition and a weight, and is performed at Stripe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.convergence.stripe_fixture import ENDED, Gift, Scenario, Tenant
from tests.support.stripe import DAY

HOUR = 3600
GOOD, FAILING, ASKING = "4242424242424242", "4000000000000341", "4000002500003155"
RANK = ("free", "pro", "enterprise")


@dataclass
class TenantSnapshot:
    """An organization's state at Stripe before an action."""

    deleted: bool
    live: Any  # the latest subscription to a plan
    plan_item: Any  # its item of the plan
    contract: Any  # the latest subscription to another product
    gifts: list[Gift]  # grants that are active or start later
    open_invoices: list[Any]
    paid_charges: list[Any]
    had_trial: bool

    @property
    def status(self) -> str:
        return self.live.status if self.live else ""

    @property
    def item(self) -> Any:
        return self.plan_item

    @property
    def extra(self) -> Any:
        """Return an item of the plan's subscription that is for another product."""
        return next((item for item in self.live["items"].data if item.id != self.item.id), None)

    @property
    def changeable(self) -> bool:
        return self.status in ("trialing", "active")

    @property
    def scheduled(self) -> bool:
        return bool(self.live and self.live.schedule and self.live.schedule.status == "active")


def take_snapshot(scenario: Scenario, tenant: Tenant) -> TenantSnapshot:
    deleted = scenario.deleted(tenant)
    everything = [] if deleted else scenario.subscriptions(tenant)
    running = [each for each in everything if each.status not in ENDED]
    live = next((each for each in running if _plan_item(scenario, each)), None)
    moment = scenario.moment(tenant)
    return TenantSnapshot(
        deleted=deleted,
        live=live,
        plan_item=_plan_item(scenario, live) if live else None,
        contract=next((each for each in running if not _plan_item(scenario, each)), None),
        gifts=[gift for gift in tenant.gifts.values() if gift.is_active(max(moment, gift.starts_at))],
        open_invoices=[] if deleted else [each for each in scenario.invoices(tenant) if each.status == "open"],
        paid_charges=[] if deleted else [each for each in scenario.charges(tenant) if each.paid],
        had_trial=any(each.trial_start for each in everything),
    )


def _plan_item(scenario: Scenario, subscription: Any) -> Any:
    return next((item for item in subscription["items"].data if item.price.id in scenario.plans), None)


@dataclass(frozen=True)
class Action:
    name: str
    weight: int
    possible: Callable[[TenantSnapshot], bool]
    do: Callable[[Scenario, Tenant, TenantSnapshot, Random], None]


def registrar(actions: list[Action]) -> Callable[[int, Callable[[TenantSnapshot], Any]], Callable[..., Any]]:
    """Return a decorator that adds a function to these actions."""

    def action(weight: int, possible: Callable[[TenantSnapshot], Any]) -> Callable[..., Any]:
        def register(do: Callable[[Scenario, Tenant, TenantSnapshot, Random], None]) -> Any:
            actions.append(Action(do.__name__, weight, lambda snapshot: bool(possible(snapshot)), do))
            return do

        return register

    return action


ACTIONS: list[Action] = []
action = registrar(ACTIONS)


def free(snapshot: TenantSnapshot) -> bool:
    return not snapshot.deleted and not snapshot.live


def _price(scenario: Scenario, rng: Random) -> str:
    return scenario.prices[rng.choice(["pro", "enterprise"]), rng.choice(["month", "month", "year"])]


# Purchases


@action(40, free)
def buys_on_the_page(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    trial = {} if snapshot.had_trial else {"trial_period_days": 14}
    scenario.buy_on_page(tenant, _price(scenario, rng), rng.choice([GOOD, GOOD, ASKING, FAILING]), **trial)


@action(15, free)
def is_subscribed_by_staff(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    with scenario.may_be_declined():
        scenario.world.subscribe(
            tenant.customer, _price(scenario, rng), **({"trial_period_days": rng.choice([3, 30])} if rng.random() < 0.3 else {})
        )


@action(8, free)
def first_payment_fails(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.world.card(tenant.customer, "pm_card_chargeCustomerFail")
    scenario.world.subscribe(tenant.customer, _price(scenario, rng), payment_behavior="default_incomplete")


@action(6, lambda snapshot: free(snapshot) and not snapshot.had_trial)
def tries_without_a_card(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    for card in scenario.sdk.customers.payment_methods.list(tenant.customer).data:
        scenario.sdk.payment_methods.detach(card.id)
    ending = {"end_behavior": {"missing_payment_method": rng.choice(["pause", "cancel"])}}
    scenario.world.subscribe(tenant.customer, _price(scenario, rng), trial_period_days=7, trial_settings=ending)


# Plan changes


@action(14, lambda snapshot: snapshot.changeable and not snapshot.scheduled)
def changes_plan_at_once(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    plans = [price for price in scenario.plans if price != snapshot.item.price.id]
    behavior = "none" if snapshot.status == "trialing" else "always_invoice"
    with scenario.may_be_declined():
        scenario.sdk.subscriptions.update(
            snapshot.live.id,
            {
                "items": [{"id": snapshot.item.id, "price": rng.choice(plans)}],
                "proration_behavior": behavior,
                "payment_behavior": "error_if_incomplete",
            },
        )


@action(12, lambda snapshot: snapshot.status == "active" and not snapshot.scheduled and not snapshot.live.cancel_at)
def schedules_a_downgrade(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    expected = scenario.prices["pro", "month"]
    if snapshot.item.price.id == expected:
        expected = scenario.prices["pro", "year"]
    created = scenario.sdk.subscription_schedules.create({"from_subscription": snapshot.live.id})
    first = created.phases[0]
    items = [{"price": item.price, "quantity": item.quantity} for item in first["items"]]
    later = [item | {"price": expected} if item["price"] == snapshot.item.price.id else item for item in items]
    phases: Any = [
        {"items": items, "start_date": first.start_date, "end_date": first.end_date},
        {"items": later, "duration": {"interval": "month", "interval_count": 1}, "proration_behavior": "none"},
    ]
    scenario.sdk.subscription_schedules.update(created.id, {"end_behavior": "release", "phases": phases})


@action(6, lambda snapshot: snapshot.scheduled)
def cancels_the_scheduled_change(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.sdk.subscription_schedules.release(snapshot.live.schedule.id)


@action(6, lambda snapshot: snapshot.changeable and not snapshot.scheduled)
def gets_coupons(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    chosen = rng.sample(scenario.codes, rng.choice([1, 1, 2, 3]))
    scenario.sdk.subscriptions.update(snapshot.live.id, {"discounts": [{"coupon": each} for each in chosen]})


@action(5, lambda snapshot: snapshot.status == "trialing")
def ends_the_trial(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    with scenario.may_be_declined():
        scenario.sdk.subscriptions.update(snapshot.live.id, {"trial_end": "now"})


# Cancellation and resumption


@action(9, lambda snapshot: snapshot.changeable and not snapshot.scheduled and not snapshot.live.cancel_at)
def cancels_at_the_end(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.sdk.subscriptions.update(snapshot.live.id, {"cancel_at_period_end": True})


@action(12, lambda snapshot: snapshot.live and snapshot.live.cancel_at and not snapshot.scheduled)
def resumes(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.sdk.subscriptions.update(snapshot.live.id, {"cancel_at_period_end": False})


@action(4, lambda snapshot: snapshot.live and not snapshot.scheduled)
def cancels_now(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.sdk.subscriptions.cancel(snapshot.live.id)


@action(20, lambda snapshot: snapshot.status == "paused")
def resumes_a_paused_subscription(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.world.card(tenant.customer)
    scenario.sdk.subscriptions.resume(snapshot.live.id, {"billing_cycle_anchor": "now"})


@action(2, lambda snapshot: not snapshot.deleted)
def is_deleted_at_stripe(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    tenant.deleted_at = scenario.now(tenant)
    scenario.sdk.customers.delete(tenant.customer)


@action(60, lambda snapshot: snapshot.deleted)
def returns_as_a_new_customer(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.new_customer(tenant)


# Payment methods and payments


@action(8, lambda snapshot: not snapshot.deleted)
def replaces_the_card(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    card = scenario.world.card(tenant.customer, rng.choice(["pm_card_visa", "pm_card_mastercard"]))
    if snapshot.live:
        scenario.sdk.subscriptions.update(snapshot.live.id, {"default_payment_method": card})


@action(8, lambda snapshot: snapshot.live)
def the_card_starts_failing(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    card = scenario.world.card(tenant.customer, "pm_card_chargeCustomerFail")
    scenario.sdk.subscriptions.update(snapshot.live.id, {"default_payment_method": card})


@action(12, lambda snapshot: snapshot.open_invoices)
def pays_open_invoices(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    card = scenario.world.card(tenant.customer)
    with scenario.may_be_declined():
        scenario.sdk.invoices.pay(rng.choice(snapshot.open_invoices).id, {"payment_method": card})


@action(3, lambda snapshot: snapshot.open_invoices)
def an_invoice_is_forgiven(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    invoice = rng.choice(snapshot.open_invoices)
    with scenario.may_be_declined():
        scenario.sdk.invoices.void_invoice(invoice.id) if rng.random() < 0.5 else scenario.sdk.invoices.mark_uncollectible(invoice.id)


@action(6, lambda snapshot: any(not each.refunded and not each.disputed for each in snapshot.paid_charges))
def gets_a_refund(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    charge = rng.choice([each for each in snapshot.paid_charges if not each.refunded and not each.disputed])
    remaining = charge.amount - charge.amount_refunded
    scenario.sdk.refunds.create({"charge": charge.id, "amount": rng.choice([remaining, max(1, remaining // 3)])})


@action(4, lambda snapshot: any(not each.disputed and not each.refunded for each in snapshot.paid_charges))
def a_charge_is_disputed(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    charge = rng.choice([each for each in snapshot.paid_charges if not each.disputed and not each.refunded])
    opened = scenario.world.control("disputes", charge=charge.id)
    if rng.random() < 0.6:
        text = rng.choice(["winning_evidence", "losing_evidence"])
        scenario.sdk.disputes.update(opened["id"], {"evidence": {"uncategorized_text": text}})


@action(3, lambda snapshot: snapshot.paid_charges)
def gets_a_credit_note(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    paid = [
        each for each in scenario.invoices(tenant) if each.status == "paid" and each.amount_paid > each.post_payment_credit_notes_amount
    ]
    if paid:
        with scenario.may_be_declined():
            scenario.sdk.credit_notes.create({"invoice": rng.choice(paid).id, "amount": 100, "credit_amount": 100})


# All actions


@action(2, lambda snapshot: True)
def a_product_is_renamed(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    price = scenario.sdk.prices.retrieve(scenario.prices["pro", "month"])
    scenario.sdk.products.update(str(price.product), {"description": f"Described {rng.randrange(10**6)}"})


@action(30, lambda snapshot: True)
def some_days_pass(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    scenario.forward(tenant, rng.randrange(1, 16) * DAY + rng.randrange(2 * HOUR))


@action(50, lambda snapshot: snapshot.live and snapshot.status != "incomplete")
def the_period_ends(scenario: Scenario, tenant: Tenant, snapshot: TenantSnapshot, rng: Random) -> None:
    remaining = snapshot.item.current_period_end - scenario.now(tenant)
    scenario.forward(tenant, max(HOUR, min(remaining, 40 * DAY)) + 2 * HOUR)
