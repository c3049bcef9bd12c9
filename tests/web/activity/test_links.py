"""Each entry leads to where a member can do something about it, and offers only what the role may do."""

from datetime import timedelta

import pytest

from accounts import audit
from billing.models import Invoice, SubscriptionState
from contextmcp.common.clock import now
from contextmcp.common.models import OutgoingEmail
from contextmcp.web.activity import Kind, timeline
from contextmcp.web.activity.sentences import refusals
from contextmcp.web.activity.visibility import restrictions, visible_kinds
from tests.factories.usage import subscribe
from usage.models import RefusalSummary, UsageAlert

pytestmark = pytest.mark.django_db


def links(person, kind):
    """Return (text of the link, URL) of the entries of a kind, newest first. The text is empty if the link does not act."""
    shown = timeline(person.organization, audience="customer", kinds=frozenset({kind}), **restrictions(person.caller)).entries
    return [(entry.action, entry.link) for entry in shown]


def refuse(organization, code, feature="", minutes=0):
    minute = now().replace(second=0, microsecond=0) - timedelta(minutes=minutes)
    RefusalSummary.objects.create(organization=organization, minute=minute, code=code, feature=feature, count=1)


@pytest.mark.parametrize(
    ("code", "feature", "owner_link", "member_link"),
    [
        ("quota_exceeded", "sessions", ("See plans", "/pricing/"), ("View usage", "/account/usage/")),
        ("overage_cap_reached", "sessions", ("Raise the cap", "/account/billing/#overage"), ("View usage", "/account/usage/")),
        ("limit_reached", "projects", ("See plans", "/pricing/"), ("View usage", "/account/usage/")),
        ("limit_reached", "team_members", ("Manage members", "/account/team/"), ("View usage", "/account/usage/")),
        ("rate_limited", "context_queries", ("See plans", "/pricing/"), ("View usage", "/account/usage/")),
        ("feature_not_available", "sso_integration", ("See plans", "/pricing/"), ("View usage", "/account/usage/")),
        ("tool_not_available", "", ("See plans", "/pricing/"), ("View usage", "/account/usage/")),
        ("payment_required", "", ("Pay invoice", "/account/billing/"), ("View usage", "/account/usage/")),
        ("plan_inactive", "", ("View billing", "/account/billing/"), ("View usage", "/account/usage/")),
        ("insufficient_scope", "", ("Create another key", "/account/keys/#create"), ("Create another key", "/account/keys/#create")),
        ("permission_denied", "", ("Change a role", "/account/team/"), ("View usage", "/account/usage/")),
        ("validation_error", "", ("Open the API reference", "/api/docs"), ("Open the API reference", "/api/docs")),
        ("temporarily_unavailable", "", ("", "/account/usage/"), ("", "/account/usage/")),
        ("code_of_tomorrow", "", ("", "/account/usage/"), ("", "/account/usage/")),
    ],
)
def test_a_refusal_leads_to_its_remedy(acme, owner, member, code, feature, owner_link, member_link):
    refuse(acme, code, feature)
    assert links(owner, Kind.REFUSAL) == [owner_link]
    assert links(member, Kind.REFUSAL) == [member_link]


def test_every_known_reason_was_decided_on():
    """A refusal with a new code needs a reason in words, and a decision where it leads."""
    assert set(refusals._REASONS) == {
        "quota_exceeded", "overage_cap_reached", "limit_reached", "rate_limited", "feature_not_available", "plan_inactive",
        "payment_required", "unknown_feature", "insufficient_scope", "permission_denied", "tool_not_available", "validation_error",
        "malformed_request", "payload_too_large", "idempotency_conflict", "hold_already_ended", "release_exceeds_usage",
        "temporarily_unavailable", "overloaded", "not_found",
    }  # fmt: skip


def test_a_used_up_quota_leads_to_overage_where_the_plan_sells_it(acme, owner, admin):
    subscribe(acme)
    refuse(acme, "quota_exceeded", "sessions")
    assert links(owner, Kind.REFUSAL) == [("Set up overage", "/account/billing/#overage")]
    assert links(admin, Kind.REFUSAL) == [("View usage", "/account/usage/")]


