"""The search box of the admin finds what customers and Stripe quote, by an index, and shows no secret."""

import sys
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.views.debug import ExceptionReporter
from djstripe import models as mirror

from accounts import audit
from accounts.key_format import generate
from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent, Invitation, User
from billing.models import Adjustment, BillingAccount, CheckoutAttempt, Invoice, SubscriptionState, WebhookEvent
from contextmcp.backoffice.search.query import parse
from contextmcp.common.clock import now
from contextmcp.common.logs import request_id
from tests.factories.accounts import MembershipFactory, OrganizationFactory, UserFactory
from tests.factories.service_keys import service_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff():
    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.com", "x"))
    return client


@pytest.fixture
def billing(acme):
    """Billing objects of Acme: one of each kind that the search finds."""
    shared = {"organization": acme, "currency": "usd"}
    card = {"type": "card", "brand": "visa", "last4": "4242"}
    BillingAccount.objects.create(organization=acme, stripe_customer_id="cus_A1", payment_method=card)
    SubscriptionState.objects.create(organization=acme, stripe_subscription_id="sub_A1", status="active", started_at=now(), anchor=now())
    amounts = dict.fromkeys(("subtotal", "total", "amount_due", "amount_paid", "amount_remaining"), 900)
    Invoice.objects.create(
        **shared, **amounts, stripe_invoice_id="in_A1", number="4F2A-0001", status="paid", payment_ids="pi_A1 ch_A1", created_at=now()
    )
    Adjustment.objects.create(
        **shared,
        kind="refund",
        stripe_id="re_A1",
        stripe_charge_id="ch_A2",
        stripe_payment_intent_id="pi_A2",
        status="succeeded",
        amount=400,
        created_at=now(),
    )
    CheckoutAttempt.objects.create(organization=acme, plan="pro", interval="month", session_id="cs_test_A1")
    WebhookEvent.objects.create(event_id="evt_A1", type="invoice.paid", payload={})


def search(client, text, **more):
    return client.post("/admin/find/", {"q": text, **more})


def hits(page):
    return {group.resolver.name: [hit.title for hit in group.hits] for group in page.context["groups"]}


ORGANIZATION = "/admin/accounts/organization/"
BILLING = "/admin/billing/"


@pytest.mark.parametrize(
    "text",
    [
        "owner@acme.example",
        "OWNER@acme",
        "owner@acm",
        "acme",
        "Acm",
        " acme ",
        "{id}",
        "cus_A1",
        "4242",
        "visa 4242",
        "Visa •••• 4242",
        "**** 4242",
    ],
)
def test_the_organization_is_opened(staff, acme, billing, text):
    answer = search(staff, text.format(id=acme.pk))
    assert answer.url == f"{ORGANIZATION}{acme.pk}/change/"


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("sub_A1", "subscriptionstate"),
        ("in_A1", "invoice"),
        ("4f2a-0001", "invoice"),
        ("4F2A-", "invoice"),
        ("pi_A1", "invoice"),
        ("ch_A1", "invoice"),
        ("re_A1", "adjustment"),
        ("ch_A2", "adjustment"),
        ("pi_A2", "adjustment"),
        ("cs_test_A1", "checkoutattempt"),
        ("evt_A1", "webhookevent"),
    ],
)
def test_the_object_of_a_stripe_id_is_opened(staff, billing, text, page):
    assert search(staff, text).url.startswith(f"{BILLING}{page}/")


def test_words_of_a_name_and_the_slug_are_found(staff):
    office = OrganizationFactory(name="Ärzte & Lenz, Translation Office")
    for text in ("translation office", "lenz transl", "ärzte", office.slug, office.slug[:6]):
        assert search(staff, text).url == f"{ORGANIZATION}{office.pk}/change/", text
    assert hits(search(staff, "office berlin")) == {}


def test_a_user_without_an_organization_is_opened(staff):
    user = UserFactory(email="alone@people.example")
    assert search(staff, "alone@people.example").url == f"/admin/accounts/user/{user.pk}/change/"


