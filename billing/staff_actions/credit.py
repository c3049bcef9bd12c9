"""Credit on the customer's balance at Stripe, which reduces the next invoices (https://docs.stripe.com/billing/customer/balance)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.models import Organization
from billing.customers import require_account
from billing.errors import AmountTooHigh, NoCustomer, OtherCurrency
from billing.models import BillingAccount, SubscriptionState
from billing.stripe.gateway import customers
from contextmcp.common.money import format_amount

from .execute import StaffRequest, execute, parameters_of


@dataclass(frozen=True, slots=True)
class Credit:
    """The customer's credit in minor units of `currency`. A negative amount is owed by the customer."""

    amount: int
    currency: str


def current_credit(organization: Organization) -> Credit:
    """Return the customer's credit at Stripe. Raises `NoCustomer`, `StripeUnavailable`."""
    account = require_account(organization)
    document = customers.retrieve(str(account.stripe_customer_id))
    if document is None or document.get("deleted"):
        raise NoCustomer
    return Credit(-int(document["balance"] or 0), document["currency"] or currency_of(organization))


def currency_of(organization: Organization) -> str:
    """Return the organization's currency: that of its Stripe customer, otherwise of its latest subscription, otherwise USD."""
    account = BillingAccount.objects.filter(organization=organization).first()
    latest = SubscriptionState.objects.filter(organization=organization).exclude(currency="").first()
    return (account.currency if account else "") or (latest.currency if latest else "usd")


def change_credit(organization: Organization, amount: int, request: StaffRequest) -> Credit:
    """Add `amount` minor units of credit, or remove credit if it is negative. Return the new credit.

    Raises `AmountTooHigh` if more is removed than there is, `OtherCurrency`, `NoCustomer`.
    """

    def prepare() -> dict[str, Any]:
        before = current_credit(organization)
        check_currency(before, currency_of(organization))
        check_removal(before, amount)
        return {"customer": require_account(organization).stripe_customer_id, "amount": amount, "currency": before.currency}

    parameters = parameters_of(organization, request, "credit", prepare)
    added, currency = parameters["amount"], parameters["currency"]

    def change(key: UUID) -> dict[str, Any]:
        entry = customers.add_balance(parameters["customer"], key=key, amount=-added, currency=currency, description=request.reason)
        credit = -int(entry["ending_balance"])
        return {
            "target": entry["id"],
            "before": {"credit": credit - added, "currency": currency},
            "after": {"credit": credit, "currency": currency, "added": added},
        }

    execute(organization, request, "credit", parameters, change)
    return current_credit(organization)


def check_currency(credit: Credit, currency: str) -> None:
    """Raise `OtherCurrency` if amounts in `currency` cannot be added to the credit, because the customer's currency was not synced yet."""
    if credit.currency != currency:
        text = f"The customer's currency at Stripe is {credit.currency.upper()}, not {currency.upper()}. Sync the customer first."
        raise OtherCurrency(text)


def check_removal(credit: Credit, amount: int) -> None:
    """Raise `AmountTooHigh` if `amount` is negative and removes more credit than there is."""
    if amount < 0 and -amount > max(credit.amount, 0):
        available = format_amount(max(credit.amount, 0), credit.currency)
        raise AmountTooHigh(f"The customer has {available} of credit. You cannot remove more than that.", maximum=max(credit.amount, 0))