def test_an_open_invoice_is_paid_by_those_who_can(acme, owner, admin):
    present = now()
    amounts = {"subtotal": 900, "total": 900, "amount_due": 900, "currency": "usd", "created_at": present, "amount_paid": 0}
    failed = {"amount_remaining": 900, "status": "open", "failed_at": present}
    Invoice.objects.create(organization=acme, stripe_invoice_id="in_1", number="A-1", **amounts, **failed)
    assert links(owner, Kind.PAYMENT) == [("Pay invoice", "/account/billing/")] * 2
    assert links(admin, Kind.PAYMENT) == [("", "/account/billing/")] * 2
    Invoice.objects.update(status="paid", paid_at=present, amount_paid=900)
    assert links(owner, Kind.PAYMENT) == [("", "/account/billing/")] * 2


def test_an_overdue_plan_leads_to_the_invoice(acme, owner, member):
    audit.record("grant.changed", organization=acme, actor=None, before={"plan": "pro v1"}, after={"plan": "pro v1", "lapsed": True})
    assert links(owner, Kind.PLAN)[0] == ("Pay invoice", "/account/billing/")
    assert links(member, Kind.PLAN)[0] == ("", "/pricing/")


def test_a_disabled_webhook_endpoint_is_enabled_by_owners(acme, owner, admin):
    audit.record("webhook_endpoint.disabled", organization=acme, actor=None, after={"url": "https://x.example"})
    assert links(owner, Kind.WEBHOOK) == [("Enable it again", "/account/settings/webhooks/")]
    assert links(admin, Kind.WEBHOOK) == [("", "")]


def test_a_canceled_subscription_is_resumed_until_it_ended(acme, owner, admin):
    present = now() - timedelta(minutes=1)
    state = SubscriptionState.objects.create(
        organization=acme, stripe_subscription_id="sub_1", status="active", currency="usd", started_at=present, anchor=present,
        canceled_at=present, cancel_at=present + timedelta(days=9),
    )  # fmt: skip
    assert ("Resume subscription", "/account/billing/") in links(owner, Kind.PAYMENT)
    assert {action for action, _ in links(admin, Kind.PAYMENT)} == {""}
    state.status, state.ended_at = "canceled", present
    state.save()
    assert links(owner, Kind.PAYMENT).count(("See plans", "/pricing/")) == 2


def test_alerts_lead_to_the_plans_or_to_the_key_that_caused_them(acme, owner, member):
    hour = now().replace(minute=0, second=0, microsecond=0)
    alert = {"organization": acme, "feature": "sessions", "period_start": hour, "period_end": hour, "used": 90, "occurred_at": hour}
    UsageAlert.objects.create(kind=UsageAlert.Kind.SPIKE, hour=hour, **alert)
    query = f"feature=sessions&by=key&period=custom&since={hour:%Y-%m-%d}&until={hour:%Y-%m-%d}"
    assert links(owner, Kind.USAGE) == [("See which key", f"/account/usage/?{query}")]
    UsageAlert.objects.create(kind=UsageAlert.Kind.THRESHOLD_80, included=100, **alert)
    assert ("See plans", "/pricing/") in links(owner, Kind.USAGE)
    assert ("View usage", "/account/usage/") in links(member, Kind.USAGE)


def test_an_email_that_failed_leads_to_its_address(acme, owner, admin):
    values = {"organization_id": acme.pk, "recipients": ["x@y.example"], "from_email": "a@b.example", "subject": "S", "expires_at": now()}
    for category in ("billing.receipt", "invitation"):
        OutgoingEmail.objects.create(category=category, state=OutgoingEmail.State.FAILED, **values)
    assert sorted(links(owner, Kind.EMAIL)) == [("Check the address", "/account/settings/"), ("View invitations", "/account/team/")]
    assert sorted(links(admin, Kind.EMAIL)) == [("", ""), ("View invitations", "/account/team/")]
    OutgoingEmail.objects.update(state=OutgoingEmail.State.SENT)
    assert set(links(owner, Kind.EMAIL)) == {("", "")}


def test_every_link_of_an_entry_opens_for_its_reader(acme, owner, admin, member, viewer, sign_in):
    from tests.web.activity.rows import fill

    fill(acme, owner.user, 4)
    for code in refusals._REASONS:
        refuse(acme, code, "sessions")
    for person in (owner, admin, member, viewer):
        client = sign_in(person)
        entries = timeline(acme, audience="customer", kinds=visible_kinds(person.caller), limit=200, **restrictions(person.caller)).entries
        for link in {entry.link for entry in entries if entry.link}:
            assert client.get(link).status_code == 200, (person.membership.role, link)
