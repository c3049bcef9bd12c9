"""Staff's view of billing. Everything is looked at; what can be done goes through services, with a permission of its own."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin, TabularInline

from accounts.models import User
from contextmcp.common.errors import DomainError
from contextmcp.common.money import format_amount

from .models import (
    Adjustment,
    BillingAccount,
    BillingAction,
    CheckoutAttempt,
    Drift,
    Invoice,
    MeterReport,
    Notice,
    PlanPrice,
    ReconciliationRun,
    SubscriptionState,
    WebhookEvent,
)
from .services import apply, moves, reconcile
from .services.sync import sync_customer


class ReadOnly:
    """Looked at, never edited by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BillingAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """With the permission that actions of billing ask for: `billing.operate_billing`."""

    list_select_related = True
    show_full_result_count = False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.operate_billing")

    def done(self, request: HttpRequest, text: str) -> None:
        self.message_user(request, text, messages.SUCCESS)

    def refused(self, request: HttpRequest, error: DomainError) -> None:
        self.message_user(request, error.text, messages.ERROR)


class OfOrganization(BillingAdmin):
    search_fields: tuple[str, ...] = ("organization__name", "organization__slug", "organization__id")


@admin.register(BillingAccount)
class BillingAccountAdmin(OfOrganization):
    list_display = ("organization", "stripe_customer_id", "currency", "trial_used_at", "synced_at", "customer_deleted_at")
    search_fields = (*OfOrganization.search_fields, "stripe_customer_id")
    actions = ("sync", "reconcile")

    @admin.action(description="Look at Stripe now", permissions=["operate"])
    def sync(self, request: HttpRequest, accounts: QuerySet[BillingAccount]) -> None:
        try:
            found = [sync_customer(account.stripe_customer_id) for account in accounts if account.stripe_customer_id]
        except DomainError as error:
            self.refused(request, error)
            return
        changes = sum(len(result.changes) for result in found)
        self.done(request, f"{len(found)} looked at, {changes} differences put right.")

    @admin.action(description="Reconcile: compare, report and repair", permissions=["operate"])
    def reconcile(self, request: HttpRequest, accounts: QuerySet[BillingAccount]) -> None:
        try:
            runs = [reconcile.run(account.organization) for account in accounts]
        except DomainError as error:
            self.refused(request, error)
            return
        self.done(request, f"{len(runs)} compared, {sum(run.drifts.count() for run in runs)} drifts found.")


@admin.register(SubscriptionState)
class SubscriptionStateAdmin(OfOrganization):
    list_display = ("organization", "plan_version", "interval", "status", "price", "current_period_end", "cancel_at", "grace_until")
    list_filter = ("status", "interval", "plan_version")
    search_fields = (*OfOrganization.search_fields, "stripe_subscription_id", "stripe_customer_id")
    actions = ("sync", "move")

    @admin.display(description="Price")
    def price(self, state: SubscriptionState) -> str:
        return "" if state.unit_amount is None else format_amount(state.unit_amount, state.currency)

    @admin.action(description="Look at Stripe now", permissions=["operate"])
    def sync(self, request: HttpRequest, states: QuerySet[SubscriptionState]) -> None:
        try:
            results = [sync_customer(customer_id) for customer_id in sorted({state.stripe_customer_id for state in states})]
        except DomainError as error:
            self.refused(request, error)
            return
        self.done(request, f"{len(results)} looked at, {sum(len(each.changes) for each in results)} differences put right.")

    @admin.action(description="Move to the newest version of the plan", permissions=["operate"])
    def move(self, request: HttpRequest, states: QuerySet[SubscriptionState]) -> TemplateResponse | None:
        """First a page that says who changes and what; then, confirmed, the move."""
        try:
            found = _moves(states)
            if "confirmed" not in request.POST:
                return self._preview(request, states, found)
            assert isinstance(request.user, User)
            self.done(request, f"{moves.make(found, request.user)} of {len(found)} moved.")
        except DomainError as error:
            self.refused(request, error)
        return None

    def _preview(self, request: HttpRequest, states: QuerySet[SubscriptionState], found: list[moves.Move]) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Move to the newest version",
            "moves": [
                {
                    "move": move,
                    "before": "?" if move.amounts[0] is None else format_amount(move.amounts[0], move.state.currency),
                    "after": format_amount(move.amounts[1], move.price.currency),
                }
                for move in found
            ],
            "states": states,
            "opts": self.opts,
        }
        return TemplateResponse(request, "billing/admin/move.html", context)


