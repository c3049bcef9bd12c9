from django.urls import path

from billing.webhooks.view import stripe_webhook

from . import views

urlpatterns = [
    path("billing/create-checkout-session", views.CreateCheckoutSession.as_view(), name="create-checkout-session"),
    path("billing/create-portal-session", views.CreatePortalSession.as_view(), name="create-portal-session"),
    path("billing/subscription", views.Subscription.as_view(), name="subscription"),
    path("billing/webhooks/stripe", stripe_webhook, name="stripe-webhook"),
]
