"""Disputes: cardholders dispute a charge with their bank. `POST /_sim/disputes {charge, reason}` opens one."""

from typing import Any

from stripe_simulator import charges, jobs, payments
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.parameters import read_all
from stripe_simulator.render import embeds, view
from stripe_simulator.routes.match import route
from stripe_simulator.types import DAY, Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit

CLOSED = ("won", "lost", "warning_closed")


def open_dispute(unit: Unit, charge_id: str, reason: str, amount: Any = None, *, inquiry: bool = False) -> Obj:
    """Open a dispute. An inquiry does not withdraw funds."""
    charge = unit.require("charge", charge_id, "charge")
    if charge["disputed"] or charge["status"] != "succeeded":
        raise invalid(f"Charge {charge_id} cannot be disputed.", "charge")
    now = unit.now(charge)
    dispute = new_object(
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
    entry = charges.balance_transaction(unit, dispute, -dispute["amount"], "adjustment")
    entry["reporting_category"] = "dispute"
    dispute["balance_transactions"] = [entry["id"]]
    unit.save(dispute)
    emit(unit, "charge.dispute.funds_withdrawn", dispute)
    return dispute


@jobs.handles("dispute")
def _by_card(unit: Unit, charge: Obj) -> None:
    """Open the dispute of a test card whose charges are always disputed."""
    how = payments.card_of(unit.require("payment_method", charge["payment_method"])).dispute
    inquiry = how == "inquiry"
    open_dispute(unit, charge["id"], "fraudulent" if inquiry else how, inquiry=inquiry)


@embeds("dispute")
def _embed(unit: Unit, dispute: Obj, rendered: Obj) -> None:
    rendered["balance_transactions"] = [view(unit, unit.require("balance_transaction", id)) for id in dispute["balance_transactions"]]


@route("GET", "/v1/disputes/{dispute}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("dispute", p["dispute"])


@route("GET", "/v1/disputes")
def index(unit: Unit, p: Params) -> Obj:
    disputes = unit.find("dispute", parent=p.get("charge"))
    if "payment_intent" in p:
        disputes = [dispute for dispute in disputes if dispute["payment_intent"] == p["payment_intent"]]
    return page("/v1/disputes", disputes, p)


@route("POST", "/v1/disputes/{dispute}")
def update(unit: Unit, p: Params) -> Obj:
    """Submit evidence. As at Stripe, the texts `winning_evidence` and `losing_evidence` decide the dispute."""
    dispute = unit.require("dispute", p["dispute"])
    evidence = read_all(p.get("evidence") or {})
    submit = p.get("submit", True)
    if evidence and dispute["status"] in CLOSED:
        raise invalid("This dispute is already closed.", code="dispute_already_closed")
    dispute["evidence"] |= {name: text for name, text in evidence.items() if name in dispute["evidence"] and isinstance(text, str)}
    merge_metadata(dispute, p.get("metadata"))
    if evidence and submit:
        dispute["evidence_details"] |= {"has_evidence": True, "submission_count": dispute["evidence_details"]["submission_count"] + 1}
        dispute["status"] = f"{'warning_' if _is_inquiry(dispute) else ''}under_review"
    updated(unit, dispute, "charge.dispute")
    outcome = {"winning_evidence": "won", "losing_evidence": "lost"}.get(evidence.get("uncategorized_text", ""))
    if outcome and submit:
        close_dispute(unit, dispute, outcome)
    return dispute


@route("POST", "/v1/disputes/{dispute}/close")
def close(unit: Unit, p: Params) -> Obj:
    dispute = unit.require("dispute", p["dispute"])
    close_dispute(unit, dispute, "lost")
    return dispute


def _is_inquiry(dispute: Obj) -> bool:
    return str(dispute["status"]).startswith("warning_")


def close_dispute(unit: Unit, dispute: Obj, outcome: str) -> None:
    if dispute["status"] in CLOSED:
        raise invalid("This dispute is already closed.", code="dispute_already_closed")
    outcome = "warning_closed" if _is_inquiry(dispute) else outcome
    dispute["status"] = outcome
    unit.save(dispute)
    if outcome == "won":
        entry = charges.balance_transaction(unit, dispute, dispute["amount"], "adjustment")
        entry["reporting_category"] = "dispute_reversal"
        dispute["balance_transactions"].append(entry["id"])
        emit(unit, "charge.dispute.funds_reinstated", dispute)
    emit(unit, "charge.dispute.closed", dispute)