def _moves(states: QuerySet[SubscriptionState]) -> list[moves.Move]:
    chosen: dict[str, list[Any]] = {}
    for state in states.select_related("organization", "plan_version"):
        if state.plan and state.is_live:
            chosen.setdefault(state.plan, []).append(state.organization)
    return [move for plan, organizations in sorted(chosen.items()) for move in moves.preview(plan, organizations=organizations)]


@admin.register(WebhookEvent)
class WebhookEventAdmin(BillingAdmin):
    list_display = ("event_id", "type", "subject", "state", "attempts", "source", "received_at", "processed_at")
    list_filter = ("state", "source", "type")
    search_fields = ("event_id", "subject", "type")
    date_hierarchy = "received_at"
    actions = ("replay",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.replay_webhookevent")

    @admin.action(description="Replay: put back into the queue", permissions=["replay"])
    def replay(self, request: HttpRequest, events: QuerySet[WebhookEvent]) -> None:
        self.done(request, f"{apply.replay(list(events))} queued.")


@admin.register(Invoice)
class InvoiceAdmin(OfOrganization):
    list_display = ("number", "organization", "status", "amount", "refunded", "attempt_count", "created_at", "paid_at")
    list_filter = ("status", "billing_reason", "currency")
    search_fields = (*OfOrganization.search_fields, "number", "stripe_invoice_id")
    date_hierarchy = "created_at"

    @admin.display(description="Total")
    def amount(self, invoice: Invoice) -> str:
        return format_amount(invoice.total, invoice.currency)


@admin.register(Adjustment)
class AdjustmentAdmin(OfOrganization):
    list_display = ("stripe_id", "kind", "organization", "status", "reason", "money", "created_at")
    list_filter = ("kind", "status")

    @admin.display(description="Amount")
    def money(self, row: Adjustment) -> str:
        return format_amount(row.amount, row.currency)


@admin.register(CheckoutAttempt)
class CheckoutAttemptAdmin(OfOrganization):
    list_display = ("id", "organization", "plan", "interval", "state", "created_by", "created_at")
    list_filter = ("state", "plan")


@admin.register(BillingAction)
class BillingActionAdmin(OfOrganization):
    list_display = ("id", "kind", "organization", "state", "error", "created_by", "created_at")
    list_filter = ("state", "kind")


@admin.register(Notice)
class NoticeAdmin(OfOrganization):
    list_display = ("kind", "organization", "object_id", "due_at", "sent_at", "dropped_at", "attempts")
    list_filter = ("kind",)


@admin.register(PlanPrice)
class PlanPriceAdmin(BillingAdmin):
    list_display = ("plan_version", "interval", "feature", "stripe_price_id", "amount", "currency", "current")
    list_filter = ("current", "interval")
    search_fields = ("stripe_price_id", "lookup_key")


@admin.register(MeterReport)
class MeterReportAdmin(OfOrganization):
    list_display = ("identifier", "organization", "feature", "units", "state", "attempts", "sent_at", "error")
    list_filter = ("state", "feature", "repair")


class DriftInline(ReadOnly, TabularInline):  # type: ignore[misc]
    model = Drift
    extra = 0
    fields = ("kind", "subject", "organization", "expected", "found", "repaired")
    readonly_fields = fields


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(BillingAdmin):
    list_display = ("started_at", "finished_at", "organization", "dry_run", "customers_compared", "events_found", "drifts_found")
    inlines = (DriftInline,)

    @admin.display(description="Drifts")
    def drifts_found(self, run: ReconciliationRun) -> int:
        return run.drifts.count()


@admin.register(Drift)
class DriftAdmin(BillingAdmin):
    list_display = ("kind", "subject", "organization", "repaired", "created_at")
    list_filter = ("kind", "repaired")
    search_fields = ("subject", "organization__name")
