"""The staff dashboard."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission

from accounts.models import Invitation, User
from billing.models import SubscriptionState, WebhookEvent
from billing.revenue import rebuild
from contextmcp.backoffice import home, navigation
from contextmcp.common.admin_links import list_url
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager


@pytest.fixture
def staff(db, sign_in):
    return sign_in(User.objects.create_superuser("staff@example.com", "x"))


def metrics(page):
    return {metric.title: metric for metric in page.context["metrics"]}


def test_the_dashboard_counts_objects(staff, acme, owner):
    Invitation.objects.create(organization=acme, email="a@b.example", token_digest=b"1", expires_at=now() - timedelta(1))
    result = metrics(staff.get("/admin/"))
    assert (result["Invitations pending"].value, result["Invitations pending"].note) == ("1", "1 of them expired")
    assert (result["Subscriptions"].value, result["Inbox backlog"].value) == ("0", "0")
    assert result["Inbox backlog"].tone == ""


def test_no_page_calculates_the_list_of_apps_that_it_does_not_show(staff, monkeypatch):
    monkeypatch.setattr(admin.AdminSite, "_build_app_dict", lambda *arguments, **options: pytest.fail("It is not shown."))
    for path in ("/admin/", "/admin/accounts/organization/", "/admin/plans/"):
        assert staff.get(path).status_code == 200


def test_the_sidebar_links_the_lists_and_marks_the_present_one(staff):
    page = staff.get("/admin/accounts/organization/").text
    sidebar = page[page.index('id="nav-sidebar-apps"') : page.index("</nav>")]
    for label in navigation.MENU["Customers"]:
        assert f'href="{list_url(label)}"' in sidebar, label
    assert re.findall(r'<a href="([^"]+)" class="[^"]* active"', sidebar) == ["/admin/accounts/organization/"]


def test_the_dashboard_shows_problems(staff, acme):
    SubscriptionState.objects.create(
        organization=acme,
        stripe_subscription_id="sub_1",
        stripe_customer_id="cus_1",
        status="past_due",
        currency="usd",
        started_at=now(),
        anchor=now(),
    )
    rebuild.rebuild_recent_days()
    WebhookEvent.objects.create(event_id="evt_1", type="x", payload={}, received_at=now() - timedelta(minutes=5))
    result = metrics(staff.get("/admin/"))
    assert (result["Subscriptions"].value, result["Subscriptions"].tone) == ("1", "warn")
    assert (result["Inbox backlog"].value, result["Inbox backlog"].tone) == ("1", "warn")
    WebhookEvent.objects.create(event_id="evt_2", type="x", payload={}, state="dead")
    assert metrics(staff.get("/admin/"))["Inbox backlog"].tone == "bad"


def test_large_counts_stop_at_a_maximum(staff, monkeypatch):
    monkeypatch.setattr(home, "MAX_COUNT", 1)
    for number in range(3):
        WebhookEvent.objects.create(event_id=f"evt_{number}", type="x", payload={})
    assert metrics(staff.get("/admin/"))["Inbox backlog"].value == "more than 1"


def test_every_page_is_in_the_menu(db):
    listed = {label for models in navigation.MENU.values() for label in models}
    assert listed == {model._meta.label_lower for model in admin.site._registry}


def test_the_menu_contains_permitted_pages_only(db, sign_in):
    user = User.objects.create_user("helper@example.com", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_organization"))
    page = sign_in(user).get("/admin/").text
    assert 'href="/admin/accounts/organization/"' in page
    assert 'href="/admin/accounts/apikey/"' not in page


@pytest.mark.parametrize("who", ["owner", "admin", "member", "viewer", "anonymous"])
def test_customers_cannot_open_the_dashboard(people, sign_in, who):
    assert sign_in(people[who]).get("/admin/").url.startswith("/admin/login/")


def test_staff_sign_in_on_the_customers_page(client, db):
    """With the second factor required, and with rate limits on attempts."""
    User.objects.create_superuser("staff@example.com", "a good password")
    tried = client.post("/admin/login/?next=/admin/", {"username": "staff@example.com", "password": "a good password"})
    assert tried.url.startswith("/accounts/login/?next=")
    assert client.get("/admin/").status_code == 302
    client.post("/accounts/login/?next=/admin/", {"login": "staff@example.com", "password": "a good password"})
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize(("kind", "badge"), [("live", ["Live", "danger"]), ("test", ["Test", "info"])])
def test_the_badge_shows_the_environment(settings, kind, badge):
    settings.KEY_ENVIRONMENT = kind
    assert navigation.environment(None) == badge


def test_models_without_a_list_have_no_link(db):
    assert list_url("common.nothing") == ""


@pytest.mark.parametrize(
    ("path", "posted"),
    [
        ("accounts/apikey/?environment__exact=%00", None),
        ("accounts/auditevent/?created_at__year=99999999999999999999", None),
        ("accounts/organization/", {"action": "close", "_selected_action": "x"}),
        ("entitlements/grant/add/", {"organization": "x"}),
        ("autocomplete/?app_label=entitlements&model_name=grant&field_name=organization&term=%00", None),
    ],
)
def test_unreadable_input_is_not_a_server_error(staff, path, posted):
    answer = staff.get(f"/admin/{path}") if posted is None else staff.post(f"/admin/{path}", posted)
    assert answer.status_code == 400


def test_a_grants_page_opens(staff, acme):
    grant = EntitlementsManager(acme).grant("pro", reason="A gift")
    assert "A gift" in staff.get(f"/admin/entitlements/grant/{grant.pk}/change/").text


def test_recent_activity_is_shown(staff):
    page = staff.get("/admin/").text
    assert "Admin (times in UTC)" in page
    assert "Back office" not in page and ">Desk<" not in page
    assert "0 active, 0 in trial, 0 past due" in page


@pytest.mark.parametrize("page", ["billing/subscriptionstate", "entitlements/grant", "usage/usagegauge"])
def test_rows_of_an_organization_on_a_test_clock_are_marked(staff, acme, page):
    acme.clock_offset, acme.test_clock_id = timedelta(hours=30), "clock_1"
    acme.save(update_fields=["clock_offset", "test_clock_id"])
    SubscriptionState.objects.create(
        organization=acme, stripe_subscription_id="sub_1", stripe_customer_id="cus_1", status="active", started_at=now(), anchor=now()
    )
    EntitlementsManager(acme).grant("pro", reason="A gift")
    acme.usage_gauges.create(feature="projects", value=1)
    assert "Acme (Stripe test clock, 30 hours ahead)" in staff.get(f"/admin/{page}/").text


def test_times_are_shown_with_minutes(staff, acme):
    type(acme).objects.filter(pk=acme.pk).update(created_at=datetime(2026, 11, 28, 3, 0, tzinfo=UTC))
    assert "Nov 28, 2026, 03:00" in staff.get("/admin/accounts/organization/").text
