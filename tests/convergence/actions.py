"""The actions of customers, staff and time. Each has a precondition and a weight, and is performed at Stripe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.convergence.stripe_fixture import OVER, Gift, Party, Scene
from tests.support.stripe import DAY

HOUR = 3600
GOOD, FAILING, ASKING = "4242424242424242", "4000000000000341", "4000002500003155"
RANK = ("free", "pro", "enterprise")


@dataclass
class Sight:
    """An organization's state at Stripe before an action."""

    gone: bool
    live: Any  # the latest subscription to a plan
    plan_item: Any  # its item of the plan
    contract: Any  # the latest subscription to another product
    gifts: list[Gift]  # grants that are active or start later
    owed: list[Any]
    money: list[Any]
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


def look(scene: Scene, party: Party) -> Sight:
    gone = scene.deleted(party)
    everything = [] if gone else scene.subscriptions(party)
    running = [each for each in everything if each.status not in OVER]
    live = next((each for each in running if _plan_item(scene, each)), None)
    moment = scene.moment(party)
    return Sight(
        gone=gone,
        live=live,
        plan_item=_plan_item(scene, live) if live else None,
        contract=next((each for each in running if not _plan_item(scene, each)), None),
        gifts=[gift for gift in party.gifts.values() if gift.holds(max(moment, gift.starts_at))],
        owed=[] if gone else [each for each in scene.invoices(party) if each.status == "open"],
        money=[] if gone else [each for each in scene.charges(party) if each.paid],
        had_trial=any(each.trial_start for each in everything),
    )


def _plan_item(scene: Scene, subscription: Any) -> Any:
    return next((item for item in subscription["items"].data if item.price.id in scene.plans), None)


@dataclass(frozen=True)
class Action:
    name: str
    weight: int
    possible: Callable[[Sight], bool]
    do: Callable[[Scene, Party, Sight, Random], None]


def registrar(actions: list[Action]) -> Callable[[int, Callable[[Sight], Any]], Callable[..., Any]]:
    """Return a decorator that adds a function to these actions."""

    def action(weight: int, possible: Callable[[Sight], Any]) -> Callable[..., Any]:
        def register(do: Callable[[Scene, Party, Sight, Random], None]) -> Any:
            actions.append(Action(do.__name__, weight, lambda sight: bool(possible(sight)), do))
            return do

        return register

    return action


ACTIONS: list[Action] = []
action = registrar(ACTIONS)


def free(sight: Sight) -> bool:
    return not sight.gone and not sight.live


def _price(scene: Scene, dice: Random) -> str:
    return scene.prices[dice.choice(["pro", "enterprise"]), dice.choice(["month", "month", "year"])]


# Purchases


