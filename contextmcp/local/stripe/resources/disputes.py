"""Disputes: a card's owner asks the bank for the money back. They are opened by `POST /_sim/disputes {charge, reason}`."""

from typing import Any

from contextmcp.local.stripe import jobs, payments
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import DAY, Obj, Params, new_id
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import take_all
from contextmcp.local.stripe.render import embeds, view
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit

CLOSED = ("won", "lost", "warning_closed")


def open_dispute(unit: Unit, charge_id: str, reason: str, amount: Any = None, *, inquiry: bool = False) -> Obj:
    """Open a dispute; an inquiry only asks, and takes no money yet."""
    charge = unit.need("charge", charge_id, "charge")
    if charge["disputed"] or charge["status"] != "succeeded":
        raise invalid(f"Charge {charge_id} cannot be disputed.", "charge")
    now = unit.now(charge)
    dispute = blank(
        "dispute",
        id=new_id("dp", 24),
        amount=int(amount or charge["amount"]),
        charge=charge["id"],
        created=now,
        currency=charge["currency"],
        is_charge_refundable=inquiry,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason=reason,
        status="warning_needs_response" if inquiry else "needs_response",
        _customer=charge["customer"],
    )
    dispute["evidence"]["enhanced_evidence"] = {}
    dispute["evidence_details"] |= {"due_by": now + 9 * DAY, "enhanced_eligibility": {}}
    unit.add(dispute)
    charge["disputed"] = True
    updated(unit, charge)
    dispute["balance_transactions"] = []
    emit(unit, "charge.dispute.created", dispute)
    if inquiry:
        return dispute
    entry = payments.balance_transaction(unit, dispute, -dispute["amount"], "adjustment")
    entry["reporting_category"] = "dispute"
    dispute["balance_transactions"] = [entry["id"]]
    unit.save(dispute)
    emit(unit, "charge.dispute.funds_withdrawn", dispute)
    return dispute


@jobs.does("dispute")
def _by_card(unit: Unit, charge: Obj) -> None:
    """A test card whose owner always complains."""
    how = payments.card_of(unit.need("payment_method", charge["payment_method"])).dispute
    inquiry = how == "inquiry"
    open_dispute(unit, charge["id"], "fraudulent" if inquiry else how, inquiry=inquiry)


@embeds("dispute")
def _embed(unit: Unit, dispute: Obj, shown: Obj) -> None:
    shown["balance_transactions"] = [view(unit, unit.need("balance_transaction", id)) for id in dispute["balance_transactions"]]


@answers("GET", "/v1/disputes/{dispute}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("dispute", p["dispute"])


@answers("GET", "/v1/disputes")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("dispute", parent=p.get("charge"))
    if "payment_intent" in p:
        found = [dispute for dispute in found if dispute["payment_intent"] == p["payment_intent"]]
    return page("/v1/disputes", found, p)


@answers("POST", "/v1/disputes/{dispute}")
def update(unit: Unit, p: Params) -> Obj:
    """Evidence decides, as with Stripe's test cards: the texts `winning_evidence` and `losing_evidence`."""
    dispute = unit.need("dispute", p["dispute"])
    given = take_all(p.get("evidence") or {})
    submit = p.get("submit", True)
    if given and dispute["status"] in CLOSED:
        raise invalid("This dispute is already closed.", code="dispute_already_closed")
    dispute["evidence"] |= {name: text for name, text in given.items() if name in dispute["evidence"] and isinstance(text, str)}
    merge_metadata(dispute, p.get("metadata"))
    if given and submit:
        dispute["evidence_details"] |= {"has_evidence": True, "submission_count": dispute["evidence_details"]["submission_count"] + 1}
        dispute["status"] = f"{'warning_' if _is_inquiry(dispute) else ''}under_review"
    updated(unit, dispute, "charge.dispute")
    verdict = {"winning_evidence": "won", "losing_evidence": "lost"}.get(given.get("uncategorized_text", ""))
    if verdict and submit:
        close_dispute(unit, dispute, verdict)
    return dispute


@answers("POST", "/v1/disputes/{dispute}/close")
def close(unit: Unit, p: Params) -> Obj:
    dispute = unit.need("dispute", p["dispute"])
    close_dispute(unit, dispute, "lost")
    return dispute


def _is_inquiry(dispute: Obj) -> bool:
    return str(dispute["status"]).startswith("warning_")


def close_dispute(unit: Unit, dispute: Obj, verdict: str) -> None:
    if dispute["status"] in CLOSED:
        raise invalid("This dispute is already closed.", code="dispute_already_closed")
    verdict = "warning_closed" if _is_inquiry(dispute) else verdict
    dispute["status"] = verdict
    unit.save(dispute)
    if verdict == "won":
        entry = payments.balance_transaction(unit, dispute, dispute["amount"], "adjustment")
        entry["reporting_category"] = "dispute_reversal"
        dispute["balance_transactions"].append(entry["id"])
        emit(unit, "charge.dispute.funds_reinstated", dispute)
    emit(unit, "charge.dispute.closed", dispute)
