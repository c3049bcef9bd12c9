"""The content of the panels of an organization's page."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.html import escape
from djstripe import models as mirror

from accounts import audit
from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent, Invitation, Membership, ServiceKey, User
from billing.models import Adjustment, BillingNotification, MeterReport, SubscriptionState
from contextmcp.backoffice.organization.sections import SECTIONS
from contextmcp.backoffice.organization.stripe_links import dashboard_link
from contextmcp.common.clock import now
from contextmcp.common.models import OutgoingEmail
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import key_of
from tests.factories.billing import Payer
from tests.factories.oauth import connect_app
from tests.factories.service_keys import service_key
from tests.factories.usage import OverageSettingFactory, UsageCounterFactory, subscribe
from tests.support.databases import without_triggers
from usage.models import NO_KEY, RefusalSummary, UsageAlert, UsageSummary, WebhookDelivery, WebhookEndpoint

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def root(db):
    return User.objects.create_superuser("staff@example.com", "x")


@pytest.fixture
def staff(root, sign_in):
    return sign_in(root)


@pytest.fixture
def read(staff, acme):
    """Return a function that returns the blocks of a panel of Acme's page."""

    def panel(section, name):
        url = reverse("backoffice:organization-section", args=[acme.pk, section])
        page = staff.get(url, headers={"HX-Request": "true"})
        assert page.status_code == 200
        return {shown.panel.name: shown.blocks for shown in page.context["panels"]}[name]

    return panel


def facts(block):
    return {name: cell.text for name, cell in block.items}


def cells(table):
    return [[cell.text for cell in row.cells] for row in table.rows]


def texts(cell):
    return (cell.text, *cell.lines)


def test_the_plan_panel_says_which_grant_wins_and_why(read, acme, root):
    subscribe(acme)
    manager = EntitlementsManager(acme)
    manager.grant("pro", "gift", reason="An apology", actor=root, ends_at=now() + DAY)
    manager.grant("enterprise", "staff", reason="A pilot", starts_at=now() + DAY)
    summary, grants = read("overview", "plan")
    assert facts(summary)["Plan"] == "Pro (version 1)"
    assert facts(summary)["Reason"] == "The subscription sub_1 grants it."
    assert [(row.cells[1].text, *texts(row.cells[4])) for row in grants.rows] == [
        ("subscription", "In effect"),
        ("gift", "No effect", "The subscription has the same plan"),
        ("staff", "Starts later"),
        ("-", "No effect", "A grant applies"),
    ]
    assert texts(grants.rows[1].cells[0])[1:] == ("An apology",)
    assert texts(grants.rows[1].cells[1])[1:] == ("by staff@example.com",)


def test_the_plan_panel_explains_the_free_plan(read):
    summary, grants = read("overview", "plan")
    assert facts(summary)["Reason"] == "No grant is active, so the free plan applies."
    assert cells(grants)[0][0::4] == ["Free plan", "In effect"]


def test_limits_show_use_credit_holds_and_overrides(read, acme, root):
    EntitlementsManager(acme).override("sessions", 60, reason="A promise", ends_at=now() + DAY, actor=root)
    UsageCounterFactory(organization=acme, used=59, held=2, credited=5)
    limits, booleans = read("overview", "limits")
    sessions = next(row.cells for row in limits.rows if "sessions, quota" in row.cells[0].lines)
    assert [texts(cell) for cell in sessions[1:5]] == [("60", "plus 5 credited"), ("59",), ("2",), ("4", "Nearly used up")]
    assert sessions[5].text.endswith("UTC")
    value, until, why = texts(sessions[6])
    assert (value, until.startswith("until "), why) == ("60", True, "A promise (staff@example.com)")
    rates = next(row.cells for row in limits.rows if "context_queries, rate limit" in row.cells[0].lines)
    assert [rates[2].text, rates[5].text] == ["-", "Every 60 s"]
    assert "Local sessions" in facts(booleans)["Included features"]


def test_an_expired_override_is_shown_without_effect(read, acme):
    EntitlementsManager(acme).override("sessions", 60, reason="A promise", ends_at=now() + DAY)
    with without_triggers("entitlements_override"):
        acme.overrides.update(ends_at=now() - DAY)
    limits = read("overview", "limits")[0]
    sessions = next(row.cells for row in limits.rows if "sessions, quota" in row.cells[0].lines)
    assert (sessions[1].text, sessions[6].text) == ("50", "60 (no effect)")
    assert cells(read("entitlements", "overrides")[0])[0][2] == "Expired"


