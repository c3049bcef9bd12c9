"""Grants, subscriptions, invoices and what belongs to them, and webhook events."""

from typing import Any

from billing.models import PlanPrice
from entitlements.catalog import CATALOG
from entitlements.models import PlanVersion

from . import mirror
from .mirror import SUBSCRIPTION_STATUS
from .seeder import Seeder

LABELS = (
    "entitlements.grant",
    "billing.subscriptionstate",
    "billing.invoice",
    "billing.billingnotification",
    "billing.webhookevent",
    "djstripe.invoice",
    "djstripe.customer",
    "djstripe.subscription",
    "djstripe.paymentmethod",
)
_LINES = """jsonb_build_array(jsonb_build_object('description', '1 x ' || plan, 'quantity', 1, 'amount', amount, 'proration', false,
    'period_start', extract(epoch FROM at)::bigint, 'period_end', extract(epoch FROM at + interval '1 month')::bigint))"""
_INVOICE_STATUS = "CASE WHEN s % 200 = 0 THEN 'open' WHEN s % 400 = 1 THEN 'uncollectible' WHEN s % 300 = 2 THEN 'void' ELSE 'paid' END"
_TYPES = """(ARRAY['customer.subscription.updated','customer.subscription.updated','customer.subscription.created','invoice.paid',
    'invoice.paid','invoice.finalized','invoice.payment_failed','payment_intent.succeeded','charge.succeeded','customer.updated'])"""


def seed(to: Seeder) -> None:
    _plans(to)
    customers = to.value("SELECT count(*) FROM seed_organization WHERE pays")
    to.table(
        "seed_customer",
        """SELECT row_number() OVER (ORDER BY o.n) AS n, o.n AS organization, o.id AS organization_id, o.user_id, o.created_at,
            plan_version_id, plan, interval, amount, currency, price_id,
            greatest(date_trunc('month', o.created_at), pg_temp.ago(600)) AS anchor
        FROM seed_organization AS o JOIN seed_price AS p ON p.n = pg_temp.pick(o.n, 40, (SELECT count(*) FROM seed_price)) WHERE pays""",
    )
    _grants(to)
    _accounts(to)
    _invoices(to, customers)
    _events(to, customers)
    _runs(to, customers)
    mirror.seed(to)


def _plans(to: Seeder) -> None:
    """Add prices without a Stripe counterpart to the published plans, if they have none."""
    for plan in CATALOG.plans:
        version = PlanVersion.objects.newest().filter(plan=plan.name).first()
        for price in plan.prices if version else ():
            details: dict[str, Any] = {"stripe_price_id": f"price_seed_{plan.name}_{price.interval}", "amount": price.amount}
            PlanPrice.objects.get_or_create(
                plan_version=version, interval=price.interval, feature="", current=True, defaults=details | {"currency": price.currency}
            )
    to.table(
        "seed_price",
        """SELECT row_number() OVER (ORDER BY p.id) AS n, plan_version_id, v.plan, p.interval, amount, currency, stripe_price_id AS price_id
        FROM billing_planprice AS p JOIN entitlements_planversion AS v ON v.id = plan_version_id
        WHERE current AND p.interval <> 'overage'""",
    )


def _grants(to: Seeder) -> None:
    to.insert(
        "entitlements.grant",
        "seed_customer",
        organization_id="organization_id",
        plan_version_id="plan_version_id",
        source="'subscription'",
        reference="'sub_seed_' || n",
        starts_at="anchor",
        ends_at="CASE WHEN n % 10 = 0 THEN pg_temp.ago(pg_temp.share(n, 41) * 5) END",
        anchor="anchor",
        created_at="anchor",
    )
    to.insert(
        "entitlements.grant",
        f"""generate_series(1, {to.count(20_000)}) AS s JOIN seed_customer ON n = 1 + s::bigint * 7 % (SELECT count(*) FROM seed_customer),
        LATERAL (SELECT pg_temp.ago(pg_temp.share(s, 42) * 400) AS at)""",
        organization_id="organization_id",
        plan_version_id="plan_version_id",
        source="(ARRAY['gift','staff','trial'])[pg_temp.pick(s, 43, 3)]",
        starts_at="at",
        ends_at="at + interval '30 days'",
        anchor="at",
        reason="'Ticket ' || s",
        created_by_id="user_id",
        created_at="at",
    )
    features = [feature.name for feature in CATALOG.features]
    to.insert(
        "entitlements.override",
        f"generate_series(1, {to.count(10_000)}) AS s JOIN seed_customer ON n = s",
        organization_id="organization_id",
        feature=f"(ARRAY{features})[pg_temp.pick(s, 44, {len(features)})]",
        value="to_jsonb(s)",
        ends_at="CASE WHEN s % 3 = 0 THEN pg_temp.ago(pg_temp.share(s, 45) * 60 - 30) END",
        reason="'Ticket ' || s",
        created_at="pg_temp.ago(pg_temp.share(s, 46) * 60 + 30)",
        ended_at="CASE WHEN s % 5 = 0 THEN pg_temp.ago(1) END",
    )


