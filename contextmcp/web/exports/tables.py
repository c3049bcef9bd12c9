"""The tables of an export. They contain no secrets, and nothing that the owner who requested it cannot see on the pages."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet, Sum
from django.db.models.functions import TruncDay

from accounts.models import ApiKey, AuditEvent, Invitation, Membership, OAuthGrant, Organization
from accounts.types import Caller
from billing.manager import BillingManager
from billing.models import SubscriptionState
from contextmcp.common.clock import now
from contextmcp.web.activity import CUSTOMER_KINDS, timeline
from contextmcp.web.activity.visibility import restrictions
from entitlements.models import Grant, Override
from usage.models import Grain, RefusalSummary, UsageSummary, UsageToolSummary, WebhookEndpoint
from usage.types import NO_KEY, NO_MEMBER

from .archive import Row, Table

_BATCH = 2000
_ACTIVITY_PAGE = 200
_README = """Data of {name} on {product}, exported on {date} (UTC).

The folders csv and json contain the same tables. Times are in UTC (ISO 8601), amounts of money in the smallest unit of their currency
(cents for US dollars). In CSV files, text that a spreadsheet would evaluate begins with an apostrophe.

The export contains no secrets: API keys and the signing secrets of webhook endpoints cannot be read back.

{tables}
"""


def readme(organization: Organization) -> str:
    """Return the text that explains the files of an export."""
    names = "\n".join(f"{table.name}: {table.description}" for table in _tables(organization, None))
    date = f"{now():%Y-%m-%d %H:%M}"
    return _README.format(name=organization.name, product=settings.PRODUCT_NAME, date=date, tables=names)


def tables(caller: Caller) -> list[Table]:
    """Return the tables of the caller's organization. The caller is an owner."""
    return _tables(caller.organization, caller)


def _tables(organization: Organization, caller: Caller | None) -> list[Table]:
    return [
        Table(
            "organization",
            "The organization.",
            ("id", "name", "billing_email", "created_at"),
            lambda: [(organization.pk, organization.name, organization.email, organization.created_at)],
        ),
        _table(
            "members",
            "Members and their roles.",
            Membership.objects.filter(organization=organization).order_by("created_at", "id"),
            {"user_id": "user_id", "email": "user__email", "name": "user__name", "role": "role", "joined_at": "created_at"},
        ),
        _table(
            "invitations",
            "Invitations. Those that are neither accepted nor revoked can be accepted until they expire.",
            Invitation.objects.filter(organization=organization).order_by("created_at", "id"),
            {
                "id": "id",
                "email": "email",
                "role": "role",
                "invited_by": "invited_by__email",
                "created_at": "created_at",
                "expires_at": "expires_at",
                "accepted_at": "accepted_at",
                "revoked_at": "revoked_at",
            },
        ),
        _table(
            "api_keys",
            "API keys, without the keys themselves.",
            ApiKey.objects.filter(organization=organization).order_by("created_at", "id"),
            {
                "id": "id",
                "name": "name",
                "public_id": "public_id",
                "scopes": "scopes",
                "created_by": "created_by__email",
                "created_at": "created_at",
                "expires_at": "expires_at",
                "revoked_at": "revoked_at",
                "last_used_at": "last_used_at",
            },
        ),
        _table(
            "connected_apps",
            "Apps that members connected.",
            OAuthGrant.objects.filter(membership__organization=organization).order_by("created_at", "id"),
            {
                "id": "id",
                "name": "client_name",
                "client_id": "client_id",
                "member": "membership__user__email",
                "scopes": "scopes",
                "resources": "resources",
                "created_at": "created_at",
                "last_used_at": "last_used_at",
                "revoked_at": "revoked_at",
            },
        ),
        _table(
            "webhook_endpoints",
            "Webhook endpoints, without their signing secrets.",
            WebhookEndpoint.objects.filter(organization=organization).order_by("created_at", "id"),
            {
                "id": "id",
                "url": "url",
                "description": "description",
                "event_types": "event_types",
                "enabled": "enabled",
                "created_at": "created_at",
            },
        ),
        _table(
            "plans",
            "The plans that the organization has and had.",
            Grant.objects.filter(organization=organization).order_by("starts_at", "id"),
            {
                "plan": "plan_version__plan",
                "version": "plan_version__version",
                "source": "source",
                "starts_at": "starts_at",
                "ends_at": "ends_at",
            },
        ),
        _table(
            "limits",
            "Exceptions to the limits of the plan.",
            Override.objects.filter(organization=organization).order_by("created_at", "id"),
            {"feature": "feature", "value": "value", "created_at": "created_at", "ends_at": "ends_at", "ended_at": "ended_at"},
        ),
        _table(
            "subscriptions",
            "Subscriptions.",
            SubscriptionState.objects.filter(organization=organization).order_by("started_at", "id"),
            {
                "id": "stripe_subscription_id",
                "status": "status",
                "plan": "plan_version__plan",
                "interval": "interval",
                "unit_amount": "unit_amount",
                "quantity": "quantity",
                "currency": "currency",
                "started_at": "started_at",
                "trial_end": "trial_end",
                "current_period_end": "current_period_end",
                "cancel_at": "cancel_at",
                "ended_at": "ended_at",
            },
        ),
        _table(
            "invoices",
            "Invoices. The files are at the addresses.",
            BillingManager(organization).invoices().order_by("created_at", "id"),
            {
                "number": "number",
                "status": "status",
                "currency": "currency",
                "subtotal": "subtotal",
                "discount": "discount",
                "tax": "tax",
                "total": "total",
                "amount_paid": "amount_paid",
                "amount_remaining": "amount_remaining",
                "amount_refunded": "amount_refunded",
                "created_at": "created_at",
                "paid_at": "paid_at",
                "url": "hosted_url",
                "pdf": "pdf_url",
            },
        ),
        Table(
            "usage_by_day",
            "Usage by day, feature, API key or connected app, and member.",
            ("day", "feature", "key_id", "member_id", "amount", "events"),
            partial(_usage, organization),
        ),
        _table(
            "usage_by_tool",
            "The part of the usage that MCP tools caused, by day.",
            UsageToolSummary.objects.filter(organization=organization, grain=Grain.DAY).order_by("bucket", "feature", "tool"),
            {"day": "bucket", "feature": "feature", "tool": "tool", "amount": "amount", "calls": "events"},
        ),
        _table(
            "usage_corrections",
            "Corrections and credits of usage, with the amounts by feature.",
            AuditEvent.objects.filter(organization=organization, action__in=("usage.corrected", "usage.credited")).order_by(
                "created_at", "id"
            ),
            {"at": "created_at", "action": "action", "amounts": "after"},
        ),
        Table(
            "refusals",
            "Refused requests by day, reason, feature, API key or connected app, and MCP tool.",
            ("day", "code", "feature", "key_id", "tool", "count"),
            partial(_refusals, organization),
        ),
        Table(
            "activity",
            "What happened, newest first, as on the page Activity.",
            ("at", "kind", "sentence"),
            partial(_activity, caller) if caller else tuple,
        ),
    ]


