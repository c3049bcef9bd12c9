"""Every page as every role: who can view it, who is redirected, and that bad input does not break it."""

import re

import pytest
from django.test import RequestFactory
from django.urls import reverse

from accounts.manager import AuthManager
from accounts.models import User
from billing.revenue import rebuild
from contextmcp.common import problems
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import UserFactory
from usage.authorize.requests import Request
from usage.operations import authorization
from usage.operations.caller import UsageCaller
from usage.operations.sync_driver import drive
from usage.tracker import UsageTracker
from usage.types import Item

MEMBERS = ["owner", "admin", "member", "viewer"]
PAGES = ["account", "keys", "usage", "team", "settings", "welcome"]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("who", MEMBERS)
def test_members_see_their_organization(people, sign_in, name, who):
    page = sign_in(people[who]).get(reverse(name))
    assert page.status_code == 200
    assert "Acme" in page.text
    assert page["Cache-Control"].startswith("max-age=0, no-cache, no-store")


@pytest.mark.parametrize("name", [*PAGES, "billing"])
def test_other_users_see_only_their_own_pages(people, sign_in, name):
    assert "Acme" not in sign_in(people["stranger"]).get(reverse(name)).text
    page = sign_in().get(reverse(name))
    assert page.url == f"/accounts/login/?next={reverse(name)}"


@pytest.mark.parametrize(("who", "status"), [("owner", 200), ("admin", 200), ("member", 403), ("viewer", 403)])
def test_billing_is_visible_to_permitted_roles_only(people, sign_in, who, status):
    page = sign_in(people[who]).get(reverse("billing"))
    assert page.status_code == status
    assert "payment method</button>" not in page.text
    tabs = sign_in(people[who]).get(reverse("account")).text
    assert (f'href="{reverse("billing")}"' in tabs) is (status == 200)


@pytest.mark.parametrize("name", [*PAGES, "billing"])
def test_users_without_an_organization_are_asked_to_create_one(db, sign_in, name):
    assert sign_in(UserFactory()).get(reverse(name)).url == reverse("new-organization")


class TestHome:
    def test_anonymous_clients_see_nothing(self, db, client):
        assert client.get("/").url == "/pricing/"

    def test_home_redirects_to_the_first_key_or_the_account(self, owner, sign_in):
        client = sign_in(owner)
        assert client.get("/").url == "/welcome/"
        AuthManager(owner.organization).generate_key(owner.caller, "One")
        assert client.get("/").url == "/account/"

    def test_home_redirects_viewers_to_the_account(self, viewer, sign_in):
        assert sign_in(viewer).get("/").url == "/account/"

    def test_staff_without_an_organization_are_sent_to_the_admin(self, db, sign_in):
        assert sign_in(User.objects.create_user("staff@example.com", is_staff=True)).get("/").url == "/admin/"


class TestPricing:
    def test_the_pricing_page_shows_the_catalog(self, db, client):
        page = client.get("/pricing/").text
        for text in (
            "$9</strong>",
            "$90</strong>",
            "$29</strong>",
            "$290</strong>",
            "$7.50 per month, billed annually",
            "Save 17%",
            "1,000 sessions per month",
            "1 project<",
        ):
            assert text in page, text
        assert "Start 14-day trial" in page
        assert "sessionid" not in client.cookies

    def test_the_pricing_page_depends_on_the_visitor(self, people, sign_in):
        assert "Start 14-day trial" in sign_in(people["owner"]).get("/pricing/").text
        assert "Only owners can change plans" in sign_in(people["viewer"]).get("/pricing/").text
        assert "Create organization" in sign_in(UserFactory()).get("/pricing/").text

    def test_the_current_plan_is_marked(self, owner, sign_in):
        EntitlementsManager(owner.organization).grant("pro", reason="x")
        page = sign_in(owner).get("/pricing/").text
        assert re.search(r"Pro <span class=\"tag\">Current plan", page)

    def test_the_published_catalog_is_shown(self, db, client):
        from entitlements.catalog_schema import FeatureValue
        from entitlements.publish import publish
        from entitlements.types import Kind
        from tests.factories.entitlements import next_catalog

        publish(catalog=next_catalog(sessions=FeatureValue(Kind.QUOTA, 1234)))
        assert "1,234 sessions per month" in client.get("/pricing/").text


