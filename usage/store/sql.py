"""SQL statements of the metering core. `codec` encodes their parameters and decodes their rows.

Locks are always taken in the same order: counters, gauges, holds, idempotency keys, summaries, tool summaries, and by key within each
table. If there is a deadlock nevertheless, or another transaction has inserted an idempotency key first, the transaction is rolled back and
the commands are decided again.

LATERAL with LIMIT (or a row lock) forces one index lookup per row, so the query plan does not depend on the size of the tables when the
statement was prepared. A plain join that is prepared while a table is small uses a sequential scan, even after the table has grown.
"""

# A counter below zero does not increase the allowance: it is read as zero, and updates start from zero.
LOCK_COUNTERS = """
SELECT needed.n, counter.id, GREATEST(counter.used, 0), counter.held, setting.cap_minor, setting.currency, counter.credited
FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[]) WITH ORDINALITY AS needed (organization_id, feature, period_start, n)
CROSS JOIN LATERAL (
    SELECT id, used, held, credited FROM usage_counters
    WHERE organization_id = needed.organization_id AND feature = needed.feature AND period_start = needed.period_start
    FOR NO KEY UPDATE
) AS counter
LEFT JOIN usage_overage_settings AS setting
    ON setting.organization_id = needed.organization_id AND setting.feature = needed.feature AND setting.enabled
"""

INSERT_COUNTERS = """
INSERT INTO usage_counters (organization_id, feature, period_start, period_end, used, held, credited)
SELECT organization_id, feature, period_start, period_end, 0, 0, 0
FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::timestamptz[]) AS needed (organization_id, feature, period_start, period_end)
ORDER BY organization_id, feature, period_start
ON CONFLICT DO NOTHING
"""

LOCK_GAUGES = """
SELECT needed.n, gauge.id, gauge.value
FROM unnest(%b::uuid[], %b::text[]) WITH ORDINALITY AS needed (organization_id, feature, n)
CROSS JOIN LATERAL (
    SELECT id, value FROM usage_gauges
    WHERE organization_id = needed.organization_id AND feature = needed.feature
    FOR NO KEY UPDATE
) AS gauge
"""

INSERT_GAUGES = """
INSERT INTO usage_gauges (organization_id, feature, value, updated_at)
SELECT organization_id, feature, 0, now() FROM unnest(%b::uuid[], %b::text[]) AS needed (organization_id, feature)
ORDER BY organization_id, feature
ON CONFLICT DO NOTHING
"""

LOCK_HOLDS = """
SELECT needed.n, hold.organization_id, hold.amount, hold.state, hold.settled_amount, hold.key_id, hold.member_id, hold.created_at
FROM unnest(%b::uuid[]) WITH ORDINALITY AS needed (id, n)
CROSS JOIN LATERAL (SELECT * FROM usage_holds WHERE id = needed.id FOR NO KEY UPDATE) AS hold
"""

# This is a separate statement after the locks, so that its snapshot contains the rows that the previous lock holders committed.
SELECT_IDEMPOTENCY_KEYS = """
SELECT needed.n, record.fingerprint, record.response
FROM unnest(%b::uuid[], %b::bytea[]) WITH ORDINALITY AS needed (organization_id, digest, n)
CROSS JOIN LATERAL (
    SELECT fingerprint, response FROM usage_idempotency_keys
    WHERE organization_id = needed.organization_id AND digest = needed.digest
    LIMIT 1
) AS record
"""

# The validity of an API key or a connected app is checked in the transaction that counts, regardless of what this process has cached.
SELECT_ACTIVE_KEYS = """
SELECT needed.id
FROM unnest(%b::uuid[]) AS needed (id)
CROSS JOIN LATERAL (
    SELECT organization_id, expires_at FROM accounts_apikey
    WHERE id = needed.id AND revoked_at IS NULL AND creator_id IS NOT NULL
    LIMIT 1
) AS api_key
CROSS JOIN LATERAL (
    SELECT clock_offset FROM accounts_organization WHERE id = api_key.organization_id AND closed_at IS NULL LIMIT 1
) AS organization
WHERE api_key.expires_at IS NULL OR api_key.expires_at > now() + organization.clock_offset
"""

