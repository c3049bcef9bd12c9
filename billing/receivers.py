"""Receivers of account signals that require a change at Stripe."""

from typing import Any

from django.dispatch import receiver

from accounts.models import Organization
from accounts.signals import organization_changed, organization_closed

from . import enqueue
from .models import BillingAccount


@receiver(organization_closed)
def end_subscription(sender: object, organization: Organization, **kwargs: Any) -> None:
    """Queue the cancellation of a closed organization's subscriptions, in the transaction that closes it."""
    if BillingAccount.objects.filter(organization=organization).exists():
        enqueue.cancel_all(str(organization.pk))


@receiver(organization_changed)
def update_stripe_customer(sender: object, organization: Organization, **kwargs: Any) -> None:
    """Queue an update of the Stripe customer: invoices show the organization's name and are sent to its email address."""
    if BillingAccount.objects.filter(organization=organization).exists():
        enqueue.customer_update(str(organization.pk))
