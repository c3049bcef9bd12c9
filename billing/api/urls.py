from django.urls import path

from billing.webhooks.view import stripe_webhook

from . import changes, views

urlpatterns = [
    path("billing/create-checkout-session", views.CreateCheckoutSession.as_view(), name="api-create-checkout-session"),
    path("billing/create-portal-session", views.CreatePortalSession.as_view(), name="api-create-portal-session"),
    path("billing/subscription", views.Subscription.as_view(), name="api-subscription"),
    path("billing/subscription/upcoming-change", changes.UpcomingChange.as_view(), name="api-upcoming-change"),
    path("billing/preview-change", changes.PreviewChange.as_view(), name="api-preview-change"),
    path("billing/change-plan", changes.ChangePlan.as_view(), name="api-change-plan"),
    path("billing/cancel", changes.Cancel.as_view(), name="api-cancel"),
    path("billing/resume", changes.Resume.as_view(), name="api-resume"),
    path("billing/invoices", changes.Invoices.as_view(), name="api-invoices"),
    path("billing/overage", changes.Overage.as_view(), name="api-overage"),
    path("billing/webhooks/stripe", stripe_webhook, name="api-stripe-webhook"),
]
