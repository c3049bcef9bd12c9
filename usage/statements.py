"""The SQL of counting. Both executors, the one in Django and the gate's, send exactly this.

Locks are always taken in one order: counters, levels, holds, idempotency keys, summaries, and within each by key. Whoever still meets a
deadlock, or loses a race for an idempotency key, rolls back and decides anew.

Rows are looked up one by one, by LATERAL and LIMIT (or a lock): so the plan is the same whatever the tables' size was when it was made.
Joined freely, all of a small table is read for each row and compared; that plan is kept, and so is done to a big one.
"""

LOCK_COUNTERS = """
SELECT wanted.n, counter.id, counter.used, counter.held, setting.cap_minor, setting.currency
FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[]) WITH ORDINALITY AS wanted (organization_id, feature, period_start, n)
CROSS JOIN LATERAL (
    SELECT id, used, held FROM usage_counters
    WHERE organization_id = wanted.organization_id AND feature = wanted.feature AND period_start = wanted.period_start
    FOR NO KEY UPDATE
) AS counter
LEFT JOIN usage_overage_settings AS setting
    ON setting.organization_id = wanted.organization_id AND setting.feature = wanted.feature AND setting.enabled
"""

MAKE_COUNTERS = """
INSERT INTO usage_counters (organization_id, feature, period_start, period_end, used, held)
SELECT organization_id, feature, period_start, period_end, 0, 0
FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::timestamptz[]) AS wanted (organization_id, feature, period_start, period_end)
ORDER BY organization_id, feature, period_start
ON CONFLICT DO NOTHING
"""

LOCK_LEVELS = """
SELECT wanted.n, level.id, level.value
FROM unnest(%b::uuid[], %b::text[]) WITH ORDINALITY AS wanted (organization_id, feature, n)
CROSS JOIN LATERAL (
    SELECT id, value FROM usage_levels
    WHERE organization_id = wanted.organization_id AND feature = wanted.feature
    FOR NO KEY UPDATE
) AS level
"""

MAKE_LEVELS = """
INSERT INTO usage_levels (organization_id, feature, value, updated_at)
SELECT organization_id, feature, 0, now() FROM unnest(%b::uuid[], %b::text[]) AS wanted (organization_id, feature)
ORDER BY organization_id, feature
ON CONFLICT DO NOTHING
"""

LOCK_HOLDS = """
SELECT wanted.n, hold.organization_id, hold.feature, hold.period_start, hold.period_end, hold.amount, hold.state, hold.settled_amount,
    hold.key_id, hold.member_id, hold.created_at
FROM unnest(%b::uuid[]) WITH ORDINALITY AS wanted (id, n)
CROSS JOIN LATERAL (SELECT * FROM usage_holds WHERE id = wanted.id FOR NO KEY UPDATE) AS hold
"""

# Sent after the locks, as a statement of its own: it sees what those who held them before have committed.
READ_KEYS = """
SELECT wanted.n, seen.fingerprint, seen.answer
FROM unnest(%b::uuid[], %b::bytea[]) WITH ORDINALITY AS wanted (organization_id, digest, n)
CROSS JOIN LATERAL (
    SELECT fingerprint, answer FROM usage_event_keys
    WHERE organization_id = wanted.organization_id AND digest = wanted.digest
    LIMIT 1
) AS seen
"""

# What is counted durably is counted for a key that is good in the same transaction, whatever this process remembers of it.
READ_LIVE = """
SELECT wanted.id
FROM unnest(%b::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT organization_id, expires_at FROM accounts_apikey
    WHERE id = wanted.id AND revoked_at IS NULL AND creator_id IS NOT NULL
    LIMIT 1
) AS api_key
CROSS JOIN LATERAL (
    SELECT clock_offset FROM accounts_organization WHERE id = api_key.organization_id AND closed_at IS NULL LIMIT 1
) AS organization
WHERE api_key.expires_at IS NULL OR api_key.expires_at > now() + organization.clock_offset
"""

