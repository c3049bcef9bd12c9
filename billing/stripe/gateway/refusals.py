"""Maps Stripe's error codes, parameters and messages to the classes of `billing.errors`.

Stripe returns a code for some errors only (https://docs.stripe.com/error-codes); the others are recognized by their message. An unknown
error becomes `StripeRejected`, which opens an operator alert.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import stripe

from billing import errors
from contextmcp.common.errors import DomainError


@dataclass(frozen=True)
class Rule:
    """Classifies a Stripe error as `error` if all non-empty conditions hold.

    Either one of `codes` or the pattern `message` must match; `param`, `path` and `method` are patterns that must match as well.
    """

    error: type[errors.StripeRejected]
    codes: frozenset[str] = field(default_factory=frozenset)
    message: str = ""
    param: str = ""
    path: str = ""
    method: str = ""

    def matches(self, code: str, message: str, param: str, method: str, path: str) -> bool:
        if self.codes or self.message:
            recognized = code in self.codes or (self.message and re.search(self.message, message, re.IGNORECASE))
            if not recognized:
                return False
        patterns = ((self.param, param), (self.path, path), (self.method, method))
        return all(not pattern or re.search(pattern, value) for pattern, value in patterns)


_PROMOTION = r"promotion_code|^discounts|^coupon"
# The first matching rule applies.
RULES = (
    Rule(errors.UnknownPromotionCode, codes=frozenset(["resource_missing"]), param=_PROMOTION, method="post"),
    Rule(
        errors.PromotionCodeExpired,
        codes=frozenset(["coupon_expired", "promotion_code_inactive"]),
        message=r"(promotion code|coupon).*(expired|no longer active|not currently active|fully redeemed)",
        method="post",
    ),
    Rule(errors.PromotionCodeRefused, message=r"promotion code|coupon", method="post"),
    Rule(errors.PromotionCodeRefused, param=_PROMOTION, method="post"),
    Rule(
        errors.PriceNotAvailable,
        message=r"(price|product)\b.*\b(is|is not|isn't) (inactive|active|available to be purchased)",
        method="post",
    ),
    Rule(errors.PriceNotAvailable, codes=frozenset(["resource_missing"]), param=r"price", method="post"),
    Rule(errors.CurrencyMismatch, message=r"combine currencies|only supports .* expected currency"),
    Rule(errors.TaxLocationRequired, codes=frozenset(["customer_tax_location_invalid"])),
    Rule(errors.TaxNotConfigured, codes=frozenset(["tax_not_active"]), message=r"head office address|stripe tax .*(activ|set ?up)"),
    Rule(errors.TaxNotConfigured, param=r"^automatic_tax"),
    Rule(errors.PortalNotConfigured, message=r"portal settings|configuration", path=r"^/v1/billing_portal/"),
    Rule(errors.NoUpcomingInvoice, codes=frozenset(["invoice_upcoming_none"])),
    Rule(errors.StripeMissing, codes=frozenset(["resource_missing"])),
    Rule(errors.SubscriptionChangeRefused, method="post|delete", path=r"^/v1/(subscription|invoices/create_preview)"),
)
_NO_PAYMENT_METHOD = re.compile("no attached payment source|no default payment method", re.IGNORECASE)


def classify(error: stripe.StripeError, method: str, path: str) -> DomainError:
    """Return the domain error for a Stripe error of the request `method` `path`."""
    message, code, param = error.user_message or str(error), error.code or "", getattr(error, "param", None) or ""
    if _NO_PAYMENT_METHOD.search(message):
        return errors.PaymentRequired(reason="no_payment_method")
    error_class = next((rule.error for rule in RULES if rule.matches(code, message, param, method, path)), None)
    if error_class is None:
        error_class = errors.StripeMissing if error.http_status == 404 else errors.StripeRejected
    return error_class(message, code, param)
