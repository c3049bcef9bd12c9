"""Customers, their cards and their test clocks."""

from typing import Any

from billing.errors import StripeMissing

from .client import ask, pages

SUBSCRIBER = "djstripe_subscriber"  # dj-stripe's name for the link from a customer to an organization


def create(*, key: object, organization_id: object, name: str, email: str, test_clock: str = "") -> dict[str, Any]:
    clock = {"test_clock": test_clock} if test_clock else {}
    return ask("post", "/v1/customers", key=key, name=name, email=email, metadata={SUBSCRIBER: str(organization_id)}, **clock)


def update(customer_id: str, *, key: object, name: str, email: str) -> dict[str, Any]:
    return ask("post", f"/v1/customers/{customer_id}", key=key, name=name, email=email)


def retrieve(customer_id: str) -> dict[str, Any] | None:
    """With its default card expanded; None where there never was one. A deleted customer comes back as `{"id", "deleted": true}`."""
    try:
        return ask("get", f"/v1/customers/{customer_id}", expand=["invoice_settings.default_payment_method"])
    except StripeMissing:
        return None


def every() -> Any:
    return pages("/v1/customers")


def payment_methods(customer_id: str) -> list[dict[str, Any]]:
    return list(pages(f"/v1/customers/{customer_id}/payment_methods"))


def clock(clock_id: str) -> dict[str, Any] | None:
    """A test clock, or None where it is gone."""
    try:
        return ask("get", f"/v1/test_helpers/test_clocks/{clock_id}")
    except StripeMissing:
        return None


def portal(customer_id: str, *, key: object, return_url: str) -> dict[str, Any]:
    return ask("post", "/v1/billing_portal/sessions", key=key, customer=customer_id, return_url=return_url)