class TestFirstKey:
    def test_one_button_creates_the_key_and_shows_it_once(self, owner, sign_in, settings):
        settings.MCP_SERVER_URL = "https://mcp.acme.example/mcp"
        client = sign_in(owner)
        page = client.post("/welcome/key/", follow=True).text
        raw = re.search(r"cmcp_sk_test_[0-9A-Za-z]+", page)[0]
        assert AuthManager.authenticate(raw).user == owner.user
        assert "https://mcp.acme.example/mcp" in page
        assert f"&quot;Authorization&quot;: &quot;Bearer {raw}&quot;" in page
        assert raw not in client.get("/welcome/").text + client.get("/account/keys/").text

    def test_a_reload_shows_the_same_key_and_whether_it_was_used(self, owner, stranger, sign_in):
        client = sign_in(owner)
        token = re.search(r'name="form_token" value="(\w+)"', client.get("/welcome/").text)[1]
        pages = [client.post("/welcome/key/", {"form_token": token}, follow=True).text for _ in range(2)]
        pages.append(client.get("/account/keys/new/").text)
        key = owner.organization.api_keys.get()
        part = reverse("first-call", args=[key.pk])
        for page in pages:
            assert "Waiting for your first call" in page
            assert f'data-poll="{part}"' in page
        assert "data-waiting" in client.get(part).text
        assert client.post("/account/keys/new/done/").url == reverse("connect")
        assert "Skip for now" in client.get(reverse("connect")).text
        key.last_used_at = now()
        key.save()
        for address in (reverse("connect"), part):
            page = client.get(address).text
            assert "Your first call has arrived" in page
            assert "data-waiting" not in page
        assert sign_in(stranger).get(part).status_code == 404
        assert sign_in(stranger).get(reverse("connect")).url == reverse("welcome")

    def test_the_first_key_can_be_named(self, owner, sign_in):
        assert "API key created: Laptop" in sign_in(owner).post("/welcome/key/", {"name": "Laptop"}, follow=True).text

    def test_a_viewer_cannot_create_the_first_key(self, viewer, sign_in):
        client = sign_in(viewer)
        assert client.post("/welcome/key/").url == "/welcome/"
        page = client.get("/welcome/").text
        assert "cannot create API keys" in page
        assert "does not allow this" in page


class TestOrganizations:
    def test_a_new_organization_is_created_and_selected(self, owner, sign_in):
        client = sign_in(owner)
        assert client.get("/account/new/").status_code == 200
        assert client.post("/account/new/", {"name": "Side project"}).url == "/"
        assert "Side project" in client.get("/account/").text

    def test_a_name_is_needed(self, owner, sign_in):
        page = sign_in(owner).post("/account/new/", {"name": ""})
        assert page.status_code == 200
        assert "This field is required" in page.text

    def test_a_form_applies_to_the_organization_it_showed(self, owner, sign_in):
        """With two tabs, an action must not affect another organization than the one shown."""
        client = sign_in(owner)
        shown = client.get(reverse("settings")).text
        acting_for = re.search(r'name="acting_for" value="([^"]+)"', shown)[1]
        assert acting_for == str(owner.organization.pk)
        other = AuthManager.create_organization(owner.user, "Second")
        client.post("/account/switch/", {"organization": str(other.pk)})
        answer = client.post(reverse("change-settings"), {"acting_for": acting_for, "name": "Acme 2", "email": "a@b.example"}, follow=True)
        assert "You switched to Second in another tab" in answer.text
        other.refresh_from_db()
        assert other.name == "Second"
        client.post("/account/switch/", {"organization": acting_for})
        client.post(reverse("change-settings"), {"acting_for": acting_for, "name": "Acme 2", "email": "a@b.example"})
        owner.organization.refresh_from_db()
        assert owner.organization.name == "Acme 2"

    def test_only_own_organizations_can_be_selected(self, owner, stranger, sign_in):
        client = sign_in(owner)
        other = AuthManager.create_organization(owner.user, "Other")
        client.post("/account/switch/", {"organization": str(other.pk)})
        assert "<h1>Other</h1>" in client.get("/account/").text
        for wrong in (str(stranger.organization.pk), "nonsense", ""):
            client.post("/account/switch/", {"organization": wrong})
            assert "<h1>Other</h1>" in client.get("/account/").text