def test_without_a_customer_there_is_no_subscription(read):
    assert read("overview", "subscription")[0].text == "No subscription: this organization has no Stripe customer."
    assert read("overview", "overage")[0].text.startswith("Not available")


@pytest.fixture
def payer(stripe_world, acme):
    return Payer.make(stripe_world, acme, clock=False)


def test_the_subscription_here_equals_the_one_at_stripe(read, payer, staff, acme):
    payer.buy()
    customer, subscription, compared, *_ = read("overview", "subscription")
    links = {name: cell.link for name, cell in (*customer.items, *subscription.items)}
    assert links["Stripe customer"] == f"https://dashboard.stripe.com/test/customers/{payer.customer}"
    assert links["Subscription at Stripe"] == f"https://dashboard.stripe.com/test/subscriptions/{payer.state.stripe_subscription_id}"
    assert ["Unit price", "$9.00", "$9.00"] in cells(compared)
    assert ["Plan", "pro version 1", "pro version 1"] in cells(compared)
    assert compared.note == "No differences as of the last sync."
    assert not any(row.marked for row in compared.rows)
    page = staff.get(reverse("admin:accounts_organization_change", args=[acme.pk]))
    assert page.context["problems"] == []
    assert page.context["plan_sentence"].startswith("Pro, $9.00 per month, renews ")


@pytest.mark.parametrize(("key", "mode"), [("sk_test_x", "/test"), ("rk_live_x", ""), ("sk_live_x", "")])
def test_dashboard_links_have_the_mode_of_the_key(settings, key, mode):
    settings.STRIPE_SECRET_KEY = key
    assert dashboard_link("invoices", "in_1") == f"https://dashboard.stripe.com{mode}/invoices/in_1"
    assert dashboard_link("customers", None) == ""


def test_differences_to_the_mirror_are_highlighted(read, payer, staff, acme):
    payer.buy()
    SubscriptionState.objects.update(status="past_due", unit_amount=800)
    compared = read("overview", "subscription")[2]
    assert [[cell.text for cell in row.cells] for row in compared.rows if row.marked] == [
        ["Status", "past due", "active"],
        ["Unit price", "$8.00", "$9.00"],
    ]
    page = staff.get(reverse("admin:accounts_organization_change", args=[acme.pk]))
    assert "The local subscription differs from Stripe." in [problem.text for problem in page.context["problems"]]
    assert 'class="organization-marked"' in page.text


def test_two_subscriptions_are_shown_and_reported(read, payer, staff, acme):
    payer.buy()
    payer.buy("enterprise")
    titles = [block.title for block in read("overview", "subscription") if getattr(block, "title", "").startswith("Subscription ")]
    assert len(titles) == 2
    page = staff.get(reverse("admin:accounts_organization_change", args=[acme.pk]))
    assert any("2 live subscriptions" in problem.text for problem in page.context["problems"])


def test_a_subscription_missing_on_one_side_is_shown(read, payer):
    payer.buy()
    state = SubscriptionState.objects.get()
    SubscriptionState.objects.all().delete()
    missing = read("overview", "subscription")[2]
    assert "This subscription exists at Stripe but not in the local data." in missing.note
    assert ["Status", "Missing", "active"] in cells(missing)
    state.save(force_insert=True)
    mirror.SubscriptionItem.objects.all().delete()
    mirror.Subscription.objects.all().delete()
    missing = read("overview", "subscription")[2]
    assert "This subscription exists in the local data but not in the Stripe mirror." in missing.note
    assert ["Status", "active", "Missing"] in cells(missing)
    SubscriptionState.objects.all().delete()
    assert read("overview", "subscription")[1].text == "The customer has no subscription."


def test_the_page_never_calls_stripe(staff, payer, acme, monkeypatch):
    payer.buy()

    def refuse(*arguments, **options):
        raise AssertionError("The page called Stripe.")

    monkeypatch.setattr("billing.stripe.gateway.client.call", refuse)
    monkeypatch.setattr("billing.stripe.gateway.client.pages", refuse)
    monkeypatch.setattr("requests.Session.request", refuse)
    assert staff.get(reverse("admin:accounts_organization_change", args=[acme.pk])).status_code == 200
    for section in SECTIONS:
        assert staff.get(reverse("backoffice:organization-section", args=[acme.pk, section])).status_code == 200


