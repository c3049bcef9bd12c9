"""The home page of the admin.

Figures of all organizations are read from stored daily totals (`billing.revenue`), so the cost of the page does not depend on the number
of organizations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from accounts.models import AuditEvent, Invitation, Membership, Organization
from billing.manager import BillingManager
from billing.models import RevenueDay, RevenuePlanDay, WebhookEvent
from billing.revenue import rebuild, selectors
from contextmcp.common.admin_links import list_url
from contextmcp.common.clock import now

from . import work_queue
from .figures import figures
from .figures.definitions import DEFINITIONS
from .figures.filters import select

# Counting stops here, because a count of a large table takes longer than the page.
MAX_COUNT = 1000
_LIVE = {"active": "active", "trial": "in trial", "past_due": "past due"}


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

    cards: dict[str, Callable[[], Metric]] = {
        "billing.subscriptionstate": _subscriptions,
        "accounts.invitation": lambda: _invitations(present),
        "billing.webhookevent": lambda: _inbox(present),
    }
    may_view_revenue = request.user.has_perm("billing.view_revenue")
    updated = selectors.last_day()
    selection = select(request, selectors.currencies() if may_view_revenue else [], updated or rebuild.today())
    parts: dict[str, Any] = {}
    if may_view_revenue and selection.currency:
        parts |= figures.revenue(selection) | {"definitions": DEFINITIONS}
    if may_view("accounts.organization"):
        parts |= figures.organizations(selection) | {"newest": _newest()}
    if may_view("usage.usagecounter"):
        parts |= figures.usage(selection)
    # The list omits `staff.viewed` events, because they would fill it.
    events = AuditEvent.objects.exclude(action="staff.viewed").select_related("organization", "actor_user")[:10]
    return (
        context
        | parts
        | {
            "title": "Dashboard",
            "selection": selection,
            "updated": updated,
            "may_view_revenue": may_view_revenue,
            "has_figures": may_view_revenue or bool(parts),
            "queue": work_queue.summary(request.user),
            "metrics": [read() for label, read in cards.items() if may_view(label)],
            "events": events if may_view("accounts.auditevent") else None,
            "billing_configured": BillingManager.is_configured(),
        }
    )


def _newest() -> QuerySet[Organization]:
    """Return the newest organizations. Their ids are ordered by time (UUIDv7), so the index of the primary key is used."""
    members = Membership.objects.filter(organization=OuterRef("pk")).order_by().values("organization").annotate(number=Count("pk"))
    newest = Organization.objects.filter(closed_at=None).order_by("-pk")
    return newest.annotate(people=Coalesce(Subquery(members.values("number")), 0))[:8]


def _subscriptions() -> Metric:
    newest = RevenueDay.objects.aggregate(day=Max("day"))["day"]
    by_state = dict(RevenuePlanDay.objects.filter(day=newest).values_list("state").annotate(Sum("subscriptions")))
    live = sum(by_state.get(state, 0) for state in _LIVE)
    note = ", ".join(f"{by_state.get(state, 0):,} {words}" for state, words in _LIVE.items())
    return Metric("Subscriptions", f"{live:,}", note, list_url("billing.subscriptionstate"), "warn" if by_state.get("past_due") else "")


def _invitations(present: datetime) -> Metric:
    waiting = Invitation.objects.pending()
    expired = waiting.filter(expires_at__lte=present)
    return Metric("Invitations pending", _count(waiting), f"{_count(expired)} of them expired", list_url("accounts.invitation"))


def _inbox(present: datetime) -> Metric:
    pending = WebhookEvent.objects.pending().order_by("received_at")
    dead = WebhookEvent.objects.dead()
    has_dead = dead.exists()
    oldest = pending.values_list("received_at", flat=True).first()
    lag = f"oldest waiting {round((present - oldest).total_seconds()):,} s" if oldest else "none waiting"
    tone = "bad" if has_dead else "warn" if oldest and present - oldest > timedelta(minutes=1) else ""
    link = list_url("billing.webhookevent") + ("?state__exact=dead" if has_dead else "?state__exact=pending")
    return Metric("Inbox backlog", _count(pending), f"{lag}, {_count(dead)} failed", link, tone)


def _count(rows: QuerySet[Any]) -> str:
    number = rows.order_by()[: MAX_COUNT + 1].count()
    return f"{number:,}" if number <= MAX_COUNT else f"more than {MAX_COUNT:,}"
