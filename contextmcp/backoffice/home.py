"""The home page of the admin."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Sum
from django.http import HttpRequest
from django.template.defaultfilters import pluralize

from accounts.models import AuditEvent, Invitation, Organization
from billing.manager import BillingManager
from billing.models import SubscriptionState, WebhookEvent
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from usage import selectors
from usage.history_query import floor
from usage.models import UsageSummary

from .navigation import changelist

RECENT = timedelta(days=7)
MONTH = timedelta(days=30)
_LIVE = {"active": "active", "trialing": "in trial", "past_due": "past due"}


@dataclass(frozen=True)
class Metric:
    title: str
    value: str
    note: str
    link: str = ""
    tone: str = ""


def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the dashboard. Each part requires the permission to view its model."""
    present = now()

    def may_view(label: str) -> bool:
        app, model = label.split(".")
        return request.user.has_perm(f"{app}.view_{model}")

    cards: dict[str, Callable[[], Metric | None]] = {
        "accounts.organization": lambda: _organizations(present),
        "billing.subscriptionstate": _subscriptions,
        "accounts.invitation": lambda: _invitations(present),
        "usage.usagecounter": lambda: _usage(present),
        "billing.webhookevent": lambda: _inbox(present),
    }
    figures = [figure for label, read in cards.items() if may_view(label) and (figure := read())]
    newest = Organization.objects.filter(closed_at=None).annotate(people=Count("memberships"))[:8]
    events = AuditEvent.objects.select_related("organization", "actor_user")[:10]
    tools = selectors.tool_totals(floor(present - MONTH, "day"), limit=8) if may_view("usage.usagecounter") else None
    return context | {
        "title": "Dashboard",
        "figures": figures,
        "newest": newest if may_view("accounts.organization") else None,
        "tools": tools,
        "events": events if may_view("accounts.auditevent") else None,
        "billing_configured": BillingManager.is_configured(),
    }


def _organizations(present: datetime) -> Metric:
    open_organizations = Organization.objects.filter(closed_at=None)
    recent = open_organizations.filter(created_at__gte=present - RECENT).count()
    return Metric("Organizations", f"{open_organizations.count():,}", f"{recent:,} in the last 7 days", changelist("accounts.organization"))


def _subscriptions() -> Metric:
    by_status = dict(SubscriptionState.objects.order_by().values_list("status").annotate(Count("id")))
    live = sum(by_status.get(status, 0) for status in _LIVE)
    counts = [f"{by_status.get(status, 0):,} {words}" for status, words in _LIVE.items()]
    note = ", ".join(counts)
    tone = "warn" if by_status.get("past_due") else ""
    return Metric("Subscriptions", f"{live:,}", note, changelist("billing.subscriptionstate"), tone)


def _invitations(present: datetime) -> Metric:
    waiting = Invitation.objects.pending()
    expired = waiting.filter(expires_at__lte=present).count()
    return Metric("Invitations pending", f"{waiting.count():,}", f"{expired:,} of them expired", changelist("accounts.invitation"))


def _usage(present: datetime) -> Metric | None:
    meter = CATALOG.main_meter
    if meter is None:
        return None
    month = UsageSummary.objects.filter(grain="d", feature=meter.name, bucket__gte=present - MONTH)
    totals = month.aggregate(amount=Sum("amount"), organizations=Count("organization_id", distinct=True))
    return Metric(
        f"{meter.title}, 30 days",
        f"{totals['amount'] or 0:,}",
        f"in {totals['organizations']:,} organization{pluralize(totals['organizations'])}",
        changelist("usage.usagecounter"),
    )


def _inbox(present: datetime) -> Metric:
    pending = WebhookEvent.objects.pending().order_by("received_at")
    dead = WebhookEvent.objects.dead().count()
    oldest = pending.values_list("received_at", flat=True).first()
    lag = f"oldest waiting {round((present - oldest).total_seconds()):,} s" if oldest else "none waiting"
    tone = "bad" if dead else "warn" if oldest and present - oldest > timedelta(minutes=1) else ""
    link = changelist("billing.webhookevent") + ("?state__exact=dead" if dead else "?state__exact=pending")
    return Metric("Inbox backlog", f"{pending.count():,}", f"{lag}, {dead:,} failed", link, tone)