def test_comparing_with_stripe_lists_changes_and_stores_none(staff, payer, acme, root):
    payer.buy()
    url = reverse("backoffice:organization-compare", args=[acme.pk])
    assert "No differences. The local data matches Stripe." in staff.post(url).text
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"cancel_at_period_end": True})
    page = staff.post(url)
    assert ["Subscription: cancel at", payer.state.stripe_subscription_id, "-"] in [row[:3] for row in cells(page.context["table"])]
    assert payer.state.cancel_at is None
    events = AuditEvent.objects.filter(action="billing.compared", actor_user=root, organization=acme)
    assert [bool(event.after["differences"]) for event in events.order_by("id")] == [False, True]


def test_comparing_requires_a_permission_and_a_customer(staff, acme, sign_in, stripe_world):
    url = reverse("backoffice:organization-compare", args=[acme.pk])
    page = staff.post(url, follow=True)
    assert page.redirect_chain[0][0] == reverse("admin:accounts_organization_change", args=[acme.pk])
    assert not AuditEvent.objects.filter(action="billing.compared").exists()
    viewer = sign_in(User.objects.create_user("viewer@staff.example", is_staff=True))
    assert viewer.post(url).status_code == 403
    assert staff.get(url).status_code == 405


def test_overage_shows_cap_spending_and_reports(read, acme):
    subscribe(acme)
    OverageSettingFactory(organization=acme, cap_minor=200)
    UsageCounterFactory(organization=acme, used=1009)
    period = EntitlementsManager(acme).require("sessions").period(now())
    for number, (state, units) in enumerate([("sent", 4), ("pending", 3), ("dead", 2)], 1):
        MeterReport.objects.create(
            organization=acme,
            feature="sessions",
            period_start=period.start,
            sequence=number,
            units=units,
            identifier=f"m{number}",
            timestamp=now(),
            state=state,
        )
    shown = facts(read("overview", "overage")[0])
    assert shown == {
        "Feature": "Sessions at $0.02 per unit",
        "State": "On",
        "Monthly spending cap": "$2.00",
        "Used beyond the quota": "9 units, $0.18",
        "Reported to Stripe": "4 units",
        "Waiting to be sent": "3 units",
        "Not yet reported": "2 units",
        "Rejected by Stripe": "2 units",
    }


def test_invoices_have_readable_lines_and_links(read, payer, acme):
    payer.buy()
    Adjustment.objects.create(
        organization=acme, kind="refund", stripe_id="re_1", status="succeeded", amount=450, currency="usd", created_at=now()
    )
    invoice = acme.invoices.get()
    row = read("billing", "invoices")[0].rows[0]
    assert (row.cells[0].text, row.cells[1].text, row.cells[3].text) == (str(invoice), "paid", "$9.00")
    assert row.cells[4].text.startswith("$9.00: ")
    assert row.cells[5].link == f"https://dashboard.stripe.com/test/invoices/{invoice.stripe_invoice_id}"
    assert cells(read("billing", "adjustments")[0])[0][:3] == ["refund", "$4.50", "succeeded"]


def test_grants_and_overrides_show_who_and_why(read, acme, root):
    manager = EntitlementsManager(acme)
    manager.end_grant(manager.grant("pro", "gift", reason="An apology", actor=root), root)
    manager.override("sessions", None, reason="A promise", actor=root)
    grant, override = cells(read("entitlements", "grants")[0])[0], cells(read("entitlements", "overrides")[0])[0]
    assert (grant[0], grant[1], grant[2], grant[5], grant[6]) == ("pro v1", "gift", "Ended", "staff@example.com", "An apology")
    assert (override[1], override[2], override[5], override[6]) == ("unlimited", "In effect", "staff@example.com", "A promise")


