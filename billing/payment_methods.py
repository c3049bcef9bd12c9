"""Conversion of Stripe payment methods to stored rows and to display names."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_noop

from billing.types import PaymentMethod

# Stripe's types (https://docs.stripe.com/api/payment_methods/object#payment_method_object-type) and their display names.
TITLES = {
    "acss_debit": gettext_noop("Pre-authorized debit"),
    "amazon_pay": "Amazon Pay",
    "au_becs_debit": "BECS Direct Debit",
    "bacs_debit": "Bacs Direct Debit",
    "cashapp": "Cash App Pay",
    "link": "Link",
    "paypal": "PayPal",
    "revolut_pay": "Revolut Pay",
    "sepa_debit": "SEPA Direct Debit",
    "us_bank_account": gettext_noop("Bank account"),
}
_CARD_FIELDS = ("brand", "last4", "exp_month", "exp_year")
# Fields that identify the account of a payment method without digits, in order of preference.
_ACCOUNT_FIELDS = ("bank_name", "email", "payer_email", "cashtag")


def to_row(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of `BillingAccount.payment_method` for a Stripe payment method."""
    details = document.get(document["type"]) or {}
    account = next((details[name] for name in _ACCOUNT_FIELDS if details.get(name)), None)
    return {"id": document["id"], "type": document["type"], "account": account} | {name: details.get(name) for name in _CARD_FIELDS}


def from_row(row: Mapping[str, Any]) -> PaymentMethod:
    """Return a stored payment method with its name in the reader's language, such as "Visa ending in 4242" or "Link (ada@example.com)"."""
    fields = {each: row.get(each) for each in _CARD_FIELDS}
    kind = row.get("type", "card")
    title = (fields["brand"] or gettext_noop("card")) if kind == "card" else TITLES.get(kind, kind.replace("_", " "))
    title = gettext(title)
    name = title[:1].upper() + title[1:]
    if row.get("account"):
        name += f" ({row['account']})"
    if fields["last4"]:
        name = gettext("%(name)s ending in %(digits)s") % {"name": name, "digits": fields["last4"]}
    return PaymentMethod(type=kind, display_name=name, **fields)
