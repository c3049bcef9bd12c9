"""Dashboard and navigation of the admin."""

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
from entitlements.catalog import CATALOG
from usage import selectors
from usage.history_query import floor
from usage.models import UsageSummary

RECENT = timedelta(days=7)
MONTH = timedelta(days=30)
# Groups of models (app.model) with their icons. Models without an admin page are left out.
MENU = {
    "Customers": {
        "accounts.organization": "apartment",
        "accounts.user": "person",
        "accounts.membership": "group",
        "accounts.invitation": "mail",
        "accounts.apikey": "key",
        "accounts.oauthgrant": "extension",
        "account.emailaddress": "alternate_email",
        "mfa.authenticator": "phonelink_lock",
    },
    "Entitlements": {"entitlements.grant": "redeem", "entitlements.override": "tune", "entitlements.planversion": "sell"},
    "Billing": {
        "billing.subscriptionstate": "autorenew",
        "billing.invoice": "receipt_long",
        "billing.billingaccount": "account_balance_wallet",
        "billing.adjustment": "currency_exchange",
        "billing.checkoutattempt": "shopping_cart",
        "billing.billingaction": "task_alt",
        "billing.meterreport": "electric_meter",
        "billing.billingnotification": "mark_email_unread",
        "billing.planprice": "price_change",
        "billing.webhookevent": "inbox",
        "billing.reconciliationrun": "fact_check",
        "billing.drift": "difference",
        "billing.operatoralert": "warning",
        "billing.trialrecord": "how_to_reg",
        "billing.striperequestwindow": "timer",
    },
    "Usage": {
        "usage.usagecounter": "speed",
        "usage.usagegauge": "stacks",
        "usage.usagehold": "hourglass_top",
        "usage.overagesetting": "add_shopping_cart",
        "usage.usagealert": "notifications",
        "usage.webhookendpoint": "webhook",
        "usage.webhookdelivery": "outbox",
    },
    "System": {
        "accounts.auditevent": "history",
        "accounts.servicekey": "vpn_key",
        "allauth_idp_oidc.client": "apps",
        "common.outgoingemail": "send",
        "procrastinate.procrastinatejob": "pending_actions",
    },
    "Stripe mirror": {
        "djstripe.customer": "person",
        "djstripe.subscription": "autorenew",
        "djstripe.subscriptionschedule": "event",
        "djstripe.invoice": "receipt_long",
        "djstripe.paymentmethod": "credit_card",
        "djstripe.product": "category",
        "djstripe.price": "sell",
        "djstripe.coupon": "percent",
        "djstripe.promotioncode": "confirmation_number",
    },
}


_LIVE = {"active": "active", "trialing": "in trial", "past_due": "past due"}


@dataclass(frozen=True)
class Metric:
    title: str
    value: str
    note: str
    link: str = ""
    tone: str = ""


def environment(request: HttpRequest) -> list[str]:
    """Return the label and color of the environment badge."""
    return ["Live", "danger"] if settings.KEY_ENVIRONMENT == "live" else ["Test", "info"]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: the dashboard and the pages that the user may view."""
    groups = [{"title": "", "items": [{"title": "Dashboard", "icon": "space_dashboard", "link": reverse("admin:index")}]}]
    for title, models in MENU.items():
        items = [_item(request, label, icon) for label, icon in models.items()]
        groups.append({"title": title, "separator": True, "items": [item for item in items if item]})  # type: ignore[dict-item]
    return [group for group in groups if group["items"]]


def _item(request: HttpRequest, label: str, icon: str) -> dict[str, str] | None:
    model = apps.get_model(label)
    model_admin = admin.site._registry.get(model)
    if model_admin is None or not model_admin.has_view_permission(request):
        return None
    return {"title": capfirst(str(model._meta.verbose_name_plural)), "icon": icon, "link": changelist(label)}


def changelist(label: str) -> str:
    """Return the URL of a model's changelist, or an empty string if it has none."""
    try:
        return reverse(f"admin:{label.replace('.', '_')}_changelist")
    except NoReverseMatch:
        return ""


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
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
