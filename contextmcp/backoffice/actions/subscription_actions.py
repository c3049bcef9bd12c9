"""Free days, discounts, paused payment collection and cancellation of a subscription."""

from datetime import timedelta
from typing import Any

from accounts.models import Organization
from billing.amounts import after_discounts, estimated_total
from billing.errors import NothingToChange
from billing.idempotent_actions import AuditNote
from billing.models import SubscriptionState
from billing.staff_actions import collection, discounts, free_days
from billing.staff_actions.discounts import Discount
from billing.subscriptions import change_plan, plan_migration
from contextmcp.backoffice.errors import ActionNotPossible
from contextmcp.backoffice.wording import moment
from contextmcp.common.money import format_amount

from .base import ActionForm, ConfirmedRequest, OrganizationFacts, Preview, Row
from .fields import choice_field, date_field, end_of_day, future_day, integer_field, minor_units, money_field, text_field
from .stripe_action import SubscriptionAction, currency_of, staff_request, subscription_of


class MoveSubscriber(SubscriptionAction):
    name = "move-version"
    title = "Move to the newest plan version"
    group = "Plan and limits"
    permission = "billing.add_planmigration"
    description = (
        "Moves the subscription to the newest version of its plan. Nothing is charged or credited for the current period; the new price "
        "applies from the next period, the new limits at once."
    )

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        move = _move(organization)
        if move.refused:
            raise ActionNotPossible(f"The subscription cannot be moved: {move.refused}.")
        before, after = move.amounts
        old = "unknown" if before is None else format_amount(before, move.state.currency)
        price = Row(f"Price per {move.state.interval}", old, format_amount(after, move.price.currency))
        version = Row("Plan version", str(move.state.plan_version), str(move.price.plan_version))
        limits = plan_migration.differences(move.state.plan_version, move.price.plan_version) if move.state.plan_version else []
        return Preview((version, price, *(Row(*each) for each in limits)))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        move = _move(organization)
        plan_migration.migrate([move], confirmed.actor, confirmed.reason)
        return f"The subscription was moved to {move.price.plan_version}."


def _move(organization: Organization) -> plan_migration.SubscriberMigration:
    state = subscription_of(organization)
    moves = plan_migration.preview_migrations(state.plan, organizations=[organization]) if state.plan else []
    if not moves:
        raise NothingToChange("The subscription already uses the newest version of its plan.")
    return moves[0]


class FreeDaysForm(ActionForm):
    days = integer_field("Days", min_value=1, max_value=free_days.MAX_DAYS)


class GiveFreeDays(SubscriptionAction):
    name = "free-days"
    title = "Add free days or extend the trial"
    permission = "billing.extend_trial"
    description = (
        "Postpones the next payment at Stripe. A trial is extended; a paid subscription keeps its plan and is charged for a full period "
        "after the free days."
    )
    form = FreeDaysForm
    beneficial = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        state = subscription_of(organization)
        before = free_days.next_payment_at(state)
        label = "Trial ends" if state.on_first_trial else "Next payment"
        rows = [Row(label, moment(before), moment(before + timedelta(days=data["days"])))]
        warnings = []
        if state.cancel_at:
            warnings.append(
                "The subscription is scheduled to be canceled. A cancellation at the end of the period takes effect after the free days."
            )
        if state.overage_item_id:
            warnings.append(
                "Overage in the current billing period may not be billed, because Stripe does not bill metered usage during free days."
            )
        if state.collection_paused:
            warnings.append("Payment collection remains paused.")
        return Preview(tuple(rows), tuple(warnings))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        until = free_days.give_free_days(organization, data["days"], staff_request(confirmed))
        return f"The next payment is due on {moment(until)}."


