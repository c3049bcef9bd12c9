"""Overage on its way to Stripe's meters: collected from usage's counters into an outbox, sent from there."""

from accounts.models import Organization


def collect(organization: Organization) -> int:
    """Write down what was sold beyond the allowance and is not reported yet."""
    return 0
