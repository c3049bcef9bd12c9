"""Chapters about money: checkout, the trial's end, a declined renewal, changes of mind."""

from datetime import datetime
from typing import Any

from .journey import Journey
from .report import Report, eventually, expect
from .stripe_side import DAY, HOUR

GOOD_CARD = "4242424242424242"
FAILS_WHEN_CHARGED = "4000000000000341"


def _card(number: str) -> dict[str, str]:
    return {"cardNumber": number, "cardExpiry": "12 / 34", "cardCvc": "123"}


def _subscription(journey: Journey) -> dict[str, Any]:
    found: dict[str, Any] = journey.api.get("/api/billing/subscription")
    return found


def _until(journey: Journey, within: float = 5, **wanted: Any) -> dict[str, Any]:
    """The subscription as the API shows it, once it has the wanted values."""

    def probe() -> dict[str, Any] | None:
        found = _subscription(journey)
        return found if all(found.get(name) == value for name, value in wanted.items()) else None

    try:
        return dict(eventually(probe, within=within, what=str(wanted)))
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {_subscription(journey)}") from None


def _told(found: dict[str, Any]) -> str:
    return f"plan {found['plan']}, status {found['status']}, period ends {found['currentPeriodEnd']}"


def buy(journey: Journey, report: Report) -> bool:
    def checkout() -> str:
        journey.checkout = journey.api.post("/api/billing/create-checkout-session", {"planTier": "pro", "interval": "month"})
        customer = journey.api.get("/api/organization")["stripeCustomerId"]
        journey.stripe.hang_on_clock(customer)
        return f"{journey.checkout['sessionId']}\n{journey.checkout['url']}\ncustomer {customer} hangs on test clock {journey.stripe.clock}"

    def pay() -> str:
        journey.browser.open(journey.checkout["url"])
        journey.browser.submit({**_card(GOOD_CARD), "billingName": "Ada Lovelace"})
        expect(journey.browser.address.startswith(journey.world.url), f"not back from paying: {journey.browser.address}")
        return f"paid with 4242, back at {journey.browser.address.split('?')[0]}"

    def trialing() -> str:
        return _told(_until(journey, within=2, plan="pro", status="trialing"))

    def passes() -> str:
        answer = journey.api.post("/api/usage/authorize", {"feature": "sessions"})
        return f"allowed: {answer['allowed']}"

    return (
        report.step("the published curl starts a Checkout", checkout)
        and report.step("the hosted page is paid with 4242", pay)
        and report.step("within 2 s the organization is on Pro, trialing", trialing)
        and report.step("the 51st session passes", passes)
    )


def months(journey: Journey, report: Report) -> bool:
    def trial_ends() -> str:
        journey.stripe.advance(14 * DAY + HOUR + 60)
        found = _until(journey, plan="pro", status="active")
        invoice = next((one for one in journey.stripe.invoices() if one.amount_paid == 900), None)
        expect(invoice is not None and invoice.status == "paid", "no paid invoice of $9.00")
        period = journey.api.get("/api/usage/current")
        start, end = (datetime.fromisoformat(period[name]) for name in ("periodStart", "periodEnd"))
        expect(start <= journey.stripe.now < end, f"the product counts in {start} to {end}, the customer's clock says {journey.stripe.now}")
        return f"$9.00 invoiced and paid; {_told(found)}\nthe product now counts from {period['periodStart']} to {period['periodEnd']}"

    def replace_card(number: str) -> None:
        portal = journey.api.post("/api/billing/create-portal-session")
        journey.browser.open(portal["url"])
        journey.browser.submit(_card(number), press="card")

    def declines() -> str:
        replace_card(FAILS_WHEN_CHARGED)
        end = journey.stripe.subscription()["items"].data[0].current_period_end
        journey.stripe.advance_to(end + HOUR + 60)
        return _told(_until(journey, status="past_due", plan="pro"))

    def grace() -> str:
        answer = journey.api.post("/api/usage/authorize", {"feature": "sessions"})
        return f"allowed: {answer['allowed']}; grace until {_subscription(journey)['graceUntil']}"

    def recovers() -> str:
        replace_card(GOOD_CARD)
        due = [one for one in journey.stripe.invoices() if one.status == "open"]
        if due:
            journey.stripe.stripe.v1.invoices.pay(str(due[0].id))
        return _told(_until(journey, status="active", plan="pro"))

    return (
        report.step("14 days pass on the customer's clock: the trial ends, the first month is paid", trial_ends)
        and report.step("the renewal declines: past due", declines)
        and report.step("access goes on in the grace period", grace)
        and report.step("the card is replaced and the invoice paid: active again", recovers)
    )


def change(journey: Journey, report: Report) -> bool:
    def upgrade() -> str:
        journey.api.post("/api/billing/change-plan", {"planTier": "enterprise", "interval": "month"})
        found = _until(journey, plan="enterprise", status="active")
        newest = journey.stripe.invoices()[0]
        return f"{_told(found)}; prorated invoice of ${newest.total / 100:.2f}, {newest.status}"

    def cancel() -> str:
        journey.api.post("/api/billing/cancel")
        found = _subscription(journey)
        expect(found["cancelAt"], f"it is not canceled: {found}")
        return f"still {found['plan']}, {found['status']}, until {found['cancelAt']}"

    def resume() -> str:
        journey.api.post("/api/billing/resume")
        return _told(_until(journey, cancelAt=None, status="active"))

    return (
        report.step("upgrade to Enterprise at once, prorated", upgrade)
        and report.step("cancel at the end of the period", cancel)
        and report.step("resume", resume)
    )
