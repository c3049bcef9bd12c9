"""The operator's desk: what staff see first, and where they go from there."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Sum
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from accounts.models import AuditEvent, Invitation, Organization
from billing.manager import BillingManager
from billing.models import SubscriptionState, WebhookEvent
from contextmcp.common.clock import now
from usage.models import UsageSummary

RECENT = timedelta(days=7)
MONTH = timedelta(days=30)
# Group, then models as app.model with the icon beside them. What has no admin is left out.
MENU = {
    "Customers": {
        "accounts.organization": "apartment",
        "accounts.user": "person",
        "accounts.membership": "group",
        "accounts.invitation": "mail",
        "accounts.apikey": "key",
        "account.emailaddress": "alternate_email",
        "mfa.authenticator": "phonelink_lock",
    },
    "Entitlements": {"entitlements.grant": "redeem", "entitlements.override": "tune", "entitlements.planversion": "sell"},
    "Billing": {
        "billing.subscriptionstate": "autorenew",
        "billing.invoice": "receipt_long",
        "billing.billingaccount": "account_balance_wallet",
        "billing.adjustment": "currency_exchange",
        "billing.webhookevent": "inbox",
        "billing.reconciliationrun": "fact_check",
        "billing.drift": "difference",
    },
    "Usage": {
        "usage.usagecounter": "speed",
        "usage.usagelevel": "stacks",
        "usage.overagesetting": "add_shopping_cart",
        "usage.usagealert": "notifications",
        "usage.webhookendpoint": "webhook",
        "usage.webhookdelivery": "outbox",
    },
    "Record": {"accounts.auditevent": "history", "procrastinate.procrastinatejob": "pending_actions"},
}


@dataclass(frozen=True)
class Figure:
    title: str
    value: str
    note: str
    link: str = ""
    tone: str = ""


def environment(request: HttpRequest) -> list[str]:
    """The badge beside the title."""
    return ["Live", "danger"] if settings.KEY_ENVIRONMENT == "live" else ["Test", "info"]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: the desk, then what this member of staff may look at."""
    groups = [{"title": "", "items": [{"title": "Desk", "icon": "space_dashboard", "link": reverse("admin:index")}]}]
    for title, models in MENU.items():
        items = [_item(request, label, icon) for label, icon in models.items()]
        groups.append({"title": title, "separator": True, "items": [item for item in items if item]})  # type: ignore[dict-item]
    return [group for group in groups if group["items"]]


def _item(request: HttpRequest, label: str, icon: str) -> dict[str, str] | None:
    model = apps.get_model(label)
    found = admin.site._registry.get(model)
    if found is None or not found.has_view_permission(request):
        return None
    return {"title": capfirst(str(model._meta.verbose_name_plural)), "icon": icon, "link": changelist(label)}


def changelist(label: str) -> str:
    """The list of a model, or nothing where it has none."""
    try:
        return reverse(f"admin:{label.replace('.', '_')}_changelist")
    except NoReverseMatch:
        return ""


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the first page shows: each part only to staff who may look at what it is made of."""
    present = now()

    def may_view(label: str) -> bool:
        app, model = label.split(".")
        return request.user.has_perm(f"{app}.view_{model}")

    cards: dict[str, Callable[[], Figure]] = {
        "accounts.organization": lambda: _organizations(present),
        "billing.subscriptionstate": _subscriptions,
        "accounts.invitation": lambda: _invitations(present),
        "usage.usagecounter": lambda: _usage(present),
        "billing.webhookevent": lambda: _inbox(present),
    }
    figures = [figure() for label, figure in cards.items() if may_view(label)]
    newest = Organization.objects.filter(closed_at=None).annotate(people=Count("memberships"))[:8]
    events = AuditEvent.objects.select_related("organization", "actor_user")[:10]
    return context | {
        "title": "Desk",
        "figures": figures,
        "newest": newest if may_view("accounts.organization") else None,
        "events": events if may_view("accounts.auditevent") else None,
        "billing_configured": BillingManager.is_configured(),
    }


def _organizations(present: datetime) -> Figure:
    open_ones = Organization.objects.filter(closed_at=None)
    fresh = open_ones.filter(created_at__gte=present - RECENT).count()
    return Figure("Organizations", f"{open_ones.count():,}", f"{fresh:,} in the last 7 days", changelist("accounts.organization"))


def _subscriptions() -> Figure:
    by_status = dict(SubscriptionState.objects.order_by().values_list("status").annotate(Count("id")))
    live = sum(by_status.get(status, 0) for status in ("active", "trialing", "past_due"))
    note = f"{by_status.get('trialing', 0):,} in trial, {by_status.get('past_due', 0):,} past due"
    tone = "warn" if by_status.get("past_due") else ""
    return Figure("Active subscriptions", f"{live:,}", note, changelist("billing.subscriptionstate"), tone)


def _invitations(present: datetime) -> Figure:
    waiting = Invitation.objects.pending()
    expired = waiting.filter(expires_at__lte=present).count()
    return Figure("Invitations pending", f"{waiting.count():,}", f"{expired:,} of them expired", changelist("accounts.invitation"))


def _usage(present: datetime) -> Figure:
    month = UsageSummary.objects.filter(grain="d", feature="sessions", bucket__gte=present - MONTH)
    said = month.aggregate(amount=Sum("amount"), organizations=Count("organization_id", distinct=True))
    return Figure(
        "Sessions, 30 days",
        f"{said['amount'] or 0:,}",
        f"in {said['organizations']:,} organization{pluralize(said['organizations'])}",
        changelist("usage.usagecounter"),
    )


def _inbox(present: datetime) -> Figure:
    waiting = WebhookEvent.objects.waiting().order_by("received_at")
    dead = WebhookEvent.objects.dead().count()
    oldest = waiting.values_list("received_at", flat=True).first()
    lag = f"oldest waits {round((present - oldest).total_seconds()):,} s" if oldest else "nothing waits"
    tone = "bad" if dead else "warn" if oldest and present - oldest > timedelta(minutes=1) else ""
    return Figure("Inbox backlog", f"{waiting.count():,}", f"{lag}, {dead:,} given up", changelist("billing.webhookevent"), tone)