SELECT_ACTIVE_APPS = """
SELECT needed.id
FROM unnest(%b::uuid[]) AS needed (id)
CROSS JOIN LATERAL (SELECT membership_id FROM accounts_oauthgrant WHERE id = needed.id AND revoked_at IS NULL LIMIT 1) AS app
CROSS JOIN LATERAL (SELECT organization_id FROM accounts_membership WHERE id = app.membership_id LIMIT 1) AS member
CROSS JOIN LATERAL (SELECT FROM accounts_organization WHERE id = member.organization_id AND closed_at IS NULL LIMIT 1) AS organization
"""

INSERT_EVENTS_AND_UPDATE_COUNTERS = """
WITH record AS (
    INSERT INTO usage_idempotency_keys (organization_id, digest, fingerprint, recorded_at, response)
    SELECT organization_id, digest, fingerprint, now(), NULLIF(response, '')
    FROM unnest(%b::uuid[], %b::bytea[], %b::bytea[], %b::text[]) AS new (organization_id, digest, fingerprint, response)
    ORDER BY organization_id, digest
), event AS (
    INSERT INTO usage_events (organization_id, feature, amount, occurred_at, recorded_at, key_id, member_id, digest, reason, properties)
    SELECT organization_id, feature, amount, occurred_at, now(), key_id, member_id, NULLIF(digest, ''),
        NULLIF(reason, ''), NULLIF(properties, '')
    FROM unnest(%b::uuid[], %b::text[], %b::bigint[], %b::timestamptz[], %b::uuid[], %b::bigint[], %b::bytea[], %b::text[], %b::text[])
        AS new (organization_id, feature, amount, occurred_at, key_id, member_id, digest, reason, properties)
), counter AS (
    UPDATE usage_counters SET used = GREATEST(usage_counters.used, 0) + new.used, held = usage_counters.held + new.held,
        credited = usage_counters.credited + new.credited
    FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[]) AS new (id, used, held, credited)
    CROSS JOIN LATERAL (SELECT ctid AS row_id FROM usage_counters WHERE id = new.id LIMIT 1) AS target
    WHERE usage_counters.ctid = target.row_id
)
INSERT INTO usage_summaries AS summary (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
SELECT * FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::text[], %b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[])
    AS new (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
ORDER BY organization_id, grain, bucket, feature, key_id, member_id
ON CONFLICT (organization_id, grain, bucket, feature, key_id, member_id)
    DO UPDATE SET amount = summary.amount + excluded.amount, events = summary.events + excluded.events
"""

# Only batches with MCP tools run this statement. Other events and all ordinary summaries are written by INSERT_EVENTS_AND_UPDATE_COUNTERS.
INSERT_TOOL_EVENTS = """
WITH event AS (
    INSERT INTO usage_events (organization_id, feature, amount, occurred_at, recorded_at, key_id, member_id, digest, tool)
    SELECT organization_id, feature, amount, occurred_at, now(), key_id, member_id, NULLIF(digest, ''), tool
    FROM unnest(%b::uuid[], %b::text[], %b::bigint[], %b::timestamptz[], %b::uuid[], %b::bigint[], %b::bytea[], %b::text[])
        AS new (organization_id, feature, amount, occurred_at, key_id, member_id, digest, tool)
)
INSERT INTO usage_tool_summaries AS summary (organization_id, grain, bucket, feature, tool, amount, events)
SELECT * FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::text[], %b::text[], %b::bigint[], %b::bigint[])
    AS new (organization_id, grain, bucket, feature, tool, amount, events)
ORDER BY organization_id, grain, bucket, feature, tool
ON CONFLICT (organization_id, grain, bucket, feature, tool)
    DO UPDATE SET amount = summary.amount + excluded.amount, events = summary.events + excluded.events
"""

