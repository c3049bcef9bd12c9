"""Stripe's documents in the mirror."""

from .seeder import Seeder

SUBSCRIPTION_STATUS = (
    "CASE WHEN n % 10 = 0 THEN 'canceled' WHEN n % 40 = 1 THEN 'past_due' WHEN n % 25 = 2 THEN 'trialing' ELSE 'active' END"
)
_SUBSCRIPTION = f"""jsonb_build_object('id', 'sub_seed_' || n, 'object', 'subscription', 'customer', 'cus_seed_' || n, 'currency', currency,
    'status', {SUBSCRIPTION_STATUS}, 'start_date', extract(epoch FROM anchor)::bigint,
    'billing_cycle_anchor', extract(epoch FROM anchor)::bigint,
    'trial_start', NULL, 'trial_end', NULL, 'cancel_at', NULL, 'canceled_at', NULL, 'ended_at', NULL, 'cancel_at_period_end', false,
    'items', jsonb_build_object('data', jsonb_build_array(jsonb_build_object('id', 'si_seed_' || n, 'quantity', 1,
        'current_period_start', extract(epoch FROM pg_temp.ago(pg_temp.share(n, 48) * 30))::bigint,
        'current_period_end', extract(epoch FROM pg_temp.ago(pg_temp.share(n, 48) * 30 - 30))::bigint,
        'price', jsonb_build_object('id', price_id, 'unit_amount', amount, 'currency', currency,
            'recurring', jsonb_build_object('interval', interval, 'usage_type', 'licensed'))))))"""


def seed(to: Seeder) -> None:
    common = {"livemode": "false", "djstripe_created": "pg_temp.ago(0)", "djstripe_updated": "pg_temp.ago(0)"}
    to.insert(
        "djstripe.customer",
        "seed_customer",
        id="'cus_seed_' || n",
        created="created_at",
        email="'user' || organization || '@seed.example'",
        subscriber_id="organization_id",
        stripe_data="jsonb_build_object('id', 'cus_seed_' || n, 'object', 'customer', 'balance', 0)",
        **common,
    )
    to.insert(
        "djstripe.subscription",
        "seed_customer",
        id="'sub_seed_' || n",
        created="anchor",
        customer_id="'cus_seed_' || n",
        stripe_data=_SUBSCRIPTION,
        **common,
    )
    to.insert(
        "djstripe.invoice",
        f"generate_series(1, {to.count(300_000)}) AS s JOIN seed_customer ON n = 1 + s % (SELECT count(*) FROM seed_customer)",
        id="'in_seed_' || s",
        created=f"pg_temp.ago((1 - s::float8 / {to.count(300_000)}) * 400)",
        customer_id="'cus_seed_' || n",
        subscription_id="'sub_seed_' || n",
        stripe_data="""jsonb_build_object('id', 'in_seed_' || s, 'object', 'invoice', 'total', amount, 'currency', currency,
            'customer', 'cus_seed_' || n, 'status', 'paid', 'description', repeat('x', 200))""",
        **common,
    )
    to.insert(
        "djstripe.paymentmethod",
        "seed_customer CROSS JOIN generate_series(0, 1) AS method",
        id="'pm_seed_' || n || '_' || method",
        created="created_at",
        customer_id="'cus_seed_' || n",
        # The first one is the default payment method of the billing account.
        stripe_data="""jsonb_build_object('id', 'pm_seed_' || n || '_' || method, 'object', 'payment_method', 'type', 'card',
            'card', jsonb_build_object('brand', 'visa', 'last4', lpad(((n + method * 5000) % 10000)::text, 4, '0')))""",
        **common,
    )