class TestSettings:
    def test_owners_can_change_settings(self, owner, sign_in):
        client = sign_in(owner)
        page = client.post("/account/settings/change/", {"name": "Acme & Co", "email": "bills@acme.example"}, follow=True).text
        assert "Settings saved." in page
        assert "Acme &amp; Co" in page

    @pytest.mark.parametrize("wrong", [{"name": "", "email": "a@b.example"}, {"name": "x", "email": "no"}, {}])
    def test_invalid_input_is_reported(self, owner, sign_in, wrong):
        client = sign_in(owner)
        assert client.post("/account/settings/change/", wrong).url == "/account/settings/"
        assert "note error" in client.get("/account/settings/").text

    def test_closing_requires_an_owner_and_the_name(self, owner, admin, sign_in):
        assert sign_in(admin).post("/account/settings/close/confirm/", {"name": "Acme"}).url == "/account/settings/close/"
        client = sign_in(owner)
        client.post("/account/settings/close/confirm/", {"name": "acme?"})
        owner.organization.refresh_from_db()
        assert owner.organization.closed_at is None
        client.post("/account/settings/close/confirm/", {"name": "Acme"})
        owner.organization.refresh_from_db()
        assert owner.organization.closed_at is not None
        assert client.get("/account/").url == "/account/new/"


class TestUsage:
    def test_meters_and_the_chart_show_usage(self, owner, sign_in):
        tracker = UsageTracker(owner.organization)
        tracker.consume("sessions", 41)
        tracker.set_gauge("projects", 1)
        page = sign_in(owner).get("/account/usage/").text
        assert '<p class="big near">41 <span>of 50 included</span></p>' in page
        assert '<progress aria-labelledby="m-sessions" max="50" value="41">' in page
        assert "Limit reached" in page

    def test_it_lists_the_tools_that_were_charged(self, owner, stranger, sign_in):
        client, by_tool = sign_in(owner), "/account/usage/?by=tool"
        assert "No usage in this time." in client.get(by_tool).text
        for tool, amounts in {"search": (2, 1), "convert<b>": (1,)}.items():
            for amount in amounts:
                request = Request([Item("sessions", amount)], tool=tool)
                drive(authorization.authorize(UsageCaller.of_caller(owner.caller), request))
        page = client.get(by_tool).text
        assert re.search(r"<code>search</code></th><td>2</td><td>3</td>", page)
        assert page.index("<code>search</code>") < page.index("<code>convert&lt;b&gt;</code></th><td>1</td><td>1</td>")
        assert "search" not in sign_in(stranger).get(by_tool).text
        staff = sign_in(User.objects.create_superuser("staff@example.com", "x"))
        rebuild.rebuild_recent_days()
        assert [(row["tool"], row["calls"]) for row in staff.get("/admin/").context["tools"]] == [("search", 2), ("convert<b>", 1)]

    def test_a_nearly_used_quota_is_shown_on_all_pages(self, owner, member, sign_in):
        UsageTracker(owner.organization).consume("sessions", 40)
        page = sign_in(owner).get("/account/keys/").text
        assert "used 40 of 50 sessions." in page
        assert ">Upgrade</a>" in page
        assert ">Upgrade</a>" not in sign_in(member).get("/account/keys/").text
        UsageTracker(owner.organization).consume("sessions", 10)
        assert "used all 50 sessions." in sign_in(owner).get("/account/").text

    def test_unlimited_is_shown(self, owner, sign_in):
        EntitlementsManager(owner.organization).grant("enterprise", reason="x")
        assert "Unlimited." in sign_in(owner).get("/account/").text


class TestErrors:
    def test_an_unknown_page_is_404(self, owner, sign_in):
        page = sign_in(owner).get("/nowhere/")
        assert page.status_code == 404
        assert "Page not found" in page.text

    def test_failing_overage_setting_calls_no_stripe(self):
        """There is no database fixture, so a query fails this test."""
        page = problems.server_error(RequestFactory().get("/account/"))
        assert page.status_code == 500
        assert b"Something went wrong" in page.content
        assert problems.server_error(RequestFactory().get("/api/x"))["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize("name", PAGES)
    def test_pages_accept_get_only(self, owner, sign_in, name):
        assert sign_in(owner).post(reverse(name)).status_code == 405

    def test_pages_contain_no_inline_code(self, owner, sign_in):
        """The policy forbids inline scripts and styles, so a page that needs them would be broken."""
        for name in ("pricing", *PAGES, "billing"):
            page = sign_in(owner).get(reverse(name))
            assert "style=" not in page.text, name
            # Data blocks, such as JSON-LD, are not scripts.
            assert not re.search(r"<script(?![^>]*(src=|application/ld\+json))", page.text), name
            assert "unsafe-inline" not in page["Content-Security-Policy"]
