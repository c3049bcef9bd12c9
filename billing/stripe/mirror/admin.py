"""Read-only admin pages of the mirror. No page calls Stripe."""

import json
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from djstripe import models

from billing.stripe.redaction import without_secrets
from contextmcp.common.admin_base import ReadOnlyAdmin

SHOWN = (
    models.Customer,
    models.Subscription,
    models.SubscriptionSchedule,
    models.Invoice,
    models.PaymentMethod,
    models.Product,
    models.Price,
    models.Coupon,
    models.PromotionCode,
)


class MirrorAdmin(ReadOnlyAdmin):
    """Shows the id, the dates and the document as Stripe sent it, without secrets."""

    list_display = ("id", "livemode", "created", "djstripe_updated")
    search_fields = ("id",)
    fields = ("id", "livemode", "created", "djstripe_updated", "document")
    readonly_fields = fields
    actions = None

    @admin.display(description="Stripe document")
    def document(self, row: Any) -> str:
        return format_html("<pre>{}</pre>", json.dumps(without_secrets(row.stripe_data), indent=2, sort_keys=True))


def register() -> None:
    for model in SHOWN:
        admin.site.register(model, MirrorAdmin)
