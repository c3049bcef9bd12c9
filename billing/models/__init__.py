"""Models of billing: the projection of Stripe's objects, requests to Stripe, received webhook events and due emails."""

from .account import BillingAccount
from .actions import BillingAction, CheckoutAttempt
from .activity import OrganizationDay, UsageDay
from .inbox import WebhookEvent
from .invoices import Adjustment, Invoice
from .meters import MeterReport
from .notifications import BillingNotification
from .plan_migrations import PlanMigration, PlanMigrationItem
from .prices import PlanPrice
from .reconciliation import Drift, ReconciliationRun
from .revenue import RevenueDay, RevenueMovement, RevenuePlanDay, RevenueSnapshot, SubscriptionChange
from .subscriptions import SubscriptionState
from .throttles import StripeRequestWindow
from .trials import TrialRecord

__all__ = [
    "Adjustment",
    "BillingAccount",
    "BillingAction",
    "BillingNotification",
    "CheckoutAttempt",
    "Drift",
    "Invoice",
    "MeterReport",
    "OrganizationDay",
    "PlanMigration",
    "PlanMigrationItem",
    "PlanPrice",
    "ReconciliationRun",
    "RevenueDay",
    "RevenueMovement",
    "RevenuePlanDay",
    "RevenueSnapshot",
    "StripeRequestWindow",
    "SubscriptionChange",
    "SubscriptionState",
    "TrialRecord",
    "UsageDay",
    "WebhookEvent",
]
