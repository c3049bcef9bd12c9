from django.urls import path

from . import events, gate, reports, state, webhooks

urlpatterns = [
    path("entitlements/check", gate.Check.as_view(), name="check"),
    path("usage/authorize", gate.Authorize.as_view(), name="authorize"),
    path("usage/events", events.Events.as_view(), name="events"),
    path("usage/current", reports.Current.as_view(), name="current-usage"),
    path("usage/history", reports.History.as_view(), name="usage-history"),
    path("usage/holds/<uuid:hold_id>/settle", state.SettleHold.as_view(), name="settle-hold"),
    path("usage/holds/<uuid:hold_id>/release", state.ReleaseHold.as_view(), name="release-hold"),
    path("usage/levels/<str:feature>", state.StateLevel.as_view(), name="level"),
    path("usage/levels/<str:feature>/release", state.ReleaseLevel.as_view(), name="release-level"),
    path("webhook-endpoints", webhooks.Endpoints.as_view(), name="webhook-endpoints"),
    path("webhook-endpoints/<uuid:endpoint_id>", webhooks.Endpoint.as_view(), name="webhook-endpoint"),
    path("webhook-endpoints/<uuid:endpoint_id>/test", webhooks.TestEndpoint.as_view(), name="test-webhook-endpoint"),
    path("webhook-endpoints/<uuid:endpoint_id>/deliveries", webhooks.Deliveries.as_view(), name="webhook-deliveries"),
]
