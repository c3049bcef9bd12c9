"""The mirror for staff to read. Nothing here can be added, changed or deleted, and no page calls Stripe."""

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from djstripe import models
from unfold.admin import ModelAdmin

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


class MirrorAdmin(ModelAdmin):  # type: ignore[misc]
    """Id, dates and the document as Stripe sent it."""

    list_display = ("id", "livemode", "created", "djstripe_updated")
    search_fields = ("id",)
    list_filter = ("livemode",)
    ordering = ("-created",)
    fields = ("id", "livemode", "created", "djstripe_updated", "document")
    readonly_fields = fields
    actions = None
    show_full_result_count = False

    @admin.display(description="As Stripe has it")
    def document(self, row: Any) -> str:
        return format_html("<pre>{}</pre>", json.dumps(row.stripe_data, indent=2, sort_keys=True))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def register() -> None:
    for model in SHOWN:
        admin.site.register(model, MirrorAdmin)
