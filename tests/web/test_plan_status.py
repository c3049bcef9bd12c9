"""The sentence about the plan and what is next, in every state. test_every_page.py reads it on the pages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from billing.types import CollectionPause, DunningState, PaymentMethod, PendingChange, Subscription, UpcomingChange
from contextmcp.web.plan_status import plan_status, price_title
from entitlements.types import Source

JAN, FEB, MAR = (datetime(2100, month, 3, 12, tzinfo=UTC) for month in (1, 2, 3))
CARD = PaymentMethod("card", "Visa ending in 4242", "visa", "4242", 12, 2101)
ACTIVE = Subscription(
    plan="pro",
    plan_version=1,
    status="active",
    interval="month",
    amount=900,
    discounted_amount=900,
    quantity=1,
    currency="usd",
    current_period_start=JAN,
    current_period_end=FEB,
    payment_method=CARD,
    subscribed_plan="pro",
)
TRIAL = replace(ACTIVE, status="trialing", trial_end=FEB)
PAST_DUE = replace(ACTIVE, status="past_due", past_due_since=JAN, grace_until=FEB)
DUE = DunningState("started", JAN, FEB, 900, "usd", "https://stripe.example/i")
NONE = Subscription(plan="free", plan_version=1, status="none")
TO_ENTERPRISE = UpcomingChange("plan", FEB, "enterprise", "month", 2900, 2900)


def status(subscription, *, plan="pro", source=Source.SUBSCRIPTION, next_plan=None, dunning=None, lapsed=None, resets_at=MAR):
    titles = {"free": "Free", "pro": "Pro", "enterprise": "Enterprise"}
    return plan_status(
        SimpleNamespace(
            subscription=subscription,
            entitlements=SimpleNamespace(plan=plan, plan_title=titles[plan], source=source, lapsed_plan=lapsed),
            next_plan=(next_plan[0], SimpleNamespace(plan_title=titles[next_plan[1]])) if next_plan else None,
            dunning=dunning,
            usage=[SimpleNamespace(feature="sessions", resets_at=resets_at)] if resets_at else [],
            organization=SimpleNamespace(clock_offset=timedelta()),
        )
    )


FREE = {"plan": "free", "source": Source.FREE}
GIFT = {"plan": "enterprise", "source": Source.GIFT}
TO_FREE = {"next_plan": (FEB, "free")}
STATES = [
    ("free", NONE, FREE, "", "You're on Free at no charge, and your sessions reset on March 3, 2100."),
    ("free without a quota", NONE, FREE | {"resets_at": None}, "", "You're on Free at no charge."),
    (
        "ended",
        replace(ACTIVE, status="canceled", ended_at=datetime.now(UTC) - timedelta(days=1)),
        FREE,
        "",
        f"Your Pro subscription ended on {datetime.now(UTC) - timedelta(days=1):%B %-d, %Y}, and you are now on Free at no charge.",
    ),
    (
        "ended long ago",
        replace(ACTIVE, status="canceled", ended_at=JAN.replace(year=2001)),
        FREE,
        "",
        "You're on Free at no charge, and your",
    ),
    ("gift", NONE, GIFT, "ok", "Enterprise is complimentary and has no end date."),
    ("gift with an end", NONE, GIFT | TO_FREE, "ok", "Enterprise is complimentary until February 3, 2100, when you move to Free."),
    (
        "trial by staff",
        NONE,
        {"plan": "pro", "source": Source.TRIAL} | TO_FREE,
        "ok",
        "Your Pro trial ends on February 3, 2100 without a charge, and you then move to Free.",
    ),
    ("lapsed", NONE, FREE | {"lapsed": "pro"}, "bad", "Your Pro subscription is paused until the open invoice is paid."),
    ("active", ACTIVE, {}, "ok", "Pro renews on February 3, 2100 at $9.00 per month."),
    ("yearly", replace(ACTIVE, interval="year"), {}, "ok", "Pro renews on February 3, 2100 at $9.00 per year."),
    ("discount", replace(ACTIVE, discounted_amount=720), {}, "ok", "Pro renews on February 3, 2100 at $7.20 after your discount."),
    ("no amount", replace(ACTIVE, amount=None, discounted_amount=None), {}, "ok", "Pro renews on February 3, 2100."),
    ("unknown price", replace(ACTIVE, subscribed_plan=""), FREE, "ok", "ContextMCP renews on February 3, 2100 at $9.00 per month."),
    ("trial", TRIAL, {}, "ok", "Your Pro trial is free until February 3, 2100, then $9.00 per month unless you cancel first."),
    (
        "trial without a card",
        replace(TRIAL, payment_method=None),
        {},
        "ok",
        "Your Pro trial ends on February 3, 2100; add a payment method before then to keep Pro.",
    ),
    ("free days", replace(TRIAL, has_free_days=True), {}, "ok", "Pro is free until February 3, 2100, then $9.00 per month."),
    (
        "canceled",
        replace(ACTIVE, cancel_at=FEB),
        TO_FREE,
        "warn",
        "Pro is canceled and stays active until February 3, 2100, when you move to Free.",
    ),
    (
        "canceled, to a gift",
        replace(ACTIVE, cancel_at=FEB, subscribed_plan="enterprise"),
        {"plan": "enterprise", "next_plan": (FEB, "pro")},
        "warn",
        "Enterprise is canceled and stays active until February 3, 2100, when you move to Pro.",
    ),
    (
        "canceled, with a gift of the same plan",
        replace(ACTIVE, cancel_at=FEB),
        {},
        "warn",
        "Your Pro subscription is canceled and ends on February 3, 2100, and you keep Pro free of charge.",
    ),
    (
        "canceled trial",
        replace(TRIAL, cancel_at=FEB),
        TO_FREE,
        "warn",
        "Your Pro trial ends on February 3, 2100 without a charge, and you then move to Free.",
    ),
    (
        "trial, canceled after its first payment",
        replace(TRIAL, cancel_at=MAR),
        {"next_plan": (MAR, "free")},
        "warn",
        "Pro is canceled and stays active until March 3, 2100, when you move to Free.",
    ),
    (
        "downgrade",
        replace(ACTIVE, subscribed_plan="enterprise", upcoming_change=UpcomingChange("plan", FEB, "pro", "month", 900, 900)),
        {"plan": "enterprise"},
        "ok",
        "Your plan changes from Enterprise to Pro on February 3, 2100, at $9.00 per month.",
    ),
    (
        "downgrade with a discount",
        replace(ACTIVE, subscribed_plan="enterprise", upcoming_change=UpcomingChange("plan", FEB, "pro", "month", 900, 450)),
        {"plan": "enterprise"},
        "ok",
        "Your plan changes from Enterprise to Pro on February 3, 2100, at $4.50 after your discount.",
    ),
    (
        "to monthly billing",
        replace(ACTIVE, interval="year", upcoming_change=UpcomingChange("plan", FEB, "pro", "month", 900, 900)),
        {},
        "ok",
        "Pro switches to monthly billing on February 3, 2100, at $9.00 per month.",
    ),
    (
        "to yearly billing",
        replace(ACTIVE, upcoming_change=UpcomingChange("plan", FEB, "pro", "year", 9000, 9000)),
        {},
        "ok",
        "Pro switches to yearly billing on February 3, 2100, at $90.00 per year.",
    ),
    (
        "waiting for confirmation",
        replace(ACTIVE, upcoming_change=TO_ENTERPRISE, pending_change=PendingChange("enterprise", "month", 1855, "usd", "https://x", FEB)),
        {},
        "warn",
        "Confirm the payment of $18.55 by February 3, 2100 to change to Enterprise.",
    ),
    (
        "waiting, of an unknown amount",
        replace(ACTIVE, pending_change=PendingChange("enterprise", "month", None, "usd", "https://x", FEB)),
        {},
        "warn",
        "Confirm the payment by February 3, 2100 to change to Enterprise.",
    ),
    ("past due", PAST_DUE, {"dunning": DUE}, "bad", "Pay the open invoice of $9.00 by February 3, 2100 to keep Pro."),
    (
        "past due, of an unknown amount",
        PAST_DUE,
        {"dunning": replace(DUE, amount=None)},
        "bad",
        "Pay the open invoice by February 3, 2100 to keep Pro.",
    ),
    (
        "past due and canceled",
        replace(PAST_DUE, cancel_at=FEB),
        {"dunning": DUE} | TO_FREE,
        "warn",
        "Pro is canceled and stays active until February 3, 2100, when you move to Free.",
    ),
    (
        "grace over",
        PAST_DUE,
        FREE | {"dunning": replace(DUE, stage="over"), "lapsed": "pro"},
        "bad",
        "Your Pro subscription is paused until the open invoice of $9.00 is paid.",
    ),
    (
        "unpaid",
        replace(PAST_DUE, status="unpaid"),
        FREE | {"dunning": replace(DUE, stage="over", amount=None)},
        "bad",
        "Your Pro subscription is paused until the open invoice is paid.",
    ),
    (
        "payments paused",
        replace(ACTIVE, collection_pause=CollectionPause("void", MAR)),
        {},
        "warn",
        "Payments are paused until March 3, 2100, and Pro stays active.",
    ),
    (
        "payments paused without an end",
        replace(ACTIVE, collection_pause=CollectionPause("void", None)),
        {},
        "warn",
        "Payments are paused, and Pro stays active.",
    ),
    ("incomplete", replace(ACTIVE, status="incomplete"), FREE, "warn", "Your Pro subscription starts once its first payment is complete."),
    (
        "paused",
        replace(ACTIVE, status="paused"),
        FREE,
        "warn",
        "Your Pro subscription is paused because its trial ended without a payment method.",
    ),
]


@pytest.mark.parametrize(("subscription", "more", "tone", "sentence"), [row[1:] for row in STATES], ids=[row[0] for row in STATES])
def test_the_sentence_of_each_state(subscription, more, tone, sentence):
    result = status(subscription, **more)
    assert (result.sentence[: len(sentence)], result.tone) == (sentence, tone)
    assert result.label


def test_a_plan_that_staff_gave_beside_a_subscription_has_its_own_sentence():
    result = status(ACTIVE, **GIFT | {"next_plan": (FEB, "pro")})
    assert result.sentence == "Pro renews on February 3, 2100 at $9.00 per month."
    assert result.note == "Enterprise is complimentary until February 3, 2100, when you move to Pro."
    canceled = status(replace(ACTIVE, cancel_at=MAR), **GIFT | {"next_plan": (FEB, "pro")})
    assert canceled.sentence == "Your Pro subscription is canceled and ends on March 3, 2100."
    assert status(PAST_DUE, **GIFT | {"dunning": replace(DUE, stage="over"), "lapsed": "pro"}).note.startswith(
        "Enterprise is complimentary"
    )


def test_the_price_is_that_of_the_current_plan():
    def price(subscription, plan):
        return price_title(SimpleNamespace(subscription=subscription, entitlements=SimpleNamespace(plan=plan)))

    assert price(ACTIVE, "pro") == "$9.00 per month"
    assert price(ACTIVE, "enterprise") == price(NONE, "free") == price(replace(ACTIVE, amount=None), "pro") == ""


@pytest.mark.parametrize(
    ("month", "year", "moment", "expired"),
    [
        (12, 2099, datetime(2100, 1, 1, tzinfo=UTC), True),
        (12, 2099, datetime(2099, 12, 31, 23, 59, tzinfo=UTC), False),
        (1, 2100, datetime(2100, 2, 1, tzinfo=UTC), True),
        (None, None, datetime(2100, 2, 1, tzinfo=UTC), False),
    ],
)
def test_a_card_expires_at_the_end_of_its_month(month, year, moment, expired):
    assert replace(CARD, exp_month=month, exp_year=year).expires_by(moment) is expired