class DiscountForm(ActionForm):
    percent = integer_field("Percent off", required=False, min_value=1, max_value=100, help_text="Enter 100 for a free invoice.")
    amount = money_field("Or amount off", required=False)
    coupon = text_field("Or Stripe coupon ID", required=False, max_length=200)
    duration = choice_field("Applies to", choices=list(discounts.DURATIONS.items()))
    months = integer_field("Months", required=False, min_value=1, max_value=36, help_text="Only for “Multiple months”.")

    def prepare(self) -> None:
        self.currency = currency_of(self.organization)
        self.fields["amount"].label = f"Or amount off ({self.currency.upper()})"

    def clean_amount(self) -> int | None:
        amount = self.cleaned_data["amount"]
        return None if amount is None else minor_units(amount, self.currency)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return data
        if sum(bool(data[name]) for name in ("percent", "amount", "coupon")) != 1:
            self.add_error("percent", "Enter exactly one of: a percentage, an amount, or a coupon.")
        if (data["duration"] == "repeating") != bool(data["months"]) and not data["coupon"]:
            self.add_error("months", "Enter a number of months for “Multiple months”. Otherwise, leave it empty.")
        return data


class GiveDiscount(SubscriptionAction):
    name = "discount"
    title = "Add a discount"
    permission = "billing.give_discount"
    description = "Adds a coupon to the subscription at Stripe. Existing discounts are kept, and existing invoices are not changed."
    form = DiscountForm
    beneficial = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        state = subscription_of(organization)
        rows = [Row("Discounts", _present(state), f"{_present(state, more=True)}{_terms(data, state.currency)}")]
        before = estimated_total(state, state.current_period_end)
        if before is not None and not data["coupon"]:
            new = {"percent_off": data["percent"], "amount_off": data["amount"], "currency": state.currency}
            after = after_discounts(before, [new], state.currency, None)
            amounts = (format_amount(each, state.currency) for each in (before, after))
            rows.append(Row("Price of the plan on the next invoice, before tax and credit", *amounts))
        warnings = []
        if state.interval == "year" and data["duration"] == "repeating":
            warnings.append("This subscription is paid yearly. A discount for months applies only if an invoice falls within these months.")
        return Preview(tuple(rows), tuple(warnings))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        discount = Discount(data["percent"], data["amount"], data["duration"], data["months"], data["coupon"])
        discounts.give_discount(organization, discount, staff_request(confirmed))
        return f"The discount was added: {_terms(data, currency_of(organization))}."


