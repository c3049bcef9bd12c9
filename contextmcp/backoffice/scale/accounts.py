"""Users, organizations, memberships, invitations, keys, connected apps and the audit log."""

from .seeder import Seeder

LABELS = ("accounts.apikey", "accounts.auditevent", "accounts.organization", "accounts.user", "accounts.membership", "common.outgoingemail")
_NAMES = """(ARRAY['Northwind','Blue Ridge','Granite','Harbor','Juniper','Lakeside','Meridian','Orchard','Pioneer','Summit'])
        [pg_temp.pick(n, 2, 10)]
    || ' ' || (ARRAY['Analytics','Biotech','Design','Foods','Labs','Logistics','Media','Robotics','Software','Studio'])
        [pg_temp.pick(n, 3, 10)]
    || ' ' || n"""
_ACTIONS = (
    "(ARRAY['key.created','key.created','key.revoked','key.rotated','member.added','member.role_changed','member.removed',"
    "'invitation.created','invitation.accepted','invitation.revoked','organization.changed','grant.given','grant.ended',"
    "'override.given','billing.synced','overage.changed','webhook_endpoint.created','user.changed','oauth.connected','job.retried'])"
)


def seed(to: Seeder) -> None:
    users, organizations = to.count(120_000), to.count(100_000)
    first = to.value("SELECT coalesce(max(id), 0) FROM accounts_user")
    to.insert(
        "accounts.user",
        f"generate_series(1, {users}) AS n",
        id=f"{first} + n",
        password="'!'",
        email="'user' || n || '@seed.example'",
        name="'User ' || n",
        is_active="n % 500 <> 0",
        date_joined=f"pg_temp.ago((1 - n::float8 / {users}) * 700)",
    )
    to.align_sequence("accounts.user")
    to.insert(
        "account.emailaddress",
        f"generate_series(1, {users}) AS n",
        user_id=f"{first} + n",
        email="'user' || n || '@seed.example'",
        verified="n % 50 <> 0",
        primary="true",
    )
    to.table(
        "seed_organization",
        f"""SELECT n, pg_temp.uuid7(created_at, n, 1) AS id, {first} + n AS user_id, created_at,
            pg_temp.uuid7(created_at, n, 4) AS member_id, n % 5 < 2 AS pays
        FROM (SELECT n, pg_temp.ago((1 - n::float8 / {organizations}) * 700 + 1) AS created_at
              FROM generate_series(1, {organizations}) AS n)""",
    )
    to.insert(
        "accounts.organization",
        "seed_organization",
        id="id",
        name=_NAMES,
        slug="'org-' || n",
        email="CASE WHEN n % 3 = 0 THEN 'billing@org' || n || '.example' ELSE 'user' || n || '@seed.example' END",
        created_at="created_at",
        closed_at="CASE WHEN n % 40 = 7 THEN created_at + (pg_temp.ago(0) - created_at) * pg_temp.share(n, 5) END",
    )
    to.insert(
        "accounts.membership",
        "seed_organization",
        id="member_id",
        organization_id="id",
        user_id="user_id",
        role="'owner'",
        created_at="created_at",
    )
    to.insert(
        "accounts.membership",
        f"generate_series(1, {to.count(50_000)}) AS s JOIN seed_organization ON n = 1 + s::bigint * 7919 % {organizations}",
        id="pg_temp.uuid7(created_at, s, 6)",
        organization_id="id",
        user_id=f"{first} + {organizations} + 1 + s % {max(1, users - organizations)}",
        role="(ARRAY['admin','member','member','viewer'])[pg_temp.pick(s, 7, 4)]",
        created_at="created_at",
    )
    to.insert(
        "accounts.invitation",
        f"generate_series(1, {to.count(60_000)}) AS s JOIN seed_organization ON n = 1 + s::bigint * 104729 % {organizations}",
        id="pg_temp.uuid7(pg_temp.ago(pg_temp.share(s, 8) * 300), s, 9)",
        organization_id="id",
        email="'guest' || s || '@seed.example'",
        role="'member'",
        token_digest="decode(pg_temp.hash(s, 10) || pg_temp.hash(s, 11), 'hex')",
        invited_by_id="user_id",
        created_at="pg_temp.ago(pg_temp.share(s, 8) * 300)",
        expires_at="pg_temp.ago(pg_temp.share(s, 8) * 300 - 7)",
        sent_at="pg_temp.ago(pg_temp.share(s, 8) * 300)",
        accepted_at="CASE WHEN s % 10 < 6 THEN pg_temp.ago(pg_temp.share(s, 8) * 300 - 1) END",
        revoked_at="CASE WHEN s % 10 = 6 THEN pg_temp.ago(pg_temp.share(s, 8) * 300 - 2) END",
    )
    _keys(to, organizations)
    _audit(to, organizations)
    to.insert(
        "common.outgoingemail",
        f"generate_series(1, {to.count(300_000)}) AS s JOIN seed_organization ON n = pg_temp.pick(s, 12, {organizations})",
        created_at=f"pg_temp.ago((1 - s::float8 / {to.count(300_000)}) * 30)",
        category="(ARRAY['invitation','invoice_paid','payment_failed','usage_alert','trial_ending'])[pg_temp.pick(s, 13, 5)]",
        reference="'ref_' || s",
        recipients="ARRAY['user' || n || '@seed.example']",
        from_email="'hello@seed.example'",
        subject="'Message ' || s",
        state="CASE WHEN s % 1000 = 0 THEN 'failed' ELSE 'sent' END",
        attempts="1",
        last_error="CASE WHEN s % 1000 = 0 THEN '550 mailbox unavailable' ELSE '' END",
        expires_at="pg_temp.ago(0)",
        sent_at=f"CASE WHEN s % 1000 <> 0 THEN pg_temp.ago((1 - s::float8 / {to.count(300_000)}) * 30) END",
    )


