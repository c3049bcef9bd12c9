"""The time since which a payment is missing. The grace period is counted from it. Pure functions of Stripe's documents.

The length of the grace period is the setting BILLING_GRACE_DAYS. `columns` calculates its end, and `customer_projection` ends the plan's
grant at that time.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from .stripe_documents import Document, paid_by, subscription_of, to_datetime


def first_failures(invoices: Iterable[Document], charges: Iterable[Document]) -> dict[str, int | None]:
    """Return the time of each invoice's first failed payment (Unix seconds); None while the bank's result is pending.

    A card payment fails immediately. A bank can return a debit days after the charge; then the failure's balance transaction has the time.
    """
    invoice_of = paid_by(invoices)
    failures: dict[str, int | None] = {}
    for charge in charges:
        invoice = invoice_of.get(charge["payment_intent"] or "")
        if invoice is not None and charge["status"] in ("failed", "pending"):
            reversal = charge.get("failure_balance_transaction")
            failed = reversal["created"] if isinstance(reversal, Mapping) else charge["created"]
            moments = [failures.get(invoice["id"]), failed if charge["status"] == "failed" else None]
            failures[invoice["id"]] = min((each for each in moments if each is not None), default=None)
    return failures


def past_due_since(document: Document, invoices: Iterable[Document], failures: Mapping[str, int | None]) -> datetime | None:
    """Return when the first payment that is still missing failed; None if no payment is missing.

    This is the oldest failed or overdue invoice since the last paid one. Earlier debts did not stop Stripe from renewing and must not
    shorten the grace period of a later failure. The time is read from the invoices and not from the receipt of events, whose order varies.
    A subscription that was canceled for non-payment keeps the time, because access ended with the grace period and not with the
    cancellation.
    """
    if document["status"] not in ("past_due", "unpaid", "canceled"):
        return None
    since = None
    for invoice in sorted(invoices, key=lambda each: each["created"]):
        if subscription_of(invoice) != document["id"]:
            continue
        if invoice["status"] == "paid":
            since = None
        elif invoice["status"] in ("open", "uncollectible"):
            since = since or _missed_at(invoice, failures)
    if since is None and document["status"] != "canceled":
        items = document["items"]["data"]
        since = items[0]["current_period_start"] if items else document["start_date"]
    return to_datetime(since)


def _missed_at(invoice: Document, failures: Mapping[str, int | None]) -> int | None:
    """Return when an invoice's payment failed or became overdue (Unix seconds); None if it was not attempted.

    An invoice with a due date is overdue at that date. Without a failed charge, for example if there is no payment method, the attempt
    was at finalization.
    """
    if invoice["collection_method"] == "send_invoice":
        due: int | None = invoice["due_date"]
        return due
    if not invoice["attempted"]:
        return None
    if invoice["id"] in failures:
        return failures[invoice["id"]]
    return int(invoice["status_transitions"]["finalized_at"] or invoice["created"])
