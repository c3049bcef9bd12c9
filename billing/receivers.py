"""News from below that cost money if they were not heard."""

from typing import Any

from django.dispatch import receiver

from accounts.models import Organization
from accounts.signals import organization_changed, organization_closed

from .models import BillingAccount
from .services import queue


@receiver(organization_closed)
def end_subscription(sender: object, organization: Organization, **kwargs: Any) -> None:
    """A closed organization pays nothing more. In the closing transaction the job is written; Stripe is asked by a worker."""
    if BillingAccount.objects.filter(organization=organization).exists():
        queue.end_later(str(organization.pk))


@receiver(organization_changed)
def address_bills_anew(sender: object, organization: Organization, **kwargs: Any) -> None:
    """Stripe writes the name on the bills and sends receipts to the address."""
    if BillingAccount.objects.filter(organization=organization).exists():
        queue.introduce_later(str(organization.pk))