def test_people_keys_and_apps_are_listed_with_their_states(read, acme, owner, member):
    Invitation.objects.create(organization=acme, email="a@b.example", token_digest=b"1", expires_at=now() - DAY, invited_by=owner.user)
    key_of(member.membership, ["usage:read"], name="Orphan")
    key_of(owner.membership, ["usage:read"], name="Production")
    connect_app(owner.membership)
    service_key()
    event = audit.record("usage.corrected", organization=acme, actor=None)
    with without_triggers("accounts_auditevent"):
        AuditEvent.objects.filter(pk=event.pk).update(actor_service_key=ServiceKey.objects.get())
    AuthManager(acme).remove_member(owner.caller, member.membership.pk)
    assert [row[:2] for row in cells(read("access", "members")[0])] == [[owner.user.email, "owner"]]
    assert cells(read("access", "invitations")[0])[0][:4] == ["a@b.example", "member", "Expired", owner.user.email]
    assert {row[0]: row[1] for row in cells(read("access", "keys")[0])} == {"Production": "Active", "Orphan": "Orphaned"}
    assert cells(read("access", "apps")[0])[0][:3] == ["Test app", owner.user.email, "Connected"]
    assert [row[1::2] for row in cells(read("access", "service-keys")[0])] == [["1", "Active"]]
    assert read("access", "keys")[0].rows[0].cells[0].lines[0] == ApiKey.objects.get(name="Production").hint


def test_owners_come_first_and_link_to_their_role(read, acme, owner, member):
    Membership.objects.filter(pk=owner.membership.pk).update(created_at=now() + DAY)
    rows = read("access", "members")[0].rows
    assert [row.cells[1].text for row in rows] == ["owner", "member"]
    action = reverse("backoffice:action", args=[acme.pk, "change-role"])
    assert rows[1].cells[1].link == f"{action}?member={member.membership.pk}"


def test_usage_is_charted_by_feature_key_and_member(read, acme, owner):
    key_of(owner.membership, ["usage:read"], name="Production")
    app, _ = connect_app(owner.membership)
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    shared = {"organization": acme, "grain": "d", "feature": "sessions", "events": 1}
    UsageSummary.objects.create(bucket=today, key_id=ApiKey.objects.get().pk, member_id=owner.user.pk, amount=8, **shared)
    UsageSummary.objects.create(bucket=today - DAY, key_id=NO_KEY, amount=4, **shared)
    UsageSummary.objects.create(bucket=today - DAY, key_id=app.pk, amount=1, **shared)
    UsageSummary.objects.create(bucket=today - 40 * DAY, key_id=NO_KEY, amount=100, **shared)
    (chart,) = read("usage", "usage-by-feature")[0].context["charts"]
    assert (chart.title, chart.total, chart.highest) == ("Sessions", 13, 8)
    assert [(column.amount, column.height) for column in chart.columns[-2:]] == [(5, 38), (8, 60)]
    assert [(bar.label, bar.amount, bar.length) for bar in read("usage", "usage-by-key")[0].context["bars"]] == [
        (str(ApiKey.objects.get()), 8, 100),
        ("Without a key", 4, 50),
        ("App: Test app", 1, 12),
    ]
    assert [(bar.label, bar.amount) for bar in read("usage", "usage-by-member")[0].context["bars"]] == [
        (owner.user.email, 8),
        ("Without a member", 5),
    ]


def test_the_timeline_shows_the_newest_entries(read, staff, acme, root):
    for number in range(25):
        EntitlementsManager(acme).override("sessions", 60 + number, reason=f"Ticket {number}", actor=root)
    block = read("activity", "timeline")[0]
    assert len(block.context["entries"]) == 20
    assert staff.get(block.context["more"]).status_code == 200
    page = staff.get(reverse("backoffice:organization-section", args=[acme.pk, "activity"])).text
    assert AuditEvent.objects.filter(action="staff.viewed", organization=acme).exists()
    assert all(escape(entry.sentence) in page for entry in block.context["entries"])
    assert "viewed the page of the organization" in staff.get(block.context["more"]).text


def test_refusals_are_listed_by_minute_and_by_day(read, acme, owner):
    assert read("activity", "refusals")[0].empty == "No refused requests in the last 7 days."
    key_of(owner.membership, ["usage:read"], name="Production")
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    shared = {"organization": acme, "code": "quota_exceeded", "feature": "sessions", "key_id": ApiKey.objects.get().pk}
    RefusalSummary.objects.create(minute=today - timedelta(minutes=2), count=3, **shared)
    RefusalSummary.objects.create(minute=today - timedelta(minutes=1), count=4, tool="search", **shared | {"key_id": NO_KEY})
    RefusalSummary.objects.create(minute=today - timedelta(minutes=5), count=5, **shared)
    RefusalSummary.objects.create(minute=today - 9 * DAY, count=9, **shared)
    newest, days = read("activity", "refusals")
    assert [row[1:] for row in cells(newest)] == [
        ["quota_exceeded", "Sessions", "Without a key", "search", "4"],
        ["quota_exceeded", "Sessions", str(ApiKey.objects.get()), "-", "3"],
        ["quota_exceeded", "Sessions", str(ApiKey.objects.get()), "-", "5"],
    ]
    assert [row[3:] for row in cells(days)] == [[str(ApiKey.objects.get()), "-", "8"], ["Without a key", "search", "4"]]


