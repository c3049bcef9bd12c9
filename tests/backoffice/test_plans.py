"""The plans page: versions side by side, their subscribers, and publishing from the page."""

import msgspec
import pytest
import requests
from django.contrib.auth.models import Group
from django.urls import reverse

from accounts.models import AuditEvent, User
from billing.catalog import publish
from billing.models import PlanPrice, SubscriptionState
from contextmcp.backoffice.plans import comparison
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from entitlements.models import PlanVersion
from entitlements.services import publish as versions
from tests.factories.accounts import OrganizationFactory, UserFactory

pytestmark = pytest.mark.django_db
PLANS = "/admin/plans/"
PUBLISH = "/admin/plans/publish/"


def next_version(**changes):
    """Return the catalog with another version of Pro."""
    plans = tuple(msgspec.structs.replace(each, version=2, **changes) if each.name == "pro" else each for each in CATALOG.plans)
    return msgspec.structs.replace(CATALOG, plans=plans)


def dearer():
    pro = CATALOG.plan("pro")
    prices = tuple(msgspec.structs.replace(price, amount=price.amount + 100) for price in pro.prices)
    sessions = msgspec.structs.replace(pro.features["sessions"], value=2000)
    return next_version(prices=prices, features={**pro.features, "sessions": sessions})


@pytest.fixture
def engineer(db, client):
    user = UserFactory(email="engineer@staff.example", is_staff=True)
    user.groups.add(Group.objects.get(name="engineer"))
    client.force_login(user)
    session = client.session
    session["signed_in_at"] = now().timestamp()
    session.save()
    return user


def audited():
    return AuditEvent.objects.exclude(action="user.signed_in")


def table(plan, catalog=CATALOG):
    return next(each for each in comparison.plan_tables(catalog) if each.name == plan)


def row(found, title):
    return [(cell.text, cell.changed) for cell in next(each for each in found.rows if each.title == title).cells]


def test_versions_are_compared_in_words():
    versions.publish()
    versions.publish(catalog=dearer())
    found = table("pro", dearer())
    assert [column.title for column in found.columns] == ["Version 2", "Version 1"]
    assert row(found, "Price") == [("$10.00 per month, $91.00 per year", True), ("$9.00 per month, $90.00 per year", False)]
    assert row(found, "Sessions") == [("2,000 per month, then $0.02 each", True), ("1,000 per month, then $0.02 each", False)]
    assert {each.title for each in found.rows if each.changed} == {"Price", "Sessions"}


def test_a_version_that_is_not_published_yet_comes_first():
    versions.publish()
    found = table("pro", dearer())
    assert [(column.title, column.published_at is None) for column in found.columns] == [("Version 2", True), ("Version 1", False)]


def test_the_oldest_version_shown_is_compared_with_the_one_before():
    document = CATALOG.plan("pro").document()
    for number in range(1, comparison.MAX_VERSIONS + 2):
        PlanVersion.objects.create(plan="pro", version=number, document=document | {"version": number, "trial_days": number})
    found = table(
        "pro", msgspec.structs.replace(CATALOG, plans=tuple(each for each in CATALOG.plans if each.name != "pro"), translations={})
    )
    assert (len(found.columns), found.older) == (comparison.MAX_VERSIONS, 1)
    assert [changed for _, changed in row(found, "Trial")] == [True] * comparison.MAX_VERSIONS


def test_organizations_are_counted_by_version_with_links(acme, client, django_assert_max_num_queries):
    version = EntitlementsManager.version("pro")
    for number, status in enumerate(["active", "active", "past_due", "canceled"]):
        SubscriptionState.objects.create(
            organization=OrganizationFactory(),
            stripe_subscription_id=f"sub_{number}",
            status=status,
            plan_version=version,
            started_at=now(),
            anchor=now(),
        )
    EntitlementsManager(acme).grant("pro", reason="A gift")
    with django_assert_max_num_queries(10):
        users = table("pro").columns[0].users
    assert [each.text for each in users] == ["2 active", "1 past due", "1 grant by staff"]
    client.force_login(User.objects.create_superuser("boss@staff.example", "x"))
    for each in users:
        number = int(each.text.split()[0])
        assert client.get(each.url).context["cl"].result_count == number, each.url


