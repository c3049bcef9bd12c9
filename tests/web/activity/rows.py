"""Many rows of every source of one organization, which Postgres generates."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import connection, models

from accounts.models import ApiKey, AuditEvent, Organization, User
from billing.models import Adjustment, BillingAction, Invoice, SubscriptionState
from contextmcp.common.models import OutgoingEmail
from usage.models import RefusalSummary, UsageAlert

START = datetime(2026, 1, 1, tzinfo=UTC)
# SQL expressions of the columns of each source. `place` is the number of the row and `moment` is its time.
AMOUNTS = {"subtotal": "900", "total": "900", "amount_due": "900", "amount_paid": "900", "amount_remaining": "0", "currency": "'usd'"}
SOURCES: dict[type[models.Model], dict[str, str]] = {
    AuditEvent: {"action": "'key.revoked'", "before": "jsonb_build_object('name', 'K' || place)", "created_at": "moment"},
    Invoice: AMOUNTS
    | {"stripe_invoice_id": "'in_' || {prefix} || place", "number": "'A-' || place", "status": "'paid'"}
    | {"created_at": "moment", "paid_at": "moment", "failed_at": "CASE WHEN place % 2 = 1 THEN moment END"},
    Adjustment: {"kind": "CASE WHEN place % 3 = 0 THEN 'dispute' ELSE 'refund' END", "stripe_id": "'re_' || {prefix} || place"}
    | {"stripe_invoice_id": "'in_' || {prefix} || place", "status": "'succeeded'", "amount": "400", "currency": "'usd'"}
    | {"created_at": "moment"},
    SubscriptionState: {"stripe_subscription_id": "'sub_' || {prefix} || place", "status": "'canceled'", "currency": "'usd'"}
    | dict.fromkeys(("started_at", "canceled_at", "ended_at", "anchor"), "moment"),
    BillingAction: {"kind": "'change_plan'", "state": "'failed'", "error": "'PaymentRequired'", "created_at": "moment"},
    UsageAlert: {"feature": "'sessions'", "period_start": "{start} + place * interval '1 second'", "period_end": "moment"}
    | {"kind": "'threshold_80'", "used": "80", "included": "100", "occurred_at": "moment", "created_at": "moment"},
    RefusalSummary: {"minute": "date_trunc('minute', moment)", "code": "'code_' || place % {same}", "count": "2"},
    OutgoingEmail: {"category": "'billing.receipt'", "recipients": "ARRAY['a@b.example']", "from_email": "'x@y.example'"}
    | {"subject": "'S'", "state": "'sent'", "expires_at": "moment", "created_at": "moment"},
}


def fill(organization: Organization, user: User, number: int, *, step: timedelta = timedelta(minutes=1), same: int = 1) -> None:
    """Insert `number` rows of each source, and at most 20 subscriptions, `step` apart.

    Every `same` consecutive rows of a source share one timestamp, which rows of other sources also have.
    """
    values = {"organization": organization.pk, "prefix": organization.slug, "start": START, "step": step, "same": same}
    for model, expressions in SOURCES.items():
        count = min(number, 20) if model is SubscriptionState else number
        actor = {"actor_user_id": str(int(user.pk))} if model is AuditEvent else {}
        _insert(model, expressions | actor, {**values, "number": count})


def _insert(model: type[models.Model], expressions: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Insert generated rows. Columns without an expression get the default of their field."""
    parameters, columns = dict(values), {"organization_id": "%(organization)s"}
    for field in model._meta.concrete_fields:
        if field.column in expressions:
            # `%` is an operator here, and a placeholder to the driver.
            text = expressions[field.column].replace("%", "%%")
            columns[field.column] = text.format(prefix="%(prefix)s::text", start="%(start)s::timestamptz", same="%(same)s")
        elif field.primary_key and isinstance(field, models.UUIDField):
            columns[field.column] = "gen_random_uuid()"
        elif field.column != "organization_id" and not field.primary_key:
            columns[field.column] = f"%({field.column})s"
            parameters[field.column] = field.get_db_prep_save(field.get_default(), connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
            " FROM (SELECT place, %(start)s::timestamptz + %(step)s * (place / %(same)s) AS moment"
            " FROM generate_series(0, %(number)s - 1) AS place) AS series ORDER BY place",
            parameters,
        )


def insert_key(organization: Organization, user: User, name: str) -> ApiKey:
    return ApiKey.objects.create(
        organization=organization, created_by=user, public_id=uuid4().hex[:12], bcrypt_hash="", hmac=b"", hmac_version=1, name=name,
        environment="test",
    )  # fmt: skip
