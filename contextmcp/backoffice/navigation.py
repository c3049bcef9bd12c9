"""The sidebar of the admin."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

from contextmcp.common.admin_links import list_url

# Groups of models (app.model) with their icons. Models without an admin page are left out.
MENU = {
    "Work": {"accounts.workitem": "checklist", "accounts.operatoralert": "warning", "accounts.alertdelivery": "campaign"},
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
        "billing.planmigration": "upgrade",
        "billing.planmigrationitem": "checklist",
        "billing.reconciliationrun": "fact_check",
        "billing.drift": "difference",
        "billing.trialrecord": "how_to_reg",
        "billing.striperequestwindow": "timer",
    },
    "Usage": {
        "usage.usagecounter": "speed",
        "usage.usagegauge": "stacks",
        "usage.usagehold": "hourglass_top",
        "usage.overagesetting": "add_shopping_cart",
        "usage.usagealert": "notifications",
        "usage.refusalsummary": "block",
        "usage.webhookendpoint": "webhook",
        "usage.webhookdelivery": "outbox",
    },
    "System": {
        "accounts.auditevent": "history",
        "accounts.impersonation": "visibility",
        "accounts.savedview": "bookmark",
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

# Pages of the back office's own views in these groups: title, icon, URL name and permission.
PAGES = {"Entitlements": [("Plans", "compare", "backoffice:plans", "entitlements.view_planversion")]}


def environment(request: HttpRequest) -> list[str]:
    """Return the label and color of the environment badge."""
    return ["Live", "danger"] if settings.KEY_ENVIRONMENT == "live" else ["Test", "info"]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: the dashboard and the pages that the user may view."""
    groups = [{"title": "", "items": [{"title": "Dashboard", "icon": "space_dashboard", "link": reverse("admin:index")}]}]
    for title, models in MENU.items():
        pages = [_page(request, *page) for page in PAGES.get(title, ())]
        items = [*pages, *(_item(request, label, icon) for label, icon in models.items())]
        groups.append({"title": title, "separator": True, "items": [item for item in items if item]})  # type: ignore[dict-item]
    return [group for group in groups if group["items"]]


def _page(request: HttpRequest, title: str, icon: str, url_name: str, permission: str) -> dict[str, str] | None:
    return {"title": title, "icon": icon, "link": reverse(url_name)} if request.user.has_perm(permission) else None


def _item(request: HttpRequest, label: str, icon: str) -> dict[str, str] | None:
    model = apps.get_model(label)
    model_admin = admin.site._registry.get(model)
    if model_admin is None or not model_admin.has_view_permission(request):
        return None
    return {"title": capfirst(str(model._meta.verbose_name_plural)), "icon": icon, "link": list_url(label)}
