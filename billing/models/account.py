"""The link from an organization to its Stripe customer."""

from typing import ClassVar

from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

# The last four digits of `BillingAccount.payment_method`. Queries use the same expression as the index.
CARD_DIGITS = KeyTextTransform("last4", "payment_method")


class BillingAccount(models.Model):
    """One per organization that started a purchase. The row is kept when the Stripe customer is deleted; see `customer_deleted_at`."""

    organization = models.OneToOneField("accounts.Organization", on_delete=models.PROTECT, related_name="billing_account")
    stripe_customer_id = models.CharField(max_length=64, unique=True, null=True, blank=True)
    customer_deleted_at = models.DateTimeField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    trial_used_at = models.DateTimeField(null=True, blank=True, help_text="When the trial was used. An organization can have one trial.")
    payment_method = models.JSONField(null=True, blank=True, help_text="Default payment method: type, brand, last four digits and expiry.")
    clock_frozen_at = models.DateTimeField(null=True, blank=True, help_text="Time of the customer's Stripe test clock at the last sync.")
    synced_at = models.DateTimeField(null=True, blank=True, help_text="Time of the last sync from Stripe.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [models.Index(CARD_DIGITS, name="billing_account_by_card")]
        permissions: ClassVar = [
            ("operate_billing", "Can sync from Stripe, reconcile and migrate subscribers"),
            ("extend_trial", "Can give free days and extend trials at Stripe"),
            ("give_discount", "Can give and remove discounts at Stripe"),
            ("give_credit", "Can give and remove credit at Stripe"),
            ("refund_payment", "Can refund payments"),
            ("pause_collection", "Can pause and resume the collection of payments"),
            ("cancel_subscription", "Can cancel subscriptions and undo cancellations"),
        ]

    def __str__(self) -> str:
        return self.stripe_customer_id or "no customer yet"
