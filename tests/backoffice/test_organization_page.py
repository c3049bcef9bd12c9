"""The page of one organization: header, problems, sections, permissions and the number of queries."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import ApiKey, AuditEvent, Membership, OperatorAlert, User
from billing.models import (
    Adjustment,
    BillingAccount,
    BillingNotification,
    Drift,
    MeterReport,
    ReconciliationRun,
    SubscriptionState,
)
from contextmcp.backoffice.organization.sections import SECTIONS
from contextmcp.backoffice.roles import ROLES
from contextmcp.common.clock import now
from contextmcp.common.models import OutgoingEmail
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import UserFactory
from tests.factories.usage import UsageGaugeFactory, subscribe
from usage.models import UsageAlert, WebhookEndpoint

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
# Tables that do not grow with customers or time.
SMALL_TABLES = {"billing_planprice", "entitlements_planversion", "django_content_type", "auth_permission"}
DAY = timedelta(days=1)


def url_of(organization):
    return reverse("admin:accounts_organization_change", args=[organization.pk])


def section_url(organization, name):
    return reverse("backoffice:organization-section", args=[organization.pk, name])


def problems(page):
    return [problem.text for problem in page.context["problems"]]


@pytest.fixture
def staff(db, sign_in):
    return sign_in(User.objects.create_superuser("staff@example.com", "x"))


@pytest.fixture
def with_permissions(sign_in):
    """Return a function that signs in staff with these permissions ("app.codename") and no others."""

    def signed_in(*names):
        user = UserFactory(is_staff=True)
        for name in names:
            app, codename = name.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        return sign_in(user)

    return signed_in


def past_due(organization, **fields):
    values = {"stripe_subscription_id": "sub_1", "status": "past_due", "started_at": now(), "anchor": now()}
    values |= {"past_due_since": now(), "grace_until": now() + DAY}
    return SubscriptionState.objects.create(organization=organization, **values | fields)


def test_the_header_shows_plan_owner_and_dates(staff, acme, owner):
    acme.email = "bills@acme.example"
    acme.save(update_fields=["email"])
    page = staff.get(url_of(acme))
    facts = {name: cell.text for name, cell in page.context["facts"]}
    assert (facts["Owner"], facts["Billing email"], facts["Slug"]) == (owner.user.email, "bills@acme.example", acme.slug)
    assert facts["Created"].endswith(" UTC")
    assert page.context["plan_sentence"] == "Free, without a subscription."
    assert [cell.text for cell in page.context["badges"]] == ["Open"]
    assert problems(page) == []
    assert "Needs attention" not in page.text


def test_the_sentence_names_a_granted_plan_and_its_end(staff, acme):
    EntitlementsManager(acme).grant("pro", "gift", reason="An apology", ends_at=now() + DAY)
    assert staff.get(url_of(acme)).context["plan_sentence"].startswith("Pro, granted (gift) until ")


def test_a_closed_organization_is_marked(staff, acme):
    acme.closed_at = now()
    acme.save(update_fields=["closed_at"])
    page = staff.get(url_of(acme))
    assert page.context["badges"][0].text == "Closed"
    assert "None: the organization is closed" in page.text


def test_a_test_clock_is_marked(staff, acme):
    acme.clock_offset, acme.test_clock_id = 14 * DAY, "clock_1"
    acme.save(update_fields=["clock_offset", "test_clock_id"])
    page = staff.get(url_of(acme))
    assert "Stripe test clock, 14 days ahead" in [cell.text for cell in page.context["badges"]]
    assert "Its dates are not in real time." in page.text


def test_an_unknown_organization_does_not_exist(staff, acme):
    assert staff.get(reverse("admin:accounts_organization_change", args=["01a22217-3506-7f1b-91d2-0e9fb61b1c49"])).status_code == 404
    assert staff.get(section_url(acme, "nothing")).status_code == 404
    assert staff.get("/admin/accounts/organization/x/change/").status_code in {302, 400}


def test_every_problem_is_listed_with_a_link(staff, acme):
    subscribe(acme)
    past_due(acme, collection_paused="void")
    past_due(acme, stripe_subscription_id="sub_2", past_due_since=None)
    MeterReport.objects.create(
        organization=acme, feature="sessions", period_start=now(), sequence=1, units=7, identifier="m", timestamp=now(), state="dead"
    )
    Adjustment.objects.create(
        organization=acme, kind="dispute", stripe_id="du_1", status="needs_response", amount=900, currency="usd", created_at=now()
    )
    Drift.objects.create(run=ReconciliationRun.objects.create(), organization=acme, kind="meter_total", subject="x")
    OperatorAlert.objects.create(code="unknown_price", message="x", organization=acme)
    UsageGaugeFactory(organization=acme, feature="projects", value=99)
    spike = {"period_start": now(), "period_end": now() + DAY, "kind": "spike", "used": 500, "occurred_at": now()}
    UsageAlert.objects.create(organization=acme, feature="sessions", **spike)
    endpoint = {"organization": acme, "event_types": ["x"], "secret": b"x"}
    WebhookEndpoint.objects.create(url="https://a.example", failing_since=now(), **endpoint)
    WebhookEndpoint.objects.create(url="https://b.example", enabled=False, disabled_reason="It answered 410.", **endpoint)
    mail = {"recipients": ["a@b.example"], "from_email": "x@y.example", "expires_at": now()}
    OutgoingEmail.objects.create(category="x", subject="Hello", state="failed", last_error="550", organization_id=acme.pk, **mail)
    BillingNotification.objects.create(organization=acme, kind="trial_ending", object_id="x", transition="x", error="SMTP")
    page = staff.get(url_of(acme))
    expected = [
        "A payment has been overdue",
        "Payment collection is paused (void).",
        "belongs to no plan.",
        "There are 2 live subscriptions.",
        "Stripe rejected a report of 7 units",
        "A payment is disputed",
        "not repaired: meter total.",
        "Operator alert: unknown price.",
        "99 in use, but the limit is 10.",
        "unusually high usage, 500 in one hour.",
        "https://a.example has been failing",
        "https://b.example was disabled: It answered 410.",
        "“Hello” to a@b.example could not be delivered: 550",
        "“trial ending” could not be sent: SMTP",
    ]
    missing = [text for text in expected if not any(text in problem for problem in problems(page))]
    assert missing == []
    for problem in page.context["problems"]:
        if problem.link.startswith("/"):
            assert staff.get(problem.link).status_code == 200, problem.link
        else:
            assert f'href="{problem.link}"' in page.text


def test_sections_are_fragments_for_htmx_and_pages_otherwise(staff, acme):
    page = staff.get(url_of(acme)).text
    for name in SECTIONS:
        url = section_url(acme, name)
        fragment, whole = staff.get(url, headers=HTMX).text, staff.get(url).text
        assert "<html" not in fragment
        assert "<html" in whole
        assert url_of(acme) in whole
        assert (name == "overview") or (f'hx-get="{url}"' in page and f'href="{url}"' in page)
        for panel in SECTIONS[name].panels:
            assert f'<article id="{panel.name}"' in (page if name == "overview" else fragment)


def test_a_panel_without_permission_is_absent(with_permissions, acme):
    client = with_permissions("accounts.view_organization")
    page = client.get(url_of(acme)).text
    assert "<article" not in page
    assert "/sections/" not in page
    assert acme.name in page
    for section in SECTIONS.values():
        assert "<article" not in client.get(section_url(acme, section.name), headers=HTMX).text


@pytest.mark.parametrize("section", SECTIONS)
def test_each_panel_requires_exactly_its_permissions(with_permissions, acme, section):
    for panel in SECTIONS[section].panels:
        client = with_permissions("accounts.view_organization", *panel.permissions)
        shown = client.get(section_url(acme, section), headers=HTMX).text
        assert f'<article id="{panel.name}"' in shown
        for missing in panel.permissions:
            client = with_permissions("accounts.view_organization", *(set(panel.permissions) - {missing}))
            assert f'<article id="{panel.name}"' not in client.get(section_url(acme, section), headers=HTMX).text


def test_problems_require_the_permission_of_their_cause(with_permissions, acme):
    past_due(acme)
    UsageGaugeFactory(organization=acme, feature="projects", value=99)
    assert problems(with_permissions("accounts.view_organization").get(url_of(acme))) == []
    shown = problems(with_permissions("accounts.view_organization", "usage.view_usagecounter").get(url_of(acme)))
    assert [text.partition(":")[0] for text in shown] == ["Projects"]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_sees_all_panels(sign_in, acme, role):
    user = UserFactory(is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    page = sign_in(user).get(url_of(acme))
    assert [panel.name for panel in page.context["anchors"]] == [panel.name for section in SECTIONS.values() for panel in section.panels]


@pytest.mark.parametrize("who", ["owner", "member", "anonymous"])
def test_customers_cannot_open_the_page(people, sign_in, acme, who):
    client = sign_in(people[who])
    for url in (url_of(acme), section_url(acme, "access")):
        assert client.get(url).url.startswith("/admin/login/")
    assert client.post(reverse("backoffice:organization-compare", args=[acme.pk])).url.startswith("/admin/login/")


def test_the_actions_of_the_users_permissions_are_linked(with_permissions, acme):
    url = reverse("backoffice:organization-actions", args=[acme.pk])
    client = with_permissions("accounts.view_organization", "accounts.change_organization")
    assert f'hx-get="{url}"' in client.get(url_of(acme)).text
    page = client.get(url)
    assert [[link.title for link in links] for links in page.context["action_groups"].values()] == [["Change name or billing email"]]
    assert f'href="{reverse("backoffice:action", args=[acme.pk, "change-details"])}"' in page.text
    assert client.get(url, headers={"HX-Request": "true"}).text.startswith("<details")
    assert url not in with_permissions("accounts.view_organization").get(url_of(acme)).text


def test_an_action_that_is_not_available_says_why(staff, acme):
    acme.closed_at = now()
    acme.save(update_fields=["closed_at"])
    page = staff.get(reverse("backoffice:organization-actions", args=[acme.pk])).text
    assert "The organization is closed." in page
    assert reverse("backoffice:action", args=[acme.pk, "change-details"]) not in page


def test_the_page_accepts_no_form(staff, acme):
    for url in (url_of(acme), url_of(acme).replace(str(acme.pk), str(acme.pk).upper())):
        assert staff.post(url, {"name": "Apex", "email": acme.email}).status_code in {403, 405}
    acme.refresh_from_db()
    assert acme.name == "Acme"


@pytest.fixture
def large_organization(acme, owner):
    """Give Acme 500 members, 1,000 keys and 1,200 audit events."""
    users = User.objects.bulk_create(User(email=f"m{number}@large.example") for number in range(500))
    Membership.objects.bulk_create(Membership(organization=acme, user=user) for user in users)
    keys = {"organization": acme, "creator": owner.membership, "created_by": owner.user, "hmac_version": 1, "environment": "test"}
    ApiKey.objects.bulk_create(ApiKey(name=f"Key {number}", public_id=f"k{number:011}", hmac=b"x", **keys) for number in range(1000))
    AuditEvent.objects.bulk_create(AuditEvent(organization=acme, action="x.done", actor_user=owner.user) for _ in range(1200))
    return acme


@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_a_large_organization_takes_few_queries(large_organization, sign_in, role, django_assert_max_num_queries):
    user = User.objects.create_superuser("root@example.com", "x") if role == "owner" else UserFactory(is_staff=True)
    if role != "owner":
        user.groups.add(Group.objects.get(name=role))
    client = sign_in(user)
    with django_assert_max_num_queries(30):
        assert client.get(url_of(large_organization)).status_code == 200
    for name in SECTIONS:
        with django_assert_max_num_queries(30):
            assert client.get(section_url(large_organization, name), headers=HTMX).status_code == 200


def test_long_lists_show_ten_rows_and_link_to_all(large_organization, staff):
    shown = staff.get(section_url(large_organization, "access"), headers=HTMX)
    tables = {each.panel.name: each.blocks[0] for each in shown.context["panels"]}
    assert {name: len(table.rows) for name, table in tables.items() if name in {"members", "keys"}} == {"members": 10, "keys": 10}
    for name, total in (("members", 501), ("keys", 1000)):
        listing = staff.get(tables[name].more)
        assert listing.status_code == 200
        assert listing.context["cl"].queryset.count() == total
    assert tables["invitations"].more == ""


def test_every_query_about_an_organization_uses_an_index(large_organization, staff):
    payer = {"stripe_customer_id": "cus_1"}
    BillingAccount.objects.create(organization=large_organization, **payer)
    past_due(large_organization, **payer)
    with CaptureQueriesContext(connection) as captured:
        staff.get(url_of(large_organization))
        for name in SECTIONS:
            staff.get(section_url(large_organization, name), headers=HTMX)
    scans = set()
    with connection.cursor() as cursor:
        # Without an index for it, Postgres still reads the whole table.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in captured.captured_queries:
            if query["sql"].startswith("SELECT"):
                cursor.execute(f"EXPLAIN {query['sql']}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
                scans |= set(re.findall(r"Seq Scan on (\w+)", plan))
    assert scans - SMALL_TABLES == set()
