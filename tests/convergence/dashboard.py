"""Actions of staff in Stripe's dashboard other than selling plans, and grants in the product's admin."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID, uuid5

from tests.convergence.actions import Action, Sight, registrar
from tests.convergence.stripe_fixture import Gift, Party, Scene
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


def arbitrary_metadata(dice: Random, organization_ids: Sequence[str] = ()) -> dict[str, str]:
    """Return up to four metadata entries. Some values name an object as the product does: a nonexistent one, or an organization."""
    values = [*VALUES, str(UUID(int=1)), *organization_ids]
    return {key: dice.choice(values) for key in dice.sample(KEYS, dice.randrange(1, 5))}


def _metadata(scene: Scene, dice: Random) -> dict[str, str]:
    return arbitrary_metadata(dice, [party.organization_id for party in scene.parties])


def _steady(sight: Sight) -> bool:
    return bool(sight.live) and sight.changeable and not sight.scheduled and not sight.live.cancel_at


def _items(scene: Scene, subscription: Any, rows: list[dict[str, Any]], behavior: str) -> None:
    with scene.may_be_declined():
        scene.sdk.subscriptions.update(
            subscription.id, {"items": rows, "proration_behavior": behavior, "payment_behavior": "error_if_incomplete"}
        )


# Other products


@action(10, lambda sight: not sight.gone and not sight.contract)
def signs_a_support_contract(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    with scene.may_be_declined():
        more = dice.choice([{}, {"trial_period_days": 5}, {"metadata": _metadata(scene, dice)}, {"payment_behavior": "default_incomplete"}])
        scene.world.subscribe(party.customer, dice.choice(scene.foreign), **more)


@action(4, lambda sight: sight.contract and sight.contract.status in ("active", "trialing"))
def changes_the_support_contract(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    item = sight.contract["items"].data[0]
    row = {"id": item.id, "price": dice.choice(scene.foreign), "quantity": dice.randrange(1, 4)}
    _items(scene, sight.contract, [row], dice.choice(["none", "always_invoice"]))


@action(4, lambda sight: sight.contract)
def ends_the_support_contract(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    if dice.random() < 0.5 and sight.contract.status == "active":
        scene.sdk.subscriptions.update(sight.contract.id, {"cancel_at_period_end": True})
    else:
        scene.sdk.subscriptions.cancel(sight.contract.id)


@action(4, lambda sight: _steady(sight) and not sight.extra)
def gets_a_foreign_item_beside_the_plan(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    _items(scene, sight.live, [{"price": dice.choice(scene.foreign)}], dice.choice(["none", "create_prorations", "always_invoice"]))


@action(3, lambda sight: _steady(sight) and sight.extra)
def loses_the_foreign_item(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    _items(scene, sight.live, [{"id": sight.extra.id, "deleted": True}], dice.choice(["none", "always_invoice"]))


@action(3, lambda sight: not sight.gone and not sight.live)
def is_sold_a_special_offer(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    """Subscribe to a price that was not published, with another item before it."""
    published = set(scene.prices.values())
    offer = dice.choice([price for price in scene.plans if price not in published])
    with scene.may_be_declined():
        rows = [{"price": dice.choice(scene.foreign[:2])}, {"price": offer, "quantity": dice.choice([1, 2])}]
        scene.sdk.subscriptions.create({"customer": party.customer, "items": rows})


@action(2, lambda sight: sight.live and sight.changeable)
def is_subscribed_twice(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    with scene.may_be_declined():
        scene.world.subscribe(party.customer, dice.choice(list(scene.plans)))


# Other fields of the dashboard


@action(8, lambda sight: not sight.gone)
def metadata_is_written(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    written = {"metadata": _metadata(scene, dice)}
    scene.sdk.customers.update(party.customer, written)
    for subscription in filter(None, [sight.live, sight.contract]):
        scene.sdk.subscriptions.update(subscription.id, {"metadata": _metadata(scene, dice)})
    # Prices belong to all customers; the metadata of a special offer may name its plan.
    scene.sdk.prices.update(dice.choice([*scene.foreign, *scene.prices.values()]), {"metadata": _metadata(scene, dice)})


@action(7, _steady)
def the_quantity_changes(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    behavior = dice.choice(["none", "create_prorations", "always_invoice"])
    _items(scene, sight.live, [{"id": sight.item.id, "quantity": dice.choice([1, 2, 5, 12])}], behavior)


@action(6, lambda sight: _steady(sight) and sight.status == "active")
def gets_free_days(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    end = scene.now(party) + dice.randrange(3, 25) * DAY
    scene.sdk.subscriptions.update(sight.live.id, {"trial_end": end, "proration_behavior": "none"})


@action(6, lambda sight: sight.live and sight.status in ("active", "past_due", "trialing") and not sight.live.pause_collection)
def collection_is_paused(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    pause: dict[str, Any] = {"behavior": dice.choice(["keep_as_draft", "mark_uncollectible", "void"])}
    if dice.random() < 0.4:
        pause["resumes_at"] = scene.now(party) + dice.randrange(2, 40) * DAY
    scene.sdk.subscriptions.update(sight.live.id, {"pause_collection": pause})


@action(9, lambda sight: sight.live and sight.live.pause_collection)
def collection_goes_on(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    scene.sdk.subscriptions.update(sight.live.id, {"pause_collection": ""})


@action(5, lambda sight: sight.live and sight.status != "incomplete")
def pays_by_debit(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    account = {"iban": dice.choice([PAYING_ACCOUNT, BOUNCING_ACCOUNT])}
    payer = {"name": "Ann Example", "email": "ann@example.com"}
    debit = scene.sdk.payment_methods.create({"type": "sepa_debit", "sepa_debit": account, "billing_details": payer}).id
    scene.sdk.payment_methods.attach(debit, {"customer": party.customer})
    scene.sdk.customers.update(party.customer, {"invoice_settings": {"default_payment_method": debit}})
    scene.sdk.subscriptions.update(sight.live.id, {"default_payment_method": debit})


# The product's admin


@action(7, lambda sight: len(sight.gifts) < 2)
def is_given_a_plan(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    starts = scene.moment(party) + dice.choice([0, 0, 0, 5]) * DAY
    ends = None if dice.random() < 0.2 else starts + dice.randrange(2, 50) * DAY + dice.randrange(DAY)
    reference = str(uuid5(UUID(party.organization_id), str(len(party.gifts))))
    party.gifts[reference] = Gift(reference, dice.choice(["pro", "enterprise"]), dice.choice(["gift", "staff"]), starts, ends)


@action(5, lambda sight: sight.gifts)
def a_gift_is_called_off(scene: Scene, party: Party, sight: Sight, dice: Random) -> None:
    gift = dice.choice(sight.gifts)
    # A grant that has not started is ended before its start.
    moment = max(scene.moment(party), gift.starts_at)
    party.gifts[gift.reference] = Gift(gift.reference, gift.plan, gift.source, gift.starts_at, gift.ends_at, moment)
