"""Sum the snapshots of each day by currency and plan, and derive the movements between days."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import connection

from billing.models import PlanPrice, RevenueDay, RevenueMovement, RevenuePlanDay

# Each row is added on its first day and subtracted on the day after its last day. The running sum of these steps is the total of each day,
# so one scan of the rows calculates all days.
_PLANS = """
WITH steps AS (
    SELECT GREATEST(first_day, %(first)s::date) AS day, currency, plan, "interval", state, 1 AS number, annual_amount AS amount
    FROM billing_revenuesnapshot WHERE first_day <= %(last)s AND (last_day IS NULL OR last_day >= %(first)s)
    UNION ALL
    SELECT last_day + 1, currency, plan, "interval", state, -1, -annual_amount
    FROM billing_revenuesnapshot WHERE last_day >= %(first)s AND last_day < %(last)s
), totals AS (
    SELECT day, currency, plan, "interval", state, SUM(number) AS number, SUM(amount) AS amount FROM steps GROUP BY 1, 2, 3, 4, 5
), parts AS (
    SELECT DISTINCT currency, plan, "interval", state FROM totals
), days AS (
    SELECT generate_series(%(first)s::date, %(last)s::date, interval '1 day')::date AS day
), sums AS (
    SELECT days.day, parts.*,
        SUM(COALESCE(totals.number, 0)) OVER until_day AS number, SUM(COALESCE(totals.amount, 0)) OVER until_day AS amount
    FROM days CROSS JOIN parts LEFT JOIN totals USING (day, currency, plan, "interval", state)
    WINDOW until_day AS (PARTITION BY parts.currency, parts.plan, parts."interval", parts.state ORDER BY days.day)
)
INSERT INTO billing_revenueplanday (day, currency, plan, "interval", state, subscriptions, annual_amount)
SELECT day, currency, plan, "interval", state, number, amount FROM sums WHERE number > 0
"""

# An organization's revenue can change only on a day on which one of its rows starts, or on the day after a row ended. `before` and `after`
# are its sums at the end of the previous day and of this day.
_MOVEMENTS = """
WITH edges AS (
    SELECT DISTINCT first_day AS day, organization_id, currency FROM billing_revenuesnapshot
    WHERE first_day BETWEEN %(first)s AND %(last)s
    UNION
    SELECT last_day + 1, organization_id, currency FROM billing_revenuesnapshot
    WHERE last_day BETWEEN %(first)s::date - 1 AND %(last)s::date - 1
), amounts AS (
    SELECT edges.*, (
        SELECT COALESCE(SUM(s.annual_amount), 0) FROM billing_revenuesnapshot s
        WHERE s.organization_id = edges.organization_id AND s.currency = edges.currency
          AND s.first_day < edges.day AND (s.last_day IS NULL OR s.last_day >= edges.day - 1)
    ) AS before, (
        SELECT COALESCE(SUM(s.annual_amount), 0) FROM billing_revenuesnapshot s
        WHERE s.organization_id = edges.organization_id AND s.currency = edges.currency
          AND s.first_day <= edges.day AND (s.last_day IS NULL OR s.last_day >= edges.day)
    ) AS after
    FROM edges
)
INSERT INTO billing_revenuemovement (day, organization_id, currency, kind, annual_before, annual_after)
SELECT day, organization_id, currency,
    CASE
        WHEN after = 0 THEN 'churn'
        WHEN before > 0 AND after > before THEN 'expansion'
        WHEN before > 0 THEN 'contraction'
        WHEN EXISTS (
            SELECT 1 FROM billing_revenuesnapshot s
            WHERE s.organization_id = amounts.organization_id AND s.currency = amounts.currency
              AND s.first_day < amounts.day AND s.annual_amount > 0
        ) THEN 'reactivation'
        ELSE 'new'
    END,
    before, after
