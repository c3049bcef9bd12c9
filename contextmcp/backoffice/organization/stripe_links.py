"""Links to Stripe's dashboard."""

from django.conf import settings

_DASHBOARD = "https://dashboard.stripe.com"


def dashboard_link(kind: str, object_id: str | None) -> str:
    """Return the dashboard's page of an object ("customers", "subscriptions", "invoices"), or "" without an ID.

    Objects of the test mode have URLs of their own. The mode is that of the configured key, such as `sk_test_...`.
    """
    if not object_id:
        return ""
    mode = "" if "_live_" in settings.STRIPE_SECRET_KEY else "/test"
    return f"{_DASHBOARD}{mode}/{kind}/{object_id}"