@action(40, free)
def buys_on_the_page(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    trial = {} if sight.had_trial else {"trial_period_days": 14}
    scene.buy_on_page(party, _price(scene, dice), dice.choice([GOOD, GOOD, ASKING, FAILING]), **trial)


@action(15, free)
def is_subscribed_by_staff(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    with scene.may_be_declined():
        scene.world.subscribe(
            party.customer, _price(scene, dice), **({"trial_period_days": dice.choice([3, 30])} if dice.random() < 0.3 else {})
        )


@action(8, free)
def first_payment_fails(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.world.card(party.customer, "pm_card_chargeCustomerFail")
    scene.world.subscribe(party.customer, _price(scene, dice), payment_behavior="default_incomplete")


@action(6, lambda sight: free(sight) and not sight.had_trial)
def tries_without_a_card(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    for card in scene.sdk.customers.payment_methods.list(party.customer).data:
        scene.sdk.payment_methods.detach(card.id)
    ending = {"end_behavior": {"missing_payment_method": dice.choice(["pause", "cancel"])}}
    scene.world.subscribe(party.customer, _price(scene, dice), trial_period_days=7, trial_settings=ending)


# Plan changes


@action(14, lambda sight: sight.changeable and not sight.scheduled)
def changes_plan_at_once(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    plans = [price for price in scene.plans if price != sight.item.price.id]
    behavior = "none" if sight.status == "trialing" else "always_invoice"
    with scene.may_be_declined():
        scene.sdk.subscriptions.update(
            sight.live.id,
            {
                "items": [{"id": sight.item.id, "price": dice.choice(plans)}],
                "proration_behavior": behavior,
                "payment_behavior": "error_if_incomplete",
            },
        )


@action(12, lambda sight: sight.status == "active" and not sight.scheduled and not sight.live.cancel_at)
def plans_a_downgrade(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    wanted = scene.prices["pro", "month"]
    if sight.item.price.id == wanted:
        wanted = scene.prices["pro", "year"]
    made = scene.sdk.subscription_schedules.create({"from_subscription": sight.live.id})
    first = made.phases[0]
    items = [{"price": item.price, "quantity": item.quantity} for item in first["items"]]
    later = [item | {"price": wanted} if item["price"] == sight.item.price.id else item for item in items]
    phases = [
        {"items": items, "start_date": first.start_date, "end_date": first.end_date},
        {"items": later, "duration": {"interval": "month", "interval_count": 1}, "proration_behavior": "none"},
    ]
    scene.sdk.subscription_schedules.update(made.id, {"end_behavior": "release", "phases": phases})


@action(6, lambda sight: sight.scheduled)
def keeps_the_plan(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.sdk.subscription_schedules.release(sight.live.schedule.id)


@action(6, lambda sight: sight.changeable and not sight.scheduled)
def gets_coupons(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    chosen = dice.sample(scene.codes, dice.choice([1, 1, 2, 3]))
    scene.sdk.subscriptions.update(sight.live.id, {"discounts": [{"coupon": each} for each in chosen]})


@action(5, lambda sight: sight.status == "trialing")
def ends_the_trial(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    with scene.may_be_declined():
        scene.sdk.subscriptions.update(sight.live.id, {"trial_end": "now"})


# Cancellation and resumption


@action(9, lambda sight: sight.changeable and not sight.scheduled and not sight.live.cancel_at)
def cancels_at_the_end(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.sdk.subscriptions.update(sight.live.id, {"cancel_at_period_end": True})


@action(12, lambda sight: sight.live and sight.live.cancel_at and not sight.scheduled)
def resumes(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.sdk.subscriptions.update(sight.live.id, {"cancel_at_period_end": False})


@action(4, lambda sight: sight.live and not sight.scheduled)
def cancels_now(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.sdk.subscriptions.cancel(sight.live.id)


@action(20, lambda sight: sight.status == "paused")
def wakes_a_paused_one(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.world.card(party.customer)
    scene.sdk.subscriptions.resume(sight.live.id, {"billing_cycle_anchor": "now"})


@action(2, lambda sight: not sight.gone)
def is_deleted_at_stripe(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    party.deleted_at = scene.now(party)
    scene.sdk.customers.delete(party.customer)


@action(60, lambda sight: sight.gone)
def comes_back(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.new_customer(party)


# Payment methods and payments


@action(8, lambda sight: not sight.gone)
def replaces_the_card(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    card = scene.world.card(party.customer, dice.choice(["pm_card_visa", "pm_card_mastercard"]))
    if sight.live:
        scene.sdk.subscriptions.update(sight.live.id, {"default_payment_method": card})


@action(8, lambda sight: sight.live)
def the_card_goes_bad(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    card = scene.world.card(party.customer, "pm_card_chargeCustomerFail")
    scene.sdk.subscriptions.update(sight.live.id, {"default_payment_method": card})


@action(12, lambda sight: sight.owed)
def pays_what_is_owed(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    card = scene.world.card(party.customer)
    with scene.may_be_declined():
        scene.sdk.invoices.pay(dice.choice(sight.owed).id, {"payment_method": card})


@action(3, lambda sight: sight.owed)
def a_debt_is_forgiven(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    invoice = dice.choice(sight.owed)
    with scene.may_be_declined():
        scene.sdk.invoices.void_invoice(invoice.id) if dice.random() < 0.5 else scene.sdk.invoices.mark_uncollectible(invoice.id)


@action(6, lambda sight: any(not each.refunded and not each.disputed for each in sight.money))
def gets_money_back(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    charge = dice.choice([each for each in sight.money if not each.refunded and not each.disputed])
    left = charge.amount - charge.amount_refunded
    scene.sdk.refunds.create({"charge": charge.id, "amount": dice.choice([left, max(1, left // 3)])})


@action(4, lambda sight: any(not each.disputed and not each.refunded for each in sight.money))
def the_bank_takes_it_back(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    charge = dice.choice([each for each in sight.money if not each.disputed and not each.refunded])
    opened = scene.world.control("disputes", charge=charge.id)
    if dice.random() < 0.6:
        text = dice.choice(["winning_evidence", "losing_evidence"])
        scene.sdk.disputes.update(opened["id"], {"evidence": {"uncategorized_text": text}})


@action(3, lambda sight: sight.money)
def gets_a_credit_note(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    paid = [each for each in scene.invoices(party) if each.status == "paid" and each.amount_paid > each.post_payment_credit_notes_amount]
    if paid:
        with scene.may_be_declined():
            scene.sdk.credit_notes.create({"invoice": dice.choice(paid).id, "amount": 100, "credit_amount": 100})


# All actions


@action(2, lambda sight: True)
def a_product_is_described_anew(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    price = scene.sdk.prices.retrieve(scene.prices["pro", "month"])
    scene.sdk.products.update(str(price.product), {"description": f"Described {dice.randrange(10**6)}"})


@action(30, lambda sight: True)
def some_days_pass(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.forward(party, dice.randrange(1, 16) * DAY + dice.randrange(2 * HOUR))


@action(50, lambda sight: sight.live and sight.status != "incomplete")
def the_period_ends(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    left = sight.item.current_period_end - scene.now(party)
    scene.forward(party, max(HOUR, min(left, 40 * DAY)) + 2 * HOUR)
