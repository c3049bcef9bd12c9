"""The usage page and the overview in a browser: at both widths, accessible, without a script, and on paper."""

from itertools import pairwise

import psycopg
import pytest

from tests.browser.conftest import NARROW, WIDE
from tests.support.customers import sign_up

pytestmark = pytest.mark.browser
LONG = "The key of the difference machine in the cellar, with a name as long as a customer thinks fit"
# Two keys and two tools, every hour of the last 45 days.
USAGE = """
WITH organization AS (SELECT organization_id AS id FROM accounts_apikey WHERE name = %(key)s),
used AS (
    SELECT organization.id, key.id AS key_id, hour, 1 + (extract(epoch FROM hour)::bigint / 3600) %% 3 AS amount
    FROM organization JOIN accounts_apikey AS key ON key.organization_id = organization.id,
        generate_series(date_trunc('hour', now() - interval '45 days'), now(), '1 hour') AS hour
), summaries AS (
    INSERT INTO usage_summaries (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
    SELECT id, left(grain, 1), date_trunc(grain, hour, 'UTC'), 'sessions', key_id, 0, sum(amount), count(*)
    FROM used, unnest(ARRAY['hour', 'day']) AS grain GROUP BY 1, 2, 3, key_id
)
INSERT INTO usage_tool_summaries (organization_id, grain, bucket, feature, tool, amount, events)
SELECT id, left(grain, 1), date_trunc(grain, hour, 'UTC'), 'sessions', tool, sum(amount), count(*)
FROM used, unnest(ARRAY['hour', 'day']) AS grain, unnest(ARRAY['search', repeat('long_tool_name.', 8)]) AS tool
WHERE extract(hour FROM hour) < 9 GROUP BY 1, 2, 3, tool
"""
VIEWS = {
    "total": "",
    "keys": "?by=key&period=month",
    "tools": "?by=tool&period=week",
    "hours": "?period=day",
    "custom": "?period=custom&by=member",
    "custom-refused": "?period=custom&since=2999-01-01&until=2999-01-02",
}


@pytest.fixture(scope="module")
def owner(world):
    ada = sign_up(world, "Analytical Engines and Difference Machines of Marylebone")
    ada.subscribe("pro")
    ada.make_key(LONG)
    with psycopg.connect(world.world.environment["DATABASE_URL"]) as connection:
        connection.execute(USAGE, {"key": LONG})
    ada.api.post("/api/usage/authorize", {"feature": "sessions", "amount": 870})
    yield ada
    ada.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_view_fits_and_is_accessible(person, world, owner, scheme):
    visitor = person(scheme=scheme)
    visitor.take_over(owner.browser.client.cookies, world.url)
    found = []
    for name, query in VIEWS.items():
        visitor.page.goto(f"{world.url}/account/usage/{query}")
        found += visitor.problems(f"usage-{name}")
    visitor.page.goto(f"{world.url}/account/")
    found += visitor.problems("overview")
    assert found + visitor.failures == []


def test_labels_and_lines_are_where_they_can_be_read(person, world, owner):
    visitor = person()
    visitor.take_over(owner.browser.client.cookies, world.url)
    page = visitor.page
    for query in VIEWS.values():
        page.goto(f"{world.url}/account/usage/{query}")
        for width in (WIDE, NARROW):
            visitor.resize(width)
            labels = page.locator(".axes text").evaluate_all("all => all.map(each => each.getBoundingClientRect().toJSON())")
            assert all(label["left"] >= 0 and label["right"] <= width and label["height"] >= 11 for label in labels), (query, width)
            below = sorted(
                (label for label in labels if label["top"] == max(each["top"] for each in labels)), key=lambda each: each["left"]
            )
            assert all(first["right"] < second["left"] for first, second in pairwise(below)), (query, width)
    page.goto(f"{world.url}/account/usage/")
    assert page.locator("path.line.now").count() == page.locator("path.line.before").count() == 1
    assert page.locator("line.limit-line").evaluate("line => getComputedStyle(line).strokeDasharray") != "none"


def test_choices_work_without_a_script_and_the_page_is_printed(person, world, owner, chromium_browser):
    context = chromium_browser.new_context(java_script_enabled=False, viewport={"width": WIDE, "height": 900})
    context.set_default_timeout(15_000)
    page = context.new_page()
    cookies = owner.browser.client.cookies
    context.add_cookies([{"name": each.name, "value": each.value, "url": world.url} for each in cookies.jar if each.value])
    page.goto(f"{world.url}/account/usage/")
    page.get_by_role("navigation", name="Group by").get_by_role("link", name="API key").click()
    page.get_by_role("navigation", name="Period").get_by_role("link", name="Custom").click()
    page.get_by_label("From").fill("2026-01-01")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**by=key**since=2026-01-01**")
    assert page.get_by_role("heading", name="Sessions by API key").is_visible()
    assert page.locator(".breakdown").get_by_role("row", name=LONG).is_visible()
    page.emulate_media(media="print")
    assert page.get_by_role("navigation", name="Period").is_hidden()
    assert page.locator(".numbers").evaluate("box => box.scrollHeight <= box.clientHeight + 1")
    # Headings and totals are not fixed to the edges of a box, and the table is as wide as the paper.
    tops = [page.locator(f".numbers {part}").bounding_box()["y"] for part in ("thead th >> nth=0", "tbody th >> nth=0", "tfoot th")]
    assert tops == sorted(tops)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    context.close()


def test_a_new_member_dismisses_the_first_steps(person, world):
    ada = sign_up(world, "Brand New", key=False)
    visitor = person()
    visitor.take_over(ada.browser.client.cookies, world.url)
    page = visitor.page
    page.goto(f"{world.url}/account/")
    found = visitor.problems("overview-new")
    page.get_by_text("Configuration for MCP clients").click()
    assert page.get_by_text("YOUR_API_KEY", exact=False).first.is_visible()
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_role("heading", name="Get started").wait_for(state="detached")
    page.reload()
    assert page.get_by_role("heading", name="Get started").count() == 0
    assert found + visitor.failures == []
    ada.close()