def _table(name: str, description: str, rows: QuerySet[Any], columns: dict[str, str]) -> Table:
    """Return a table of a query. `columns` are the names of the columns and of the fields."""
    return Table(name, description, tuple(columns), lambda: rows.values_list(*columns.values()).iterator(chunk_size=_BATCH))


def _usage(organization: Organization) -> Iterator[Row]:
    days = UsageSummary.objects.filter(organization=organization, grain=Grain.DAY).order_by("bucket", "feature", "key_id", "member_id")
    fields = days.values_list("bucket", "feature", "key_id", "member_id", "amount", "events")
    for day, feature, key_id, member_id, amount, events in fields.iterator(chunk_size=_BATCH):
        yield day, feature, _or_none(key_id, NO_KEY), _or_none(member_id, NO_MEMBER), amount, events


def _refusals(organization: Organization) -> Iterator[Row]:
    grouped = (
        RefusalSummary.objects.filter(organization=organization)
        .annotate(day=TruncDay("minute"))
        .values("day", "code", "feature", "key_id", "tool")
        .annotate(number=Sum(F("count")))
        .order_by("day", "code", "feature", "key_id", "tool")
    )
    rows = grouped.values_list("day", "code", "feature", "key_id", "tool", "number")
    for day, code, feature, key_id, tool, number in rows.iterator(chunk_size=_BATCH):
        yield day, code, feature, _or_none(key_id, NO_KEY), tool, number


def _activity(caller: Caller) -> Iterable[tuple[datetime, str, str]]:
    """Yield the entries that the owner sees, page by page."""
    before = ""
    while True:
        page = timeline(
            caller.organization,
            audience="customer",
            kinds=CUSTOMER_KINDS,
            before=before,
            limit=_ACTIVITY_PAGE,
            **restrictions(caller),
        )
        for entry in page.entries:
            yield entry.at, str(entry.kind), entry.sentence
        if not page.next_cursor:
            return
        before = page.next_cursor


def _or_none(value: Any, missing: Any) -> Any:
    return None if value == missing else value