@pytest.mark.parametrize(
    ("role", "statuses"), [("viewer", (200, 403)), ("finance", (200, 403)), ("engineer", (200, 200)), (None, (403, 403))]
)
def test_each_page_requires_its_permission(client, role, statuses):
    user = UserFactory(is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    session = client.session
    session["signed_in_at"] = now().timestamp()
    session.save()
    plans = client.get(PLANS)
    assert (plans.status_code, client.get(PUBLISH, follow=True).status_code) == statuses
    assert (PUBLISH in plans.text) == (role == "engineer")
    if role != "engineer":
        assert client.post(PUBLISH, {"reason": "x"}).status_code == 403


class TestPublishing:
    @pytest.fixture(autouse=True)
    def _stripe(self, stripe_configured, engineer):
        self.stripe = stripe_configured

    def shown(self, client):
        page = client.get(PUBLISH)
        assert page.status_code == 200
        return page

    def confirm(self, client, page, reason="The new prices."):
        return client.post(PUBLISH, {"previewed": page.context["fingerprint"], "reason": reason}, follow=True)

    def test_the_dry_run_shows_what_the_command_shows(self, client):
        page = self.shown(client)
        steps = publish.plan_publish()
        assert [each["step"] for each in page.context["changes"]] == [step for step in steps if step.state != "same"]
        assert "price pro/month" in page.text
        assert not PlanVersion.objects.exists()
        assert self.stripe.sdk.prices.list({"limit": 100}).data == []

    def test_publishing_leaves_one_audit_event(self, client, engineer):
        page = self.confirm(client, self.shown(client))
        assert "Published" in page.text
        assert PlanPrice.objects.count() == 5
        assert len(self.stripe.sdk.prices.list({"limit": 100}).data) == 5
        (event,) = audited()
        assert (event.action, event.actor_user, event.reason) == ("catalog.published", engineer, "The new prices.")
        assert event.before == {"versions": {}}
        assert event.after["versions"] == {plan.name: plan.version for plan in CATALOG.plans}
        assert "+ price pro/month: 900 usd" in event.after["steps"]
        assert event.ip_address and event.request_id
        assert "The catalog file has no unpublished changes." in self.shown(client).text

    def test_a_reason_is_required(self, client):
        page = self.confirm(client, self.shown(client), reason=" ")
        assert "Enter a reason." in page.text
        assert not PlanVersion.objects.exists()

    def test_nothing_is_published_if_the_changes_differ_from_those_shown(self, client):
        page = self.shown(client)
        versions.publish()
        assert "so nothing was published" in self.confirm(client, page).text
        assert not PlanPrice.objects.exists()
        assert not AuditEvent.objects.filter(action="catalog.published").exists()

    def test_a_second_submission_publishes_nothing(self, client):
        page = self.shown(client)
        self.confirm(client, page)
        assert "so nothing was published" in self.confirm(client, page).text
        assert len(audited()) == 1

    def test_a_conflict_is_shown_and_cannot_be_published(self, client):
        changed = CATALOG.plan("pro").document() | {"trial_days": 99}
        PlanVersion.objects.create(plan="pro", version=CATALOG.plan("pro").version, document=changed)
        page = self.shown(client)
        assert "increase the plan's version" in page.text
        assert 'name="previewed"' not in page.text
        self.confirm(client, page)
        assert not PlanPrice.objects.exists()

    def test_errors_of_stripe_are_shown_and_publishing_continues(self, client):
        page = self.shown(client)
        self.stripe.control("refusals", method="POST", prefix="/v1/billing/meters", message="Meters are broken today.")
        failed = self.confirm(client, page)
        assert "Meters are broken today." in failed.text
        assert PlanVersion.objects.exists()
        requests.delete(f"{self.stripe.url}/_sim/refusals", json={}, timeout=10)
        assert "Published" in self.confirm(client, self.shown(client)).text
        assert PlanPrice.objects.count() == 5
        assert [event.action for event in audited()] == ["catalog.published"] * 2

    def test_without_a_key_only_versions_are_published(self, client, settings):
        settings.STRIPE_SECRET_KEY = ""
        page = self.shown(client)
        assert "STRIPE_SECRET_KEY is not set" in page.text
        self.confirm(client, page)
        assert PlanVersion.objects.count() == len(CATALOG.plans)
        assert not PlanPrice.objects.exists()


def test_the_menu_links_the_plans_page(client, engineer):
    assert f'href="{reverse("backoffice:plans")}"' in client.get("/admin/").text
