"""Chapters about payments: checkout, the end of the trial, a declined renewal, plan changes and cancellation."""

from datetime import datetime
from typing import Any

from .context import Journey
from .mcp_tools import passes_again
from .report import Report, eventually, expect
from .stripe_side import DAY, HOUR

GOOD_CARD = "4242424242424242"
FAILS_WHEN_CHARGED = "4000000000000341"


def _card(number: str) -> dict[str, str]:
    return {"cardNumber": number, "cardExpiry": "12 / 34", "cardCvc": "123"}


def _subscription(journey: Journey) -> dict[str, Any]:
    subscription: dict[str, Any] = journey.api.get("/api/billing/subscription")
    return subscription


def _until(journey: Journey, **expected: Any) -> dict[str, Any]:
    """Wait until the subscription in the API has these values, and return it."""

    def probe() -> dict[str, Any] | None:
        subscription = _subscription(journey)
        return subscription if all(subscription.get(name) == value for name, value in expected.items()) else None

    try:
        return dict(eventually(probe, what=str(expected)))
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {_subscription(journey)}") from None


def _allowed(journey: Journey, body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the gate's response, or None while the gate refuses the call. A refused call is not charged."""
    answer = journey.api.call("POST", "/api/usage/authorize", body, base=journey.world.gate_url)
    return dict(answer.json()) if answer.status_code == 200 else None


def _describe(subscription: dict[str, Any]) -> str:
    return f"plan {subscription['plan']}, status {subscription['status']}, period ends {subscription['currentPeriodEnd']}"


def buy(journey: Journey, report: Report) -> bool:
    offer = journey.offer
    plan, title = offer.plan["plan"], offer.plan["title"]
    status = "trialing" if offer.plan["trialDays"] else "active"

    def checkout() -> str:
        journey.checkout = journey.api.post("/api/billing/create-checkout-session", {"planTier": plan, "interval": offer.interval})
        customer = journey.api.get("/api/organization")["stripeCustomerId"]
        journey.stripe.attach_test_clock(customer)
        return f"{journey.checkout['sessionId']}\n{journey.checkout['url']}\ncustomer {customer} uses test clock {journey.stripe.clock}"

    def pay() -> str:
        journey.browser.open(journey.checkout["url"])
        journey.browser.submit({**_card(GOOD_CARD), "billingName": "Ada Lovelace"})
        expect(
            journey.browser.address.startswith(journey.world.url),
            f"the browser did not return after the payment: {journey.browser.address}",
        )
        return f"paid with 4242, back at {journey.browser.address.split('?')[0]}"

    def subscribed() -> str:
        return _describe(_until(journey, plan=plan, status=status))

    def passes() -> str:
        answer = journey.api.post("/api/usage/authorize", {"feature": offer.quota})
        if not offer.rate:
            return f"allowed: {answer['allowed']}"
        body = {"items": [{"feature": offer.quota}, {"feature": offer.rate}]}
        both = eventually(lambda: _allowed(journey, body), what="the gate allows it")
        return f"allowed: {answer['allowed']}, and at {journey.world.gate_url} together with its rate: {both['allowed']}"

    return (
        report.step("the documented curl command starts a Checkout", checkout)
        and report.step("the hosted page accepts the test card 4242", pay)
        and report.step(f"the organization is on {title}, {status}", subscribed)
        and report.step("the call that was refused passes", passes)
        and (journey.world.notes_port is None or report.step("the tool call that was refused passes", lambda: passes_again(journey)))
    )


def months(journey: Journey, report: Report) -> bool:
    offer = journey.offer
    plan, trial_days = offer.plan["plan"], offer.plan["trialDays"]

    def first_payment() -> str:
        if trial_days:
            journey.stripe.advance(trial_days * DAY + HOUR + 60)
        amount = offer.price["amount"]
        subscription = _until(journey, plan=plan, status="active")
        invoice = next((one for one in journey.stripe.invoices() if one.amount_paid == amount), None)
        expect(invoice is not None and invoice.status == "paid", f"no paid invoice of {offer.money(amount)}")
        period = journey.api.get("/api/usage/current")
        start, end = (datetime.fromisoformat(period[name]) for name in ("periodStart", "periodEnd"))
        expect(start <= journey.stripe.now < end, f"the product counts in {start} to {end}, the customer's clock says {journey.stripe.now}")
        counts = f"the product now counts from {period['periodStart']} to {period['periodEnd']}"
        return f"{offer.money(amount)} invoiced and paid; {_describe(subscription)}\n{counts}"

    def replace_card(number: str) -> None:
        portal = journey.api.post("/api/billing/create-portal-session")
        journey.browser.open(portal["url"])
        journey.browser.submit(_card(number), press="card")

    def declines() -> str:
        replace_card(FAILS_WHEN_CHARGED)
        end = journey.stripe.subscription()["items"].data[0].current_period_end
        journey.stripe.advance_to(end + HOUR + 60)
        return _describe(_until(journey, status="past_due", plan=plan))

    def grace() -> str:
        answer = journey.api.post("/api/usage/authorize", {"feature": offer.quota})
        expect(_subscription(journey)["plan"] == plan, "the plan ended with the failed payment")
        return f"allowed: {answer['allowed']}; grace until {_subscription(journey)['graceUntil']}"

    def recovers() -> str:
        replace_card(GOOD_CARD)
        open_invoices = [one for one in journey.stripe.invoices() if one.status == "open"]
        if open_invoices:
            journey.stripe.stripe.v1.invoices.pay(str(open_invoices[0].id))
        return _describe(_until(journey, status="active", plan=plan))

    paid = f"the first {offer.interval} is paid"
    return (
        report.step(f"{trial_days} days pass on the customer's clock: the trial ends, {paid}" if trial_days else paid, first_payment)
        and report.step("the renewal payment is declined: past due", declines)
        and report.step("access continues during the grace period", grace)
        and report.step("the card is replaced and the invoice paid: active again", recovers)
    )


def change(journey: Journey, report: Report) -> bool:
    offer = journey.offer

    def upgrade(plan: str) -> str:
        journey.api.post("/api/billing/change-plan", {"planTier": plan, "interval": offer.interval})
        subscription = _until(journey, plan=plan, status="active")
        newest = journey.stripe.invoices()[0]
        return f"{_describe(subscription)}; prorated invoice of {offer.money(newest.total)}, {newest.status}"

    def cancel() -> str:
        journey.api.post("/api/billing/cancel")
        subscription = _subscription(journey)
        expect(subscription["cancelAt"], f"no cancellation is scheduled: {subscription}")
        return f"still {subscription['plan']}, {subscription['status']}, until {subscription['cancelAt']}"

    def resume() -> str:
        journey.api.post("/api/billing/resume")
        return _describe(_until(journey, cancelAt=None, status="active"))

    higher = offer.higher_plan
    return (
        (not higher or report.step(f"upgrade to {higher['title']} at once, prorated", lambda: upgrade(higher["plan"])))
        and report.step("cancel at the end of the period", cancel)
        and report.step("resume", resume)
    )