COUNT = """
WITH seen AS (
    INSERT INTO usage_event_keys (organization_id, digest, fingerprint, recorded_at, answer)
    SELECT organization_id, digest, fingerprint, now(), NULLIF(answer, '')
    FROM unnest(%b::uuid[], %b::bytea[], %b::bytea[], %b::text[]) AS new (organization_id, digest, fingerprint, answer)
    ORDER BY organization_id, digest
), event AS (
    INSERT INTO usage_events (organization_id, feature, amount, occurred_at, recorded_at, key_id, member_id, digest, reason, properties)
    SELECT organization_id, feature, amount, occurred_at, now(), key_id, member_id, NULLIF(digest, ''),
        NULLIF(reason, ''), NULLIF(properties, '')
    FROM unnest(%b::uuid[], %b::text[], %b::bigint[], %b::timestamptz[], %b::uuid[], %b::bigint[], %b::bytea[], %b::text[], %b::text[])
        AS new (organization_id, feature, amount, occurred_at, key_id, member_id, digest, reason, properties)
), counter AS (
    UPDATE usage_counters SET used = usage_counters.used + new.used, held = usage_counters.held + new.held
    FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[]) AS new (id, used, held)
    CROSS JOIN LATERAL (SELECT ctid AS place FROM usage_counters WHERE id = new.id LIMIT 1) AS found
    WHERE usage_counters.ctid = found.place
)
INSERT INTO usage_summaries AS summary (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
SELECT * FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::text[], %b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[])
    AS new (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
ORDER BY organization_id, grain, bucket, feature, key_id, member_id
ON CONFLICT (organization_id, grain, bucket, feature, key_id, member_id)
    DO UPDATE SET amount = summary.amount + excluded.amount, events = summary.events + excluded.events
"""

ADD_LEVELS = """
UPDATE usage_levels SET value = usage_levels.value + new.amount, updated_at = now()
FROM unnest(%b::bigint[], %b::bigint[]) AS new (id, amount)
CROSS JOIN LATERAL (SELECT ctid AS place FROM usage_levels WHERE id = new.id LIMIT 1) AS found
WHERE usage_levels.ctid = found.place
"""

MAKE_HOLDS = """
INSERT INTO usage_holds (id, organization_id, feature, period_start, period_end, amount, state, key_id, member_id, created_at, expires_at)
SELECT id, organization_id, feature, period_start, period_end, amount, 'held', key_id, member_id, created_at, expires_at
FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::bigint[], %b::uuid[], %b::bigint[],
        %b::timestamptz[], %b::timestamptz[])
    AS new (id, organization_id, feature, period_start, period_end, amount, key_id, member_id, created_at, expires_at)
"""

END_HOLDS = """
UPDATE usage_holds SET state = ended.state, settled_amount = ended.amount
FROM unnest(%b::uuid[], %b::text[], %b::bigint[]) AS ended (id, state, amount)
CROSS JOIN LATERAL (SELECT ctid AS place FROM usage_holds WHERE id = ended.id LIMIT 1) AS found
WHERE usage_holds.ctid = found.place
"""

# Of one counter, already locked. Gives back what it held.
EXPIRE_HOLDS = """
WITH due AS (
    UPDATE usage_holds SET state = 'expired'
    WHERE organization_id = %b AND feature = %b AND period_start = %b AND state = 'held' AND expires_at <= now()
    RETURNING amount
)
UPDATE usage_counters SET held = held - due.total
FROM (SELECT sum(amount)::bigint AS total FROM due) AS due
WHERE due.total IS NOT NULL AND organization_id = %b AND feature = %b AND period_start = %b
"""

# A hold whose time is over holds nothing, whether or not it was ended already. Asked for only where something is held.
_HELD = """
CASE WHEN held = 0 THEN 0 ELSE held - (
    SELECT COALESCE(sum(hold.amount), 0)::bigint FROM usage_holds AS hold
    WHERE hold.organization_id = usage_counters.organization_id AND hold.feature = usage_counters.feature
        AND hold.period_start = usage_counters.period_start AND hold.state = 'held' AND hold.expires_at <= now()
) END AS held
"""
PEEK_COUNTERS = LOCK_COUNTERS.replace("FOR NO KEY UPDATE", "LIMIT 1").replace(
    "SELECT id, used, held FROM", f"SELECT id, used, {_HELD} FROM"
)
PEEK_LEVELS = LOCK_LEVELS.replace("FOR NO KEY UPDATE", "LIMIT 1")

# How everything stands, of many organizations: counters, levels (held is -1) and how many members there are (-2).
STANDING = f"""
SELECT wanted.n, found.feature, found.amount, found.held
FROM unnest(%b::uuid[], %b::timestamptz[]) WITH ORDINALITY AS wanted (organization_id, period_start, n)
CROSS JOIN LATERAL (
    SELECT feature::text, used, {_HELD} FROM usage_counters
    WHERE organization_id = wanted.organization_id AND period_start = wanted.period_start
    UNION ALL
    SELECT feature::text, value, -1 FROM usage_levels WHERE organization_id = wanted.organization_id
    UNION ALL
    SELECT '', count(*), -2 FROM accounts_membership WHERE organization_id = wanted.organization_id
) AS found (feature, amount, held)
"""  # noqa: S608 - nobody's input
