"""Usage events with their counters and summaries, refusals, gauges, holds, alerts and webhooks of customers."""

from datetime import UTC, datetime

from entitlements.catalog import CATALOG
from entitlements.types import Kind
from usage.store import partitions

from .seeder import Seeder

LABELS = ("usage.usagecounter", "usage.refusalsummary", "usage.webhookdelivery", "usage.usagehold")
MONTHS = 13
# Events of one key in one hour.
BURST = 10
_TOOL = "CASE WHEN s % 4 = 0 THEN 'tool_' || s % 30 END"


def seed(to: Seeder) -> None:
    organizations = to.value("SELECT count(*) FROM seed_organization")
    quotas = [feature.name for feature in CATALOG.features if feature.kind is Kind.QUOTA] or ["units"]
    for month in _months(to.present):
        to.execute(partitions.create_statement(month))
    # The cube of a uniform number: some organizations use much more than most.
    bursts = max(30, to.count(10_000_000) // BURST)
    to.execute(
        f"""CREATE TEMP TABLE seed_burst ON COMMIT DROP AS
        SELECT s, k.organization_id, k.id AS key_id, k.user_id,
            (ARRAY{quotas})[pg_temp.pick(s, 60, {len(quotas)})] AS feature, pg_temp.ago((1 - s::float8 / {bursts}) * 380) AS at
        FROM generate_series(1, {bursts}) AS s
            JOIN seed_key AS k ON k.n = 1 + floor(power(pg_temp.share(s, 61), 3) * {organizations})::bigint"""
    )
    to.execute(
        f"""INSERT INTO usage_events (organization_id, feature, amount, occurred_at, recorded_at, key_id, member_id, properties, tool)
        SELECT organization_id, feature, 1, at, at, key_id, user_id, NULL, {_TOOL}
        FROM seed_burst, generate_series(1, {BURST}) AS e"""
    )
    to.say("  usage events")
    for grain in ("hour", "day"):
        for columns, table, where in (
            (
                "feature, key_id, user_id",
                "usage_summaries (organization_id, grain, bucket, feature, key_id, member_id, amount, events)",
                "",
            ),
            (
                f"feature, {_TOOL}",
                "usage_tool_summaries (organization_id, grain, bucket, feature, tool, amount, events)",
                "WHERE s % 4 = 0",
            ),
        ):
            grouped = ", ".join(str(place) for place in range(1, 4 + len(columns.split(", "))))
            to.execute(
                f"""INSERT INTO {table} SELECT organization_id, '{grain[0]}', date_trunc('{grain}', at, 'UTC'), {columns},
                {BURST} * count(*), {BURST} * count(*) FROM seed_burst {where} GROUP BY {grouped}"""
            )
    to.say("  usage summaries")
    to.insert(
        "usage.usagecounter",
        f"""(SELECT organization_id, feature, date_trunc('month', at, 'UTC') AS month, {BURST} * count(*) AS used
        FROM seed_burst GROUP BY 1, 2, 3) AS c""",
        organization_id="organization_id",
        feature="feature",
        period_start="month",
        period_end="month + interval '1 month'",
        used="used",
    )
    _refusals(to, organizations, quotas)
    _others(to, organizations, quotas)


def _months(present: datetime) -> list[datetime]:
    months = [datetime(present.year, present.month, 1, tzinfo=UTC)]
    for _ in range(MONTHS):
        year, month = (months[-1].year - 1, 12) if months[-1].month == 1 else (months[-1].year, months[-1].month - 1)
        months.append(datetime(year, month, 1, tzinfo=UTC))
    return months


def _refusals(to: Seeder, organizations: int, quotas: list[str]) -> None:
    rows = to.count(500_000)
    to.insert(
        "usage.refusalsummary",
        f"""(SELECT s, date_trunc('minute', pg_temp.ago((1 - s::float8 / {rows}) * 90)) AS minute,
            1 + floor(power(pg_temp.share(s, 62), 3) * {organizations})::bigint AS n FROM generate_series(1, {rows}) AS s) AS r
        JOIN seed_key USING (n)""",
        organization_id="organization_id",
        minute="minute",
        code="(ARRAY['quota_exceeded','rate_limited','feature_not_available','key_revoked'])[pg_temp.pick(s, 63, 4)]",
        feature=f"'{quotas[0]}'",
        key_id="id",
        count="1 + s % 40",
    )


def _others(to: Seeder, organizations: int, quotas: list[str]) -> None:
    gauges = [feature.name for feature in CATALOG.features if feature.kind is Kind.GAUGE] or ["items"]
    to.insert(
        "usage.usagegauge",
        f"seed_organization, unnest(ARRAY{gauges[:2]}) AS gauge",
        organization_id="id",
        feature="gauge",
        value="n % 20",
        updated_at="created_at",
    )
    holds = to.count(100_000)
    to.insert(
        "usage.usagehold",
        f"""(SELECT s, pg_temp.ago((1 - s::float8 / {holds}) * 60) AS at, pg_temp.pick(s, 64, {organizations}) AS n
        FROM generate_series(1, {holds}) AS s) AS h JOIN seed_organization USING (n)""",
        id="pg_temp.uuid7(at, s, 65)",
        organization_id="id",
        feature=f"'{quotas[0]}'",
        period_start="date_trunc('month', at, 'UTC')",
        period_end="date_trunc('month', at, 'UTC') + interval '1 month'",
        amount="5",
        state="CASE WHEN s % 50 = 0 THEN 'expired' WHEN s % 10 = 1 THEN 'released' ELSE 'settled' END",
        settled_amount="CASE WHEN s % 50 <> 0 AND s % 10 <> 1 THEN 3 END",
        created_at="at",
        expires_at="at + interval '10 minutes'",
    )
    to.insert(
        "usage.overagesetting",
        "seed_customer WHERE n % 3 = 0",
        organization_id="organization_id",
        feature=f"'{quotas[0]}'",
        enabled="n % 2 = 0",
        cap_minor="5000",
        currency="currency",
        updated_at="created_at",
    )
    to.insert(
        "usage.usagealert",
        f"""generate_series(1, {to.count(60_000)}) AS s JOIN seed_organization ON n = 1 + s % {organizations},
        LATERAL (SELECT pg_temp.ago(pg_temp.share(s, 66) * 300) AS at)""",
        id="pg_temp.uuid7(at, s, 67)",
        organization_id="id",
        feature=f"'{quotas[0]}'",
        period_start="date_trunc('month', at, 'UTC')",
        period_end="date_trunc('month', at, 'UTC') + interval '1 month'",
        kind="(ARRAY['threshold_50','threshold_80','threshold_100','spike'])[pg_temp.pick(s, 68, 4)]",
        used="100",
        included="100",
        occurred_at="at",
        created_at="at",
    )
    endpoints = to.count(20_000)
    to.table(
        "seed_endpoint",
        f"""SELECT s AS n, o.id AS organization_id, o.created_at, pg_temp.uuid7(o.created_at, s, 69) AS id
        FROM generate_series(1, {endpoints}) AS s JOIN seed_organization AS o ON o.n = 1 + s::bigint * 3 % {organizations}""",
    )
    to.insert(
        "usage.webhookendpoint",
        "seed_endpoint",
        id="id",
        organization_id="organization_id",
        url="'https://hooks.seed.example/' || n",
        event_types="ARRAY['usage.threshold_reached']",
        enabled="n % 20 <> 0",
        secret="'\\x00'::bytea",
        created_at="created_at",
    )
    deliveries = to.count(500_000)
    to.insert(
        "usage.webhookdelivery",
        f"""(SELECT s, pg_temp.ago((1 - s::float8 / {deliveries}) * 30) AS at, pg_temp.pick(s, 70, {endpoints}) AS n
        FROM generate_series(1, {deliveries}) AS s) AS d JOIN seed_endpoint USING (n)""",
        id="pg_temp.uuid7(at, s, 71)",
        endpoint_id="id",
        event_type="'usage.threshold_reached'",
        body="'{}'",
        state="CASE WHEN s % 500 = 0 THEN 'failed' ELSE 'delivered' END",
        attempts="1",
        next_attempt_at="at",
        last_status="CASE WHEN s % 500 = 0 THEN 500 ELSE 200 END",
        created_at="at",
        finished_at="at",
    )