class EndDiscounts(SubscriptionAction):
    name = "end-discounts"
    title = "Remove all discounts"
    permission = "billing.give_discount"
    description = "Removes all discounts of the subscription at Stripe. The next invoice is charged at the full price."

    def unavailable(self, facts: OrganizationFacts) -> str:
        refusal = super().unavailable(facts)
        return refusal or ("" if facts.subscription and facts.subscription.discounts else "The subscription has no discount.")

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        return Preview((Row("Discounts", _present(subscription_of(organization)), "none"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        discounts.end_discounts(organization, staff_request(confirmed))
        return "The discounts were removed."


class PauseForm(ActionForm):
    behavior = choice_field("Invoices during the pause", choices=list(collection.BEHAVIORS.items()))
    until = date_field("Until", required=False, help_text="The last day of the pause (UTC). Leave empty to pause until staff resume it.")

    def clean_until(self) -> Any:
        until = self.cleaned_data["until"]
        return future_day(self.organization, until) if until else None


class PauseCollection(SubscriptionAction):
    name = "pause"
    title = "Pause payment collection"
    permission = "billing.pause_collection"
    description = (
        "Stripe continues to create invoices but does not collect them. The plan stays in effect, and the customer cannot change it."
    )
    form = PauseForm
    beneficial = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        state = subscription_of(organization)
        end = moment(end_of_day(data["until"]) if data["until"] else None, "until staff resume it")
        rows = (
            Row("Collection of payments", _pause(state), "paused"),
            Row("Invoices during the pause", "", collection.BEHAVIORS[data["behavior"]]),
            Row("The pause ends", "", end),
        )
        warnings = (
            ("A payment is overdue. Pausing collection does not change that, and the grace period continues.",)
            if state.past_due_since
            else ()
        )
        return Preview(rows, warnings)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        resumes = end_of_day(data["until"]) if data["until"] else None
        collection.pause_collection(organization, data["behavior"], resumes, staff_request(confirmed))
        return f"Payments are not collected {f'until {moment(resumes)}' if resumes else 'until staff resume them'}."


class ResumeCollection(SubscriptionAction):
    name = "resume"
    title = "Resume payment collection"
    permission = "billing.pause_collection"
    description = "Stripe collects invoices created from now on. Invoices from the pause are not collected."

    def unavailable(self, facts: OrganizationFacts) -> str:
        refusal = super().unavailable(facts)
        paused = facts.subscription and facts.subscription.collection_paused
        return refusal or ("" if paused else "Payment collection is not paused.")

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        return Preview((Row("Collection of payments", _pause(subscription_of(organization)), "active"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        collection.resume_collection(organization, staff_request(confirmed))
        return "Payments are collected again."


class CancelForm(ActionForm):
    when = choice_field("When", choices=[("period_end", "At the end of the paid period"), ("now", "Immediately, without a refund")])


class CancelSubscription(SubscriptionAction):
    name = "cancel"
    title = "Cancel the subscription"
    permission = "billing.cancel_subscription"
    description = (
        "Ends the subscription at Stripe, at the end of the paid period or immediately. The organization then falls back to the free plan."
    )
    form = CancelForm
    destructive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        state = subscription_of(organization)
        at_once = data["when"] == "now"
        if state.cancel_at and not at_once:
            raise NothingToChange("The subscription is already scheduled to be canceled.")
        paid_until = state.trial_end if state.status == "trialing" else state.current_period_end
        ends = "immediately" if at_once else moment(paid_until)
        rows = [Row("The subscription ends", moment(state.cancel_at, "no end"), ends)]
        if state.upcoming_change:
            rows.append(Row("Scheduled plan change", _planned_change(state), "dropped"))
        warnings = []
        if at_once:
            warnings.append("Access to the plan ends now. Nothing is refunded; to return money, refund the payment separately.")
            if state.overage_item_id:
                warnings.append("Unbilled overage is invoiced now.")
        return Preview(tuple(rows), tuple(warnings))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        at_once = data["when"] == "now"
        change_plan.cancel_subscription(organization, confirmed.actor, at_once=at_once, note=_note(organization, confirmed))
        state = SubscriptionState.objects.filter(organization=organization).first()
        end = state.cancel_at if state and not at_once else None
        return f"The subscription ends on {moment(end)}." if end else "The subscription was canceled."


class KeepSubscription(SubscriptionAction):
    name = "uncancel"
    title = "Undo the cancellation"
    permission = "billing.cancel_subscription"
    description = (
        "Removes the scheduled cancellation, so that the subscription renews. A subscription that Stripe paused after its trial resumes."
    )

    def unavailable(self, facts: OrganizationFacts) -> str:
        state = facts.subscription
        pending = state is not None and (state.cancel_at is not None or state.status == "paused")
        return super().unavailable(facts) or ("" if pending else "No cancellation is scheduled.")

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        state = subscription_of(organization)
        if state.status == "paused":
            warnings = ("A new billing period starts now, and its invoice is charged.",)
            return Preview((Row("Status", "paused", "active, if the payment succeeds"),), warnings)
        return Preview((Row("The subscription ends", moment(state.cancel_at, "no end"), "no end (renews automatically)"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        change_plan.resume_subscription(organization, confirmed.actor, _note(organization, confirmed))
        return "The subscription continues."


def _note(organization: Organization, confirmed: ConfirmedRequest) -> AuditNote:
    state = subscription_of(organization)
    before = {"status": state.status, "cancel_at": state.cancel_at.isoformat() if state.cancel_at else None}
    return AuditNote(confirmed.reason, before)


def _present(state: SubscriptionState, *, more: bool = False) -> str:
    names = [each.get("code") or each.get("name") or each.get("coupon") or each["id"] for each in state.discounts]
    if not names:
        return "" if more else "none"
    return ", ".join(names) + (", and " if more else "")


def _terms(data: dict[str, Any], currency: str) -> str:
    if data["coupon"]:
        return f"coupon {data['coupon']}"
    off = f"{data['percent']}%" if data["percent"] else format_amount(data["amount"], currency)
    times = {"once": "the next invoice", "repeating": f"{data['months']} months", "forever": "all future invoices"}[data["duration"]]
    return f"{off} off {times}"


def _pause(state: SubscriptionState) -> str:
    if not state.collection_paused:
        return "active"
    return f"paused until {moment(state.collection_resumes_at, 'staff resume it')}"


def _planned_change(state: SubscriptionState) -> str:
    change = state.upcoming_change or {}
    return f"{change.get('plan')} v{change.get('version')}"
