"""URLs of the usage API. Those of usage itself come from the route table."""

from django.urls import path

from . import authorize, events, holds_and_gauges, reports, webhooks
from .base import UsageView

VIEWS: tuple[type[UsageView], ...] = (
    authorize.Check,
    authorize.Authorize,
    events.Events,
    reports.Current,
    reports.History,
    holds_and_gauges.SettleHold,
    holds_and_gauges.ReleaseHold,
    holds_and_gauges.SetGauge,
    holds_and_gauges.DecreaseGauge,
)

urlpatterns = [
    *[path(view.route.path, view.as_view(), name=view.route.name) for view in VIEWS],
    path("webhook-endpoints", webhooks.Endpoints.as_view(), name="webhook-endpoints"),
    path("webhook-endpoints/<uuid:endpoint_id>", webhooks.Endpoint.as_view(), name="webhook-endpoint"),
    path("webhook-endpoints/<uuid:endpoint_id>/test", webhooks.TestEndpoint.as_view(), name="test-webhook-endpoint"),
    path("webhook-endpoints/<uuid:endpoint_id>/rotate-secret", webhooks.RotateSecret.as_view(), name="rotate-webhook-secret"),
    path("webhook-endpoints/<uuid:endpoint_id>/deliveries", webhooks.Deliveries.as_view(), name="webhook-deliveries"),
    path(
        "webhook-endpoints/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>",
        webhooks.Delivery.as_view(),
        name="webhook-delivery-with-body",
    ),
    path(
        "webhook-endpoints/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>/redeliver",
        webhooks.Redeliver.as_view(),
        name="redeliver-webhook",
    ),
]