def test_an_additional_address_finds_the_organization(staff, owner):
    owner.user.emailaddress_set.create(email="olga@private.example", verified=True)
    assert search(staff, "Olga@private.example").url == f"{ORGANIZATION}{owner.organization.pk}/change/"


def test_a_member_of_two_organizations_is_listed_with_both(staff, owner):
    MembershipFactory(user=owner.user, organization=OrganizationFactory(name="Other"))
    page = search(staff, "owner@acme.example")
    assert hits(page) == {"organizations": ["Acme"], "members": ["Acme", "Other"], "users": ["owner@acme.example"]}
    assert "member: owner@acme.example" in page.text


def test_the_address_of_an_invitation_is_found(staff, acme):
    row = Invitation.objects.create(organization=acme, email="new@acme.example", token_digest=b"1", expires_at=now() + timedelta(1))
    assert search(staff, "New@acme.example").url == f"/admin/accounts/invitation/{row.pk}/change/"


def test_a_request_id_finds_the_audit_event(staff, owner):
    reset = request_id.set("0123456789abcdef0123456789abcdef")
    event = audit.record("organization.changed", organization=owner.organization, actor=owner.user)
    request_id.reset(reset)
    assert search(staff, "0123456789abcdef0123456789abcdef").url == f"/admin/accounts/auditevent/{event.pk}/change/"


def test_a_key_is_found_as_customers_quote_it(staff, owner):
    row, raw = AuthManager(owner.organization).generate_key(owner.caller, "CI")
    quoted = [
        row.hint,
        raw,
        raw[:26],
        raw[:30] + "...",
        f"Bearer {raw}",
        f'my key "{raw}", it fails',
        row.public_id,
        raw.upper()[:9] + raw[9:],
    ]
    for text in quoted:
        assert search(staff, text).url == f"/admin/accounts/apikey/{row.pk}/change/", text


def test_a_service_key_is_found_as_it_is_quoted(staff):
    raw = service_key()
    for text in (raw, raw[:20], f"{raw[:20]}…"):
        assert search(staff, text).url.startswith("/admin/accounts/servicekey/"), text


@pytest.mark.parametrize("prefix", ["cmcp_sk_", "cmcp_svc_", "cmcp_at_", "cmcp_rt_", ""])
def test_the_secret_of_an_unknown_key_is_on_no_page_and_in_no_log(staff, caplog, prefix):
    raw = generate("test", prefix=prefix or "cmcp_sk_").removeprefix("" if prefix else "cmcp_sk_test_")
    secret = raw[-38:]
    page = search(staff, f"see {raw} please")
    assert page.status_code == 200 and secret not in page.text and secret[:20] not in page.text
    assert secret not in caplog.text
    assert secret not in str(parse(raw))
    assert not AuditEvent.objects.filter(target__contains=secret[:20]).exists()
    if prefix in {"cmcp_at_", "cmcp_rt_"}:
        assert "You cannot search for the token" in page.text


def test_the_secret_of_a_key_is_in_no_error_report(staff, owner, monkeypatch):
    raw, reports = owner.key, []

    def report(sender, request, **kwargs):
        reports.append(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())

    monkeypatch.setattr(ApiKey, "status", lambda self, present: 1 / 0)
    staff.raise_request_exception = False
    got_request_exception.connect(report)
    page = search(staff, raw)
    got_request_exception.disconnect(report)
    assert page.status_code == 500 and raw[-20:] not in page.text
    assert "ZeroDivisionError" in reports[0] and raw[-20:] not in reports[0]


def test_many_hits_are_paged(staff, acme):
    for number in range(45):
        other = OrganizationFactory(name=f"Company {number}")
        BillingAccount.objects.create(organization=other, payment_method={"type": "card", "brand": "visa", "last4": "1881"})
    page = search(staff, "1881")
    assert [(group.resolver.name, len(group.hits), group.has_more) for group in page.context["groups"]] == [("cards", 20, True)]
    page = search(staff, "1881", kind="cards", page="2")
    assert [(len(group.hits), group.has_more) for group in page.context["groups"]] == [(5, False)]
    assert "Previous" in page.text
    assert hits(search(staff, "mastercard 1881")) == {}
    assert search(staff, "1881", kind="cards", page="x").status_code == 200
    assert search(staff, "1881", kind="cards", page="9999").status_code == 200