def _accounts(to: Seeder) -> None:
    to.insert(
        "billing.billingaccount",
        "seed_customer",
        organization_id="organization_id",
        stripe_customer_id="'cus_seed_' || n",
        currency="currency",
        trial_used_at="anchor",
        payment_method="jsonb_build_object('type', 'card', 'brand', 'visa', 'last4', lpad((n % 10000)::text, 4, '0'))",
        synced_at="pg_temp.ago(pg_temp.share(n, 47) * 30)",
        created_at="created_at",
    )
    to.insert(
        "billing.subscriptionstate",
        "seed_customer",
        organization_id="organization_id",
        stripe_subscription_id="'sub_seed_' || n",
        stripe_customer_id="'cus_seed_' || n",
        status=SUBSCRIPTION_STATUS,
        plan_version_id="plan_version_id",
        interval="interval",
        stripe_price_id="price_id",
        currency="currency",
        unit_amount="amount",
        started_at="anchor",
        current_period_start="pg_temp.ago(pg_temp.share(n, 48) * 30)",
        current_period_end="pg_temp.ago(pg_temp.share(n, 48) * 30 - 30)",
        anchor="anchor",
        cancel_at="CASE WHEN n % 30 = 3 THEN pg_temp.ago(-20) END",
        canceled_at="CASE WHEN n % 10 = 0 THEN pg_temp.ago(10) END",
        ended_at="CASE WHEN n % 10 = 0 THEN pg_temp.ago(5) END",
        past_due_since="CASE WHEN n % 40 = 1 THEN pg_temp.ago(3) END",
        latest_invoice_id="'in_seed_' || n",
    )
    to.insert(
        "billing.trialrecord",
        f"generate_series(1, {to.count(60_000)}) AS s JOIN seed_customer ON n = 1 + s % (SELECT count(*) FROM seed_customer)",
        organization_id="organization_id",
        kind="(ARRAY['user','email','card'])[1 + s % 3]",
        value="pg_temp.hash(s, 49) || pg_temp.hash(s, 50)",
        created_at="anchor",
    )
    to.insert(
        "billing.checkoutattempt",
        f"""generate_series(1, {to.count(60_000)}) AS s JOIN seed_customer ON n = 1 + s % (SELECT count(*) FROM seed_customer),
        LATERAL (SELECT pg_temp.ago(pg_temp.share(s, 51) * 400) AS at)""",
        id="pg_temp.uuid7(at, s, 52)",
        organization_id="organization_id",
        plan="plan",
        interval="interval",
        request="jsonb_build_object('mode', 'subscription')",
        state="CASE WHEN s % 3 = 0 THEN 'expired' ELSE 'completed' END",
        session_id="'cs_test_seed_' || s",
        created_by_id="user_id",
        created_at="at",
    )
    to.insert(
        "billing.billingaction",
        f"""generate_series(1, {to.count(30_000)}) AS s JOIN seed_customer ON n = 1 + s % (SELECT count(*) FROM seed_customer),
        LATERAL (SELECT pg_temp.ago(pg_temp.share(s, 53) * 400) AS at)""",
        id="pg_temp.uuid7(at, s, 54)",
        organization_id="organization_id",
        kind="(ARRAY['change_plan','cancel','resume','update_customer'])[pg_temp.pick(s, 55, 4)]",
        state="CASE WHEN s % 100 = 0 THEN 'failed' ELSE 'done' END",
        created_by_id="user_id",
        created_at="at",
        finished_at="at",
    )