def _keys(to: Seeder, organizations: int) -> None:
    to.table(
        "seed_key",
        f"""SELECT s AS n, o.n AS organization, o.id AS organization_id, o.user_id, o.member_id, at, pg_temp.uuid7(at, s, 15) AS id
        FROM (SELECT s, 1 + s % {organizations} AS n, pg_temp.share(s, 14) AS share
              FROM generate_series(1, {to.count(1_000_000)}) AS s) AS k
            JOIN seed_organization AS o USING (n), LATERAL (SELECT o.created_at + (pg_temp.ago(0) - o.created_at) * share AS at)""",
    )
    to.insert(
        "accounts.apikey",
        "seed_key",
        id="id",
        organization_id="organization_id",
        creator_id="CASE WHEN n % 100 <> 0 THEN member_id END",
        created_by_id="user_id",
        public_id="left(pg_temp.hash(n, 16), 6) || lpad(to_hex(n), 6, '0')",
        # No key has this hash, and the version of the HMAC's secret is not configured.
        bcrypt_hash="rpad('$2b$12$', 60, '.')",
        hmac="decode(pg_temp.hash(n, 17) || pg_temp.hash(n, 18), 'hex')",
        hmac_version="0",
        name="(ARRAY['Production','Staging','Laptop','CI','Agent'])[pg_temp.pick(n, 19, 5)] || ' ' || n",
        scopes="ARRAY['usage:read','entitlements:read']",
        environment="'test'",
        created_at="at",
        expires_at="CASE WHEN n % 10 = 0 THEN at + interval '365 days' END",
        revoked_at="CASE WHEN n % 20 = 3 THEN at + (pg_temp.ago(0) - at) * pg_temp.share(n, 20) END",
        last_used_at="CASE WHEN n % 10 < 6 THEN at + (pg_temp.ago(0) - at) * pg_temp.share(n, 21) END",
    )
    to.insert(
        "accounts.oauthgrant",
        f"generate_series(1, {to.count(20_000)}) AS s JOIN seed_organization ON n = 1 + s::bigint * 31337 % {organizations}",
        id="pg_temp.uuid7(created_at, s, 22)",
        membership_id="member_id",
        client_id="'client-' || s % 50",
        client_name="'Editor ' || s % 50",
        scopes="ARRAY['usage:read']",
        resources="ARRAY['https://mcp.seed.example/']",
        created_at="created_at",
        revoked_at="CASE WHEN s % 8 = 0 THEN pg_temp.ago(1) END",
        code_digest="decode(pg_temp.hash(s, 23) || pg_temp.hash(s, 24), 'hex')",
        code_expires_at="created_at",
        code_challenge="pg_temp.hash(s, 25)",
        redirect_uri="'http://127.0.0.1/callback'",
    )


def _audit(to: Seeder, organizations: int) -> None:
    events = to.count(1_000_000)
    # Half of the events belong to a tenth of the organizations.
    to.insert(
        "accounts.auditevent",
        f"""(SELECT s, pg_temp.pick(s, 26, CASE WHEN s % 2 = 0 THEN {organizations} ELSE {max(1, organizations // 10)} END) AS n
            FROM generate_series(1, {events}) AS s) AS e JOIN seed_organization USING (n)""",
        organization_id="id",
        actor_user_id="CASE WHEN s % 7 <> 0 THEN user_id END",
        action=f"{_ACTIONS}[pg_temp.pick(s, 27, 20)]",
        target="'user' || n || '@seed.example'",
        before="CASE WHEN s % 4 = 0 THEN jsonb_build_object('role', 'member', 'name', 'Before ' || s) END",
        after="jsonb_build_object('role', 'admin', 'name', 'After ' || s)",
        reason="CASE WHEN s % 9 = 0 THEN 'Ticket ' || s ELSE '' END",
        ip_address="('10.' || s % 250 || '.' || s / 250 % 250 || '.7')::inet",
        request_id="pg_temp.hash(s, 28)",
        created_at=f"pg_temp.ago((1 - s::float8 / {events}) * 400)",
    )
