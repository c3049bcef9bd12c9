"""Which Stripe customer an organization is."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class BillingAccount(models.Model):
    """One per organization that ever came near paying. It outlives its customer at Stripe: a deleted one leaves `customer_deleted_at`."""

    organization = models.OneToOneField("accounts.Organization", on_delete=models.PROTECT, related_name="billing_account")
    stripe_customer_id = models.CharField(max_length=64, unique=True, null=True, blank=True)
    customer_deleted_at = models.DateTimeField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    trial_used_at = models.DateTimeField(null=True, blank=True, help_text="An organization has one trial.")
    payment_method = models.JSONField(null=True, blank=True, help_text="Brand, last four digits and expiry of the card that pays.")
    clock_frozen_at = models.DateTimeField(null=True, blank=True, help_text="Where the customer's test clock stood when last seen.")
    synced_at = models.DateTimeField(null=True, blank=True, help_text="When Stripe's present truth was last written here.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        permissions: ClassVar = [("operate_billing", "Can look at Stripe, reconcile and move subscribers")]

    def __str__(self) -> str:
        return self.stripe_customer_id or "no customer yet"
