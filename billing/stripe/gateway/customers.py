"""Customers, their payment methods, their test clocks and the customer portal."""

from typing import Any

from billing.errors import StripeMissing

from .client import call, pages

SUBSCRIBER = "djstripe_subscriber"  # dj-stripe's metadata key for the organization of a customer


def create(*, key: object, organization_id: object, name: str, email: str, test_clock: str = "") -> dict[str, Any]:
    clock = {"test_clock": test_clock} if test_clock else {}
    return call("post", "/v1/customers", key=key, name=name, email=email, metadata={SUBSCRIBER: str(organization_id)}, **clock)


def update(customer_id: str, *, key: object, name: str, email: str) -> dict[str, Any]:
    return call("post", f"/v1/customers/{customer_id}", key=key, name=name, email=email)


def retrieve(customer_id: str) -> dict[str, Any] | None:
    """Return the customer with its default payment method expanded; None if it never existed.

    A deleted customer is returned as `{"id": ..., "deleted": true}`.
    """
    try:
        return call("get", f"/v1/customers/{customer_id}", expand=["invoice_settings.default_payment_method"])
    except StripeMissing:
        return None


def every() -> Any:
    """Yield all customers. Stripe omits customers on test clocks."""
    return pages("/v1/customers")


def payment_methods(customer_id: str) -> list[dict[str, Any]]:
    return list(pages(f"/v1/customers/{customer_id}/payment_methods"))


def clock(clock_id: str) -> dict[str, Any] | None:
    """Return a test clock; None if it was deleted."""
    try:
        return call("get", f"/v1/test_helpers/test_clocks/{clock_id}")
    except StripeMissing:
        return None


def portal(customer_id: str, *, key: object, return_url: str, flow: str = "") -> dict[str, Any]:
    """Create a customer portal session. Anyone who opens its `url` within some minutes is signed in as the customer.

    With `flow` it opens one page (https://docs.stripe.com/customer-management/portal-deep-links), which leads to `return_url`.
    """
    after = {"type": "redirect", "redirect": {"return_url": return_url}}
    params = {"flow_data": {"type": flow, "after_completion": after}} if flow else {}
    return call("post", "/v1/billing_portal/sessions", key=key, customer=customer_id, return_url=return_url, **params)


def portal_features() -> dict[str, Any] | None:
    """Return the features of the default configuration of the customer portal; None if the portal is not set up."""
    rows = call("get", "/v1/billing_portal/configurations", is_default=True, active=True, limit=1)["data"]
    return rows[0]["features"] if rows else None


def add_balance(customer_id: str, *, key: object, amount: int, currency: str, description: str) -> dict[str, Any]:
    """Add `amount` minor units to the customer's balance. A negative amount is credit, which reduces the next invoices."""
    path = f"/v1/customers/{customer_id}/balance_transactions"
    return call("post", path, key=key, amount=amount, currency=currency, description=description)
