"""What billing keeps: the projection of Stripe's truth, what was asked of Stripe, what it told us, and what is still to be said."""

from .account import BillingAccount
from .actions import BillingAction, CheckoutAttempt
from .inbox import WebhookEvent
from .invoices import Adjustment, Invoice
from .meters import MeterReport
from .notices import Notice
from .prices import PlanPrice
from .reconciliation import Drift, ReconciliationRun
from .subscriptions import SubscriptionState

__all__ = [
    "Adjustment",
    "BillingAccount",
    "BillingAction",
    "CheckoutAttempt",
    "Drift",
    "Invoice",
    "MeterReport",
    "Notice",
    "PlanPrice",
    "ReconciliationRun",
    "SubscriptionState",
    "WebhookEvent",
]
