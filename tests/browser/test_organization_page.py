"""The organization page of the back office: complete, readable at both widths, and accessible."""

import psycopg
import pytest

from tests.support.customers import sign_up

pytestmark = pytest.mark.browser
# Data that the product's interfaces cannot create within a test: a difference from Stripe, a pause, and problems of other days.
PROBLEMS = """
UPDATE billing_subscriptionstate SET status = 'past_due', past_due_since = now() - interval '2 days', unit_amount = 800,
    grace_until = now() + interval '5 days', collection_paused = 'keep_as_draft' WHERE organization_id = %(id)s;
INSERT INTO usage_summaries (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
    SELECT %(id)s, 'd', date_trunc('day', now(), 'UTC') - day * interval '1 day', feature, '00000000-0000-0000-0000-000000000000', 0,
        (day * 37) %% 90, 1 FROM generate_series(1, 29) AS day, (VALUES ('sessions'), ('context_queries')) AS used (feature);
INSERT INTO common_outgoingemail (created_at, category, reference, organization_id, recipients, from_email, subject, text, html, state,
    attempts, last_error, expires_at) VALUES (now(), 'invitation', '', %(id)s, ARRAY['grace.brewster.murray.hopper@compilers.example'],
    'a@b.example', 'You are invited to the organization with the longest name', '', '', 'failed', 5, '550 mailbox unavailable', now());
INSERT INTO usage_webhook_endpoints (id, organization_id, url, description, event_types, enabled, disabled_reason, secret, failing_since,
    created_at) VALUES (gen_random_uuid(), %(id)s, 'https://hooks.example/' || repeat('a-very-long-path/', 12), '', ARRAY['usage.alert'],
    true, '', '', now() - interval '3 hours', now());
INSERT INTO usage_refusal_summaries (organization_id, minute, code, feature, key_id, tool, count)
    SELECT %(id)s, date_trunc('minute', now()) - minute * interval '1 minute', 'quota_exceeded', 'sessions',
        '00000000-0000-0000-0000-000000000000', 'start_session', minute FROM generate_series(1, 12) AS minute;
"""


@pytest.fixture(scope="module")
def paying(world):
    ada = sign_up(world, "Analytical Engines and Difference Machines")
    ada.subscribe("pro")
    yield ada
    ada.close()


@pytest.fixture(scope="module")
def troubled(world):
    ada = sign_up(world, "Compilers and Loaders of the Eastern Seaboard")
    ada.subscribe("pro")
    ada.make_key("A key with a name as long as a customer thinks fit, for the machine in the cellar of the old house")
    ada.api.post("/api/usage/authorize", {"feature": "sessions", "amount": 940})
    ada.api.post("/api/usage/authorize", {"feature": "projects", "amount": 10})
    ada.in_session("POST", "/api/organization/invitations", {"email": "grace.brewster.murray.hopper@compilers.example", "role": "admin"})
    organization_id = ada.api.get("/api/organization")["id"]
    with psycopg.connect(world.world.environment["DATABASE_URL"]) as connection:
        for statement in filter(str.strip, PROBLEMS.split(";")):
            connection.execute(statement, {"id": organization_id})
    yield ada
    ada.close()


@pytest.fixture
def open_page(operator, world):
    """Return a function that opens the page of a customer's organization as staff."""

    def opened(customer, scheme="light"):
        visitor = operator(scheme=scheme)
        page = visitor.page
        organization_id = customer.api.get("/api/organization")["id"]
        page.goto(f"{world.url}/admin/accounts/organization/{organization_id}/change/")
        # The last section is loaded after the page.
        page.locator("article#emails").wait_for()
        return visitor

    return opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_complete_readable_and_free_of_barriers(open_page, paying, scheme):
    visitor = open_page(paying, scheme)
    visitor.page.get_by_text("Actions", exact=True).click()
    assert visitor.problems("organization") + visitor.failures == []
    text = visitor.page.locator("#content").inner_text()
    for expected in ("Pro, $9.00 per month, in trial until", "Local and Stripe subscription", "Everything", "Open at Stripe"):
        assert expected in text
    assert "Needs attention" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_problems_and_differences_are_readable_and_free_of_barriers(open_page, troubled, scheme):
    visitor = open_page(troubled, scheme)
    assert visitor.problems("organization-troubled") + visitor.failures == []
    text = visitor.page.locator("#content").inner_text()
    for expected in (
        "A payment has been overdue",
        "Payment collection is paused",
        "local subscription differs from Stripe",
        "550 mailbox unavailable",
    ):
        assert expected in text


def test_the_comparison_with_stripe_opens_from_the_page(open_page, paying):
    visitor = open_page(paying)
    visitor.page.get_by_role("button", name="Compare with Stripe now").click()
    visitor.page.get_by_role("heading", name="Comparison with Stripe").wait_for()
    assert "No difference" in visitor.page.locator("#content").inner_text()
    assert visitor.barriers() == []