FROM amounts WHERE before <> after
"""

_DAYS = """
WITH days AS (
    SELECT day.day, currencies.currency
    FROM (SELECT generate_series(%(first)s::date, %(last)s::date, interval '1 day')::date AS day) AS day
    JOIN (SELECT currency, MIN(first_day) AS since FROM billing_revenuesnapshot GROUP BY 1) AS currencies ON currencies.since <= day.day
), plans AS (
    SELECT day, currency, SUM(annual_amount) AS closing, SUM(annual_amount) FILTER (WHERE state = 'past_due') AS at_risk,
        SUM(subscriptions) FILTER (WHERE state = 'trial') AS trials
    FROM billing_revenueplanday WHERE day BETWEEN %(first)s AND %(last)s GROUP BY 1, 2
), customers AS (
    SELECT currency, COUNT(DISTINCT organization_id) AS customers_before FROM billing_revenuesnapshot
    WHERE annual_amount > 0 AND first_day < %(first)s AND (last_day IS NULL OR last_day >= %(first)s::date - 1) GROUP BY 1
), movements AS (
    SELECT day, currency,
        SUM(annual_after) FILTER (WHERE kind = 'new') AS new,
        SUM(annual_after - annual_before) FILTER (WHERE kind = 'expansion') AS expansion,
        SUM(annual_before - annual_after) FILTER (WHERE kind = 'contraction') AS contraction,
        SUM(annual_before) FILTER (WHERE kind = 'churn') AS churn,
        SUM(annual_after) FILTER (WHERE kind = 'reactivation') AS reactivation,
        SUM(annual_after - annual_before) AS net,
        COUNT(*) FILTER (WHERE kind = 'new') AS new_customers,
        COUNT(*) FILTER (WHERE kind = 'reactivation') AS reactivated_customers,
        COUNT(*) FILTER (WHERE kind = 'churn') AS lost_customers
    FROM billing_revenuemovement WHERE day BETWEEN %(first)s AND %(last)s GROUP BY 1, 2
), started AS (
    SELECT first_day AS day, currency, COUNT(*) AS trials_started FROM billing_revenuesnapshot s
    WHERE state = 'trial' AND first_day BETWEEN %(first)s AND %(last)s AND NOT EXISTS (
        SELECT 1 FROM billing_revenuesnapshot former
        WHERE former.stripe_subscription_id = s.stripe_subscription_id AND former.last_day = s.first_day - 1 AND former.state = 'trial'
    ) GROUP BY 1, 2
), ended AS (
    SELECT s.last_day + 1 AS day, s.currency,
        COUNT(*) FILTER (WHERE next.state IN ('active', 'past_due')) AS trials_converted,
        COUNT(*) FILTER (WHERE next.state IS NULL OR next.state = 'paused') AS trials_lost
    FROM billing_revenuesnapshot s
    LEFT JOIN billing_revenuesnapshot next
        ON next.stripe_subscription_id = s.stripe_subscription_id AND next.first_day = s.last_day + 1
    WHERE s.state = 'trial' AND s.last_day BETWEEN %(first)s::date - 1 AND %(last)s::date - 1 GROUP BY 1, 2
), overage AS (
    SELECT (i.finalized_at AT TIME ZONE 'UTC')::date AS day, i.currency,
        SUM((line ->> 'amount')::bigint - COALESCE((
            SELECT SUM((reduction.value ->> 'amount')::bigint) FROM jsonb_array_elements(
                CASE WHEN jsonb_typeof(line -> 'discount_amounts') = 'array' THEN line -> 'discount_amounts' ELSE '[]' END
            ) AS reduction
        ), 0)) AS overage
    FROM billing_invoice i
    JOIN djstripe_invoice mirrored ON mirrored.id = i.stripe_invoice_id
    CROSS JOIN LATERAL jsonb_array_elements(mirrored.stripe_data::jsonb -> 'lines' -> 'data') AS line
    WHERE i.status NOT IN ('draft', 'void')
      AND i.finalized_at >= %(first)s::date AND i.finalized_at < %(last)s::date + 1
      AND COALESCE(
          line -> 'pricing' -> 'price_details' -> 'price' ->> 'id', line -> 'pricing' -> 'price_details' ->> 'price'
      ) = ANY(%(overage_prices)s)
    GROUP BY 1, 2
)
INSERT INTO billing_revenueday (day, currency, opening, new, expansion, contraction, churn, reactivation, closing, at_risk, customers,
    new_customers, reactivated_customers, lost_customers, trials, trials_started, trials_converted, trials_lost, overage)
SELECT day, currency, COALESCE(closing, 0) - COALESCE(net, 0), COALESCE(new, 0), COALESCE(expansion, 0), COALESCE(contraction, 0),
    COALESCE(churn, 0), COALESCE(reactivation, 0), COALESCE(closing, 0), COALESCE(at_risk, 0),
    COALESCE(customers_before, 0) + SUM(COALESCE(new_customers, 0) + COALESCE(reactivated_customers, 0) - COALESCE(lost_customers, 0))
        OVER (PARTITION BY currency ORDER BY day),
    COALESCE(new_customers, 0), COALESCE(reactivated_customers, 0), COALESCE(lost_customers, 0), COALESCE(trials, 0),
    COALESCE(trials_started, 0), COALESCE(trials_converted, 0), COALESCE(trials_lost, 0), COALESCE(overage, 0)
FROM days
LEFT JOIN plans USING (day, currency) LEFT JOIN customers USING (currency) LEFT JOIN movements USING (day, currency)
LEFT JOIN started USING (day, currency) LEFT JOIN ended USING (day, currency) LEFT JOIN overage USING (day, currency)
"""


def rebuild_totals(first: date, last: date) -> None:
    """Replace the totals and movements of these days (UTC) with those of the snapshots. Call it in a transaction."""
    overage_prices = list(PlanPrice.objects.filter(interval=PlanPrice.OVERAGE).values_list("stripe_price_id", flat=True))
    parameters: dict[str, Any] = {"first": first, "last": last, "overage_prices": overage_prices}
    for model in (RevenueDay, RevenueMovement, RevenuePlanDay):
        model._default_manager.filter(day__range=(first, last)).delete()
    with connection.cursor() as cursor:
        for statement in (_PLANS, _MOVEMENTS, _DAYS):
            cursor.execute(statement, parameters)
