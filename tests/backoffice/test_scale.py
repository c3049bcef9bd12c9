"""Every page of the admin with generated data: at most 30 queries, and no sequential scan of a table that is large in a large deployment.

The tables are small here, and the planner's statistics say that they have the rows of scale 1: it chooses the plans of large tables,
although the values are those of few organizations. So this finds a missing index. It does not find an index that must be read to its
end; `python -m tests.bench.backoffice` measures the pages at full size.
"""

import json
from contextlib import contextmanager

import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import RequestFactory

from accounts.models import ApiKey, Organization, User
from billing.models import Invoice, WebhookEvent
from contextmcp.backoffice.scale import run
from entitlements.manager import EntitlementsManager
from tests.support import admin_pages, databases

pytestmark = pytest.mark.django_db
SCALE = 0.0005
MAX_QUERIES = 30
ROWS_PER_PAGE = 30
# Tables with 50,000 rows or more at scale 1.
LARGE = {
    *("accounts_organization", "accounts_user", "accounts_membership", "accounts_invitation", "accounts_apikey", "accounts_auditevent"),
    *("account_emailaddress", "common_outgoingemail", "entitlements_grant", "billing_billingnotification", "billing_checkoutattempt"),
    *("billing_invoice", "billing_meterreport", "billing_trialrecord", "billing_webhookevent", "djstripe_invoice", "usage_counters"),
    *("usage_gauges", "usage_holds", "usage_alerts", "usage_summaries", "usage_tool_summaries", "usage_webhook_deliveries"),
    "usage_refusal_summaries",
}


@contextmanager
def captured():
    """Collect the statements with their parameters."""
    statements = []

    def capture(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(capture):
        yield statements


def scans(statements):
    """Return the large tables that a plan of the statements reads sequentially, with the statements."""
    found = []
    for sql, params in statements:
        if sql.lstrip().upper().startswith(("SELECT", "WITH", "(")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
                ((document,),) = cursor.fetchall()
            plan = document if isinstance(document, list) else json.loads(document)
            tables = LARGE & set(sequential(plan[0]["Plan"]))
            found += [(table, sql[:1500], params) for table in tables]
    return found


def sequential(node, end=None):
    """Return the tables that a plan reads sequentially, except if it expects to reach the limit within a tenth of the table."""
    cost = node["Total Cost"]
    if node["Node Type"] == "Seq Scan" and (end is None or end > cost / 10):
        yield node["Relation Name"]
    for inner in node.get("Plans", ()):
        yield from sequential(inner, cost if node["Node Type"] == "Limit" else None)


@pytest.fixture
def staff(monkeypatch, sign_in):
    if not databases.is_superuser():
        pytest.skip("The planner's statistics can be changed by a superuser only.")
    run.seed(SCALE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        tables = "SELECT oid FROM pg_class WHERE relname = ANY(%s)"
        cursor.execute(
            f"UPDATE pg_class SET reltuples = reltuples * {1 / SCALE} WHERE oid IN ({tables}) "
            f"OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN ({tables}))",
            [sorted(LARGE)] * 2,
        )
    for model in admin_pages.models():
        monkeypatch.setattr(type(admin.site._registry[model]), "list_per_page", ROWS_PER_PAGE, raising=False)
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *arguments, **context: None)
    return sign_in(User.objects.create_superuser("staff@example.com", "x"))


def test_lists_searches_and_filters_use_indexes(staff):
    """Without rendering, which takes most of the time and is the same for all of them."""
    request, seen, failures = RequestFactory().get("/admin/"), set(), []
    request.user = User.objects.get(email="staff@example.com")
    for model in admin_pages.models():
        model_admin, path = admin.site._registry[model], admin_pages.changelist(model)
        changes = model_admin.get_changelist_instance(_at(request, path))
        queries = ["", *admin_pages.searches(model, admin_pages.middle(model)), *admin_pages.filters(changes)]
        for query in [*queries, *filter(None, [changes.paginator.next])]:
            with captured() as statements:
                model_admin.get_changelist_instance(_at(request, path + query))
            assert len(statements) <= MAX_QUERIES, (path, query)
            new = [(sql, params) for sql, params in statements if sql not in seen]
            seen.update(sql for sql, _ in new)
            failures += [f"{path}{query}: {scan}" for scan in scans(new)]
    assert not failures, "\n".join(failures)


def _at(request, url):
    made = RequestFactory().get(url)
    made.user = request.user
    return made


def test_pages_take_at_most_30_queries(staff):
    failures = []
    for model in admin_pages.models():
        row = admin_pages.middle(model)
        for page in [admin_pages.changelist(model), *([admin_pages.change(model, row)] if row is not None else [])]:
            with captured() as statements:
                assert staff.get(page).status_code == 200, page
            if len(statements) > MAX_QUERIES:
                failures.append((page, len(statements)))
            failures += [f"{page}: {scan}" for scan in scans(statements)]
    assert not failures, "\n".join(map(str, failures))


def test_the_home_page_takes_at_most_30_queries(staff):
    with captured() as statements:
        assert staff.get("/admin/").status_code == 200
    assert len(statements) <= MAX_QUERIES


def test_generated_data_is_consistent():
    run.seed(SCALE)
    assert (Organization.objects.count(), ApiKey.objects.count(), Invoice.objects.count()) == (50, 500, 150)
    assert WebhookEvent.objects.count() == 500
    key = ApiKey.objects.select_related("creator").exclude(creator=None).first()
    assert key.creator.organization_id == key.organization_id
    assert key.created_at >= key.organization.created_at
    invoice = Invoice.objects.filter(status="paid").first()
    assert invoice.amount_paid == invoice.total == invoice.lines[0]["amount"]
    subscribed = invoice.organization.subscriptions.exclude(status="canceled").first()
    if subscribed:
        assert EntitlementsManager(invoice.organization).entitlements().plan == subscribed.plan
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(amount) FROM usage_events")
        (events,) = cursor.fetchone()
        cursor.execute("SELECT sum(amount) FILTER (WHERE grain = 'h'), sum(amount) FILTER (WHERE grain = 'd') FROM usage_summaries")
        assert cursor.fetchone() == (events, events)
        cursor.execute("SELECT sum(used) FROM usage_counters")
        assert cursor.fetchone() == (events,)


def test_the_same_seed_generates_the_same_rows():
    def values():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT md5(string_agg(public_id || created_at || organization_id, ',' ORDER BY public_id)) FROM accounts_apikey"
            )
            return cursor.fetchone()

    hashes = []
    for number in (1, 1, 2):
        with connection.cursor() as cursor:
            cursor.execute("SAVEPOINT before")
            run.seed(SCALE, number)
            hashes.append(values())
            cursor.execute("ROLLBACK TO SAVEPOINT before")
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("setting", [{"KEY_ENVIRONMENT": "live"}, {"STRIPE_LIVE_MODE": True}, {"SETTINGS_MODULE": run.PRODUCTION}])
def test_production_refuses_generated_data(settings, setting):
    for name, value in setting.items():
        setattr(settings, name, value)
    with pytest.raises(CommandError, match="production"):
        call_command("seed_scale")
    assert not Organization.objects.exists()


def test_a_database_with_customers_refuses_generated_data(acme):
    with pytest.raises(CommandError, match="contains organizations"):
        call_command("seed_scale")