def stored(method, customer_id, kind="card", **fields):
    customer, _ = mirror.Customer.objects.get_or_create(id=customer_id, defaults={"livemode": False})
    document = {"id": method, "type": kind, kind: fields}
    return mirror.PaymentMethod.objects.create(id=method, livemode=False, customer=customer, stripe_data=document)


def test_any_stored_payment_method_is_found_by_its_last_digits(staff, acme, billing):
    stored("pm_1", "cus_A1", brand="mastercard", last4="5454")
    stored("pm_2", "cus_A1", "sepa_debit", last4="3000")
    stored("pm_3", "cus_else", brand="visa", last4="5454")
    page = f"/admin/accounts/organization/{acme.pk}/change/"
    for text in ("5454", "mastercard 5454", "•••• 3000"):
        assert search(staff, text).url == page, text
    assert hits(search(staff, "visa 5454")) == {}
    [hit] = search(staff, "5454", kind="cards").context["groups"][0].hits
    assert hit.detail == "Mastercard ending in 5454, not the default"


def test_only_permitted_kinds_are_found(client, owner, acme, billing):
    helper = UserFactory(email="helper@staff.example", is_staff=True)
    client.force_login(helper)
    for text in ("acme", "owner@acme.example", "4242", "in_A1", owner.key):
        assert hits(search(client, text)) == {}
    helper.user_permissions.add(Permission.objects.get(codename="view_organization"))
    assert search(client, "acme").url.startswith(ORGANIZATION)
    assert hits(search(client, "in_A1")) == {}


def test_others_than_staff_are_refused(client, owner):
    assert search(client, "acme").url.startswith("/admin/login/")
    client.force_login(owner.user)
    assert search(client, "acme").url.startswith("/admin/login/")


def test_the_form_requires_a_csrf_token(staff):
    strict = Client(enforce_csrf_checks=True, headers={"cookie": f"sessionid={staff.cookies['sessionid'].value}"})
    assert search(strict, "acme").status_code == 403


@pytest.mark.parametrize("page", ["/admin/", "/admin/accounts/organization/", "/admin/find/", "/admin/accounts/organization/{id}/change/"])
def test_every_page_has_the_search_box(staff, acme, page):
    assert staff.get(page.format(id=acme.pk)).text.count('id="staff-search-text"') == 1


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "a", "%", "_", "'", "x" * 5000, "!&|:*", "ä" * 300, "\ud800", "0" * 12, "4242 4242 4242 4242"]
)
def test_odd_input_finds_nothing_and_does_not_fail(staff, acme, text):
    assert search(staff, text.encode("utf-8", "replace").decode()).status_code == 200


SAMPLES = [
    "owner@acme.example",
    "acme translation",
    "{id}",
    "4242",
    "visa 4242",
    "cus_A1",
    "sub_A1",
    "in_A1",
    "4F2A-0001",
    "pi_A1",
    "re_A1",
]
SAMPLES += [
    "cs_test_A1",
    "evt_A1",
    "cmcp_sk_test_abcdef…",
    "cmcp_svc_test_abcdef…",
    "abcdefABCDEF",
    "0123456789abcdef0123456789abcdef",
    "olga",
]


@pytest.mark.parametrize("text", SAMPLES)
def test_every_query_of_the_search_has_an_index(staff, acme, billing, text):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        search(staff, text.format(id=acme.pk))
    assert len(queries) <= 30
    with connection.cursor() as cursor:
        # Without sequential scans Postgres uses one only where no index serves the query.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in queries.captured_queries:
            sql = query["sql"]
            if sql.startswith("SELECT") and ("accounts_" in sql or "billing_" in sql):
                cursor.execute(f"EXPLAIN {sql}")
                plan = "\n".join(row[0] for row in cursor.fetchall())
                assert "Seq Scan" not in plan, f"{sql}\n{plan}"