UPDATE_GAUGES = """
UPDATE usage_gauges SET value = usage_gauges.value + new.amount, updated_at = now()
FROM unnest(%b::bigint[], %b::bigint[]) AS new (id, amount)
CROSS JOIN LATERAL (SELECT ctid AS row_id FROM usage_gauges WHERE id = new.id LIMIT 1) AS target
WHERE usage_gauges.ctid = target.row_id
"""

INSERT_HOLDS = """
INSERT INTO usage_holds (id, organization_id, feature, period_start, period_end, amount, state, key_id, member_id, created_at, expires_at)
SELECT id, organization_id, feature, period_start, period_end, amount, 'held', key_id, member_id, created_at, expires_at
FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::bigint[], %b::uuid[], %b::bigint[],
        %b::timestamptz[], %b::timestamptz[])
    AS new (id, organization_id, feature, period_start, period_end, amount, key_id, member_id, created_at, expires_at)
"""

UPDATE_ENDED_HOLDS = """
UPDATE usage_holds SET state = ended.state, settled_amount = ended.amount
FROM unnest(%b::uuid[], %b::text[], %b::bigint[]) AS ended (id, state, amount)
CROSS JOIN LATERAL (SELECT ctid AS row_id FROM usage_holds WHERE id = ended.id LIMIT 1) AS target
WHERE usage_holds.ctid = target.row_id
"""

# An audit event is written in the transaction of the correction that it describes.
INSERT_AUDIT_EVENTS = """
INSERT INTO accounts_auditevent
    (organization_id, actor_service_key_id, action, target, before, after, reason, ip_address, request_id, created_at)
SELECT organization_id, service_key_id, action, target, NULLIF(before, '')::jsonb, after::jsonb, reason, NULLIF(address, '')::inet,
    request_id, now()
FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[])
    AS new (organization_id, service_key_id, action, target, before, after, reason, address, request_id)
"""

# Expires the due holds of one locked counter and subtracts them from its held amount.
UPDATE_EXPIRED_HOLDS = """
WITH due AS (
    UPDATE usage_holds SET state = 'expired'
    WHERE organization_id = %b AND feature = %b AND period_start = %b AND state = 'held' AND expires_at <= now()
    RETURNING amount
)
UPDATE usage_counters SET held = held - due.total
FROM (SELECT sum(amount)::bigint AS total FROM due) AS due
WHERE due.total IS NOT NULL AND organization_id = %b AND feature = %b AND period_start = %b
"""

# The held amount without holds that are due but not yet expired. The subquery runs only if anything is held.
_HELD = """
CASE WHEN held = 0 THEN 0 ELSE held - (
    SELECT COALESCE(sum(hold.amount), 0)::bigint FROM usage_holds AS hold
    WHERE hold.organization_id = usage_counters.organization_id AND hold.feature = usage_counters.feature
        AND hold.period_start = usage_counters.period_start AND hold.state = 'held' AND hold.expires_at <= now()
) END AS held
"""
SELECT_COUNTERS = LOCK_COUNTERS.replace("FOR NO KEY UPDATE", "LIMIT 1").replace(
    "SELECT id, used, held, credited FROM", f"SELECT id, used, {_HELD}, credited FROM"
)
SELECT_GAUGES = LOCK_GAUGES.replace("FOR NO KEY UPDATE", "LIMIT 1")

# Balances of many organizations: counters, gauges (held is -1) and the number of members (held is -2).
SELECT_BALANCES = f"""
SELECT needed.n, balance.feature, balance.amount, balance.held, balance.credited
FROM unnest(%b::uuid[], %b::timestamptz[]) WITH ORDINALITY AS needed (organization_id, period_start, n)
CROSS JOIN LATERAL (
    SELECT feature::text, GREATEST(used, 0), {_HELD}, credited FROM usage_counters
    WHERE organization_id = needed.organization_id AND period_start = needed.period_start
    UNION ALL
    SELECT feature::text, value, -1, 0 FROM usage_gauges WHERE organization_id = needed.organization_id
    UNION ALL
    SELECT '', count(*), -2, 0 FROM accounts_membership WHERE organization_id = needed.organization_id
) AS balance (feature, amount, held, credited)
"""  # noqa: S608 - contains no user input
