"""Who may share views, and who may export which lists."""

from typing import Any

from django.db.models import Model

SHARE = "accounts.share_savedview"
# Apps whose lists are about money. Finance may export these.
BILLING_APPS = ("billing", "djstripe")


def export_permission(model: type[Model]) -> str:
    """Return the full name of the permission that an export of the model's list requires."""
    return "accounts.export_billing_lists" if model._meta.app_label in BILLING_APPS else "accounts.export_lists"


def may_export(user: Any, model: type[Model]) -> bool:
    return bool(user.has_perm(export_permission(model)))