def test_more_than_ten_refusals_link_to_those_of_the_week(read, staff, acme):
    minute = now().replace(second=0, microsecond=0)
    for number in range(11):
        RefusalSummary.objects.create(organization=acme, minute=minute - number * timedelta(hours=10), code="rate_limited", count=1)
    newest = read("activity", "refusals")[0]
    assert len(newest.rows) == 10
    listing = staff.get(newest.more)
    assert listing.status_code == 200
    assert len(listing.context["cl"].result_list) == 11


def test_without_usage_there_is_no_chart(read):
    for name in ("usage-by-feature", "usage-by-key", "usage-by-member"):
        assert read("usage", name)[0].text == "No usage in the last 30 days."


def test_alerts_endpoints_and_emails_are_listed_with_states(read, acme):
    shared = {"period_start": now(), "period_end": now() + DAY}
    UsageAlert.objects.create(organization=acme, feature="sessions", kind="threshold_80", used=40, included=50, occurred_at=now(), **shared)
    endpoint = WebhookEndpoint.objects.create(
        organization=acme, url="https://a.example", event_types=["usage.alert"], secret=b"x", failing_since=now()
    )
    WebhookDelivery.objects.create(endpoint=endpoint, event_type="usage.alert", body="{}", state="failed", last_error="timeout")
    mail = {"recipients": ["a@b.example"], "from_email": "x@y.example", "expires_at": now(), "category": "invitation"}
    OutgoingEmail.objects.create(subject="Hello", state="sent", organization_id=acme.pk, sent_at=now(), **mail)
    OutgoingEmail.objects.create(subject="Another organization's", state="sent", **mail)
    BillingNotification.objects.create(organization=acme, kind="trial_ending", object_id="sub_1", transition="x", due_at=now() + DAY)
    assert cells(read("messages", "alerts")[0])[0][:4] == ["80% used", "Sessions", "40", "50"]
    row = read("messages", "webhooks")[0].rows[0]
    assert (row.cells[1].text, row.cells[3].text, row.cells[3].lines[-1]) == ("Failing", "failed", "timeout")
    emails, due = read("messages", "emails")
    assert [row[:3] for row in cells(emails)] == [["Hello", "a@b.example", "Sent"]]
    assert cells(due)[0][::3] == ["trial ending", "Scheduled"]


def test_every_link_of_every_panel_opens(read, staff, payer, acme, owner, member):
    payer.buy()
    EntitlementsManager(acme).grant("pro", "gift", reason="An apology")
    EntitlementsManager(acme).override("sessions", 7, reason="A promise")
    key_of(owner.membership, ["usage:read"])
    connect_app(owner.membership)
    for section in SECTIONS:
        url = reverse("backoffice:organization-section", args=[acme.pk, section])
        page = staff.get(url, headers={"HX-Request": "true"})
        tables = [block for shown in page.context["panels"] for block in shown.blocks if hasattr(block, "rows")]
        links = {cell.link for table in tables for row in table.rows for cell in row.cells} | {table.more for table in tables}
        for link in {link for link in links if link.startswith("/")}:
            assert staff.get(link).status_code == 200, link


def test_all_filtered_lists_accept_the_organization(staff, acme):
    for label in (
        "entitlements_grant",
        "entitlements_override",
        "usage_usagecounter",
        "usage_usagealert",
        "usage_webhookendpoint",
        "billing_subscriptionstate",
        "billing_meterreport",
        "billing_invoice",
        "billing_adjustment",
        "billing_drift",
        "billing_billingnotification",
        "accounts_membership",
        "accounts_invitation",
        "accounts_apikey",
    ):
        page = staff.get(reverse(f"admin:{label}_changelist"), {"organization__id__exact": str(acme.pk)})
        assert page.status_code == 200, label
    page = staff.get(reverse("admin:accounts_oauthgrant_changelist"), {"membership__organization__id__exact": str(acme.pk)})
    assert page.status_code == 200
