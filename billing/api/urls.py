"""Routes of the billing endpoints."""

from django.urls import path

from billing.inbound.view import stripe_webhook

from . import checkout, subscription

urlpatterns = [
    path("billing/create-checkout-session", checkout.CreateCheckoutSession.as_view(), name="api-create-checkout-session"),
    path("billing/create-portal-session", checkout.CreatePortalSession.as_view(), name="api-create-portal-session"),
    path("billing/subscription", checkout.Subscription.as_view(), name="api-subscription"),
    path("billing/subscription/upcoming-change", subscription.UpcomingChange.as_view(), name="api-upcoming-change"),
    path("billing/preview-change", subscription.PreviewChange.as_view(), name="api-preview-change"),
    path("billing/change-plan", subscription.ChangePlan.as_view(), name="api-change-plan"),
    path("billing/cancel", subscription.Cancel.as_view(), name="api-cancel"),
    path("billing/resume", subscription.Resume.as_view(), name="api-resume"),
    path("billing/invoices", subscription.Invoices.as_view(), name="api-invoices"),
    path("billing/overage", subscription.Overage.as_view(), name="api-overage"),
    path("billing/webhooks/stripe", stripe_webhook, name="api-stripe-webhook"),
]