def _invoices(to: Seeder, customers: int) -> None:
    invoices = to.count(300_000)
    rows = f"""(SELECT s, pg_temp.ago((1 - s::float8 / {invoices}) * 400) AS at FROM generate_series(1, {invoices}) AS s) AS i
        JOIN seed_customer ON n = 1 + s % {customers}"""
    paid = f"CASE WHEN ({_INVOICE_STATUS}) = 'paid' THEN amount ELSE 0 END"
    to.insert(
        "billing.invoice",
        rows,
        organization_id="organization_id",
        stripe_invoice_id="'in_seed_' || s",
        stripe_subscription_id="'sub_seed_' || n",
        payment_ids="'pi_seed_' || s || ' ch_seed_' || s",
        number="'SEED-' || lpad(s::text, 7, '0')",
        status=_INVOICE_STATUS,
        billing_reason=f"CASE WHEN s <= {customers} THEN 'subscription_create' ELSE 'subscription_cycle' END",
        currency="currency",
        subtotal="amount",
        total="amount",
        amount_due="amount",
        amount_paid=paid,
        amount_remaining=f"amount - {paid}",
        amount_refunded="CASE WHEN s % 20 = 5 THEN amount / 2 ELSE 0 END",
        attempt_count="1 + (s % 30 = 0)::int",
        attempted="true",
        failed_at="CASE WHEN s % 30 = 0 THEN at END",
        period_start="at",
        period_end="at + interval '1 month'",
        created_at="at",
        finalized_at="at",
        paid_at=f"CASE WHEN ({_INVOICE_STATUS}) = 'paid' THEN at + interval '1 hour' END",
        lines=_LINES,
    )
    to.insert(
        "billing.adjustment",
        f"""(SELECT 20 * k + 5 AS s, pg_temp.ago((1 - k::float8 / {to.count(15_000)}) * 400) AS at
        FROM generate_series(1, {to.count(15_000)}) AS k) AS i JOIN seed_customer ON n = 1 + s % {customers}""",
        organization_id="organization_id",
        kind="(ARRAY['refund','refund','refund','credit_note','dispute'])[pg_temp.pick(s, 56, 5)]",
        stripe_id="'re_seed_' || s",
        stripe_charge_id="'ch_seed_' || s",
        stripe_payment_intent_id="'pi_seed_' || s",
        stripe_invoice_id="'in_seed_' || s",
        status="'succeeded'",
        amount="amount / 2",
        currency="currency",
        created_at="at",
    )
    to.insert(
        "billing.billingnotification",
        rows,
        organization_id="organization_id",
        kind="CASE WHEN s % 30 = 0 THEN 'payment_failed' ELSE 'invoice_paid' END",
        object_id="'in_seed_' || s",
        transition="'paid'",
        due_at="at",
        sent_at="CASE WHEN s % 1000 <> 0 THEN at END",
        canceled_at="CASE WHEN s % 1000 = 0 THEN at END",
        attempts="1",
        created_at="at",
    )
    meter = CATALOG.main_meter
    to.insert(
        "billing.meterreport",
        f"""(SELECT s, pg_temp.ago((1 - s::float8 / {to.count(50_000)}) * 300) AS at FROM generate_series(1, {to.count(50_000)}) AS s) AS r
        JOIN seed_customer ON n = 1 + s % {customers}""",
        organization_id="organization_id",
        feature=f"'{meter.name if meter else 'units'}'",
        stripe_customer_id="'cus_seed_' || n",
        period_start="date_trunc('month', at)",
        sequence=f"1 + s / {customers}",
        units="1 + s % 50",
        identifier="'report_seed_' || s",
        timestamp="at",
        state="CASE WHEN s % 500 = 0 THEN 'dead' ELSE 'sent' END",
        attempts="1",
        sent_at="at",
        created_at="at",
    )


def _events(to: Seeder, customers: int) -> None:
    events = to.count(1_000_000)
    to.insert(
        "billing.webhookevent",
        f"""(SELECT s, pg_temp.ago((1 - s::float8 / {events}) * 400) AS at, 1 + s % {customers} AS n,
            {_TYPES}[pg_temp.pick(s, 57, 10)] AS type FROM generate_series(1, {events}) AS s) AS e""",
        event_id="'evt_seed_' || s",
        type="type",
        subject="'cus_seed_' || n",
        created="at",
        payload="""jsonb_build_object('id', 'evt_seed_' || s, 'type', type, 'object', 'event', 'created', extract(epoch FROM at)::bigint,
            'data', jsonb_build_object('object', jsonb_build_object('id', 'in_seed_' || s, 'object', 'invoice',
                'customer', 'cus_seed_' || n, 'status', 'paid', 'total', 900, 'currency', 'usd', 'description', repeat('x', 200))))""",
        source="CASE WHEN s % 2000 = 0 THEN 'reconciliation' ELSE 'webhook' END",
        state="CASE WHEN s % 5000 = 1 THEN 'dead' WHEN s % 50 = 2 THEN 'ignored' ELSE 'processed' END",
        attempts="CASE WHEN s % 5000 = 1 THEN 8 ELSE 1 END",
        error="CASE WHEN s % 5000 = 1 THEN 'StripeMissing: No such customer' ELSE '' END",
        received_at="at",
        processed_at="CASE WHEN s % 5000 <> 1 THEN at END",
    )


def _runs(to: Seeder, customers: int) -> None:
    runs = to.count(400)
    first = to.value("SELECT coalesce(max(id), 0) FROM billing_reconciliationrun")
    to.insert(
        "billing.reconciliationrun",
        f"generate_series(1, {runs}) AS n",
        id=f"{first} + n",
        started_at=f"pg_temp.ago({runs} - n)",
        finished_at=f"pg_temp.ago({runs} - n)",
        customers_compared=str(customers),
    )
    to.align_sequence("billing.reconciliationrun")
    to.insert(
        "billing.drift",
        f"generate_series(1, {to.count(20_000)}) AS s JOIN seed_customer ON n = 1 + s % {customers}",
        run_id=f"{first} + pg_temp.pick(s, 58, {runs})",
        organization_id="organization_id",
        kind="(ARRAY['subscription','invoice','usage'])[pg_temp.pick(s, 59, 3)]",
        subject="'sub_seed_' || n",
        expected="to_jsonb('active'::text)",
        actual="to_jsonb('past_due'::text)",
        repaired="s % 100 <> 0",
        created_at=f"pg_temp.ago((1 - s::float8 / {to.count(20_000)}) * 400)",
    )
    to.insert(
        "billing.striperequestwindow",
        f"generate_series(1, {to.count(10_000)}) AS n",
        subject="'user:' || n",
        starts_at="pg_temp.ago(0)",
        requests="1",
    )
