"""The page Activity of a member and the timeline of staff, in a browser."""

import psycopg
import pytest

from tests.browser.conftest import WIDE, sign_in_as_staff
from tests.support.customers import sign_up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def member(world):
    """An owner with a plan, keys, an invitation and refused requests."""
    ada = sign_up(world, "Analytical Engines and Difference Machines of Marylebone")
    ada.subscribe("pro")
    key = ada.make_key("A key with a name as long as a customer thinks fit, for the machine in the cellar of the old house")
    assert ada.in_session("DELETE", f"/api/auth/keys/{key['id']}").status_code < 300
    ada.in_session("POST", "/api/organization/invitations", {"email": "grace.brewster.murray.hopper@compilers.example", "role": "admin"})
    with psycopg.connect(world.world.environment["DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO usage_refusal_summaries (organization_id, minute, code, feature, key_id, tool, count)"
            " SELECT organization_id, date_trunc('minute', now()), 'quota_exceeded', 'sessions', id, 'translate_document', 41"
            " FROM accounts_apikey WHERE name LIKE 'A key with a name%'"
        )
    yield ada
    ada.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_member_finds_who_revoked_a_key(person, world, member, scheme):
    visitor = person(scheme=scheme)
    visitor.take_over(member.browser.client.cookies, world.url)
    page = visitor.page
    page.goto(f"{world.url}/account/")
    page.get_by_role("navigation", name="Account").get_by_role("link", name="Activity").click()
    page.get_by_role("heading", name="Activity", level=1).wait_for()
    events = page.locator("li.event")
    everything = events.count()
    assert page.get_by_text("Refused: monthly sessions used up").is_visible()
    found = visitor.problems("activity")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Kind").select_option("API keys")
    found += visitor.problems("activity-filter")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/account/activity/?kind=key**")
    assert events.count() < everything
    assert page.get_by_text("revoked the API key A key with a name").is_visible()
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url("**/account/activity/")
    # The shared stack records further events meanwhile.
    assert events.count() >= everything
    page.goto(f"{world.url}/account/activity/?kind=webhook")
    assert page.get_by_text("No matching activity").is_visible()
    assert found + visitor.problems("activity-empty") + visitor.failures == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_staff_read_the_timeline_and_open_a_cause(person, world, member, scheme):
    visitor = person(scheme=scheme)
    page = visitor.page
    with psycopg.connect(world.world.environment["DATABASE_URL"]) as connection:
        statement = "SELECT organization_id FROM accounts_membership JOIN accounts_user AS person ON person.id = user_id WHERE email = %s"
        (organization,) = connection.execute(statement, [member.email]).fetchone()
    timeline = f"/admin/organizations/{organization}/timeline/"
    sign_in_as_staff(visitor, world, timeline)
    page.get_by_text("Refused: monthly sessions used up").wait_for()
    found = visitor.problems("admin-timeline")
    visitor.resize(WIDE)
    page.get_by_label("Kind").select_option("API keys")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/timeline/?kind=key**")
    page.get_by_role("link", name="Open the cause").first.click()
    page.wait_for_url("**/admin/accounts/apikey/**")
    assert found + visitor.failures == []
