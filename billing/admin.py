"""Admin pages of billing. All rows are read-only. Actions call services and require a permission, a confirmation and a reason."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from accounts.authentication import staff
from accounts.models import Organization
from contextmcp.common.admin_base import ORGANIZATION_PATHS, OrganizationRowsAdmin, ReadOnlyAdmin, confirmed_action
from contextmcp.common.admin_filters import choices_filter, indexed_values_filter
from contextmcp.common.money import format_amount

from . import reconciliation
from .admin_base import INTERVALS, MAX_STRIPE_ROWS, SUBSCRIPTION_STATUSES, RedactedPage
from .admin_documents import day
from .errors import EventWithoutSubject, NoCustomer
from .inbound import process_events
from .models import BillingAccount, Drift, ReconciliationRun, SubscriptionState, WebhookEvent
from .sync.customer import sync_for_staff

_SYNC_EFFECT = "Each customer is fetched from Stripe, and local differences are repaired."
_sync_action = confirmed_action(
    "Sync from Stripe",
    permission="billing.operate_billing",
    effect=_SYNC_EFFECT,
    done=("customer synchronized", "customers synchronized"),
    max_rows=MAX_STRIPE_ROWS,
)


def _sync(self: Any, request: HttpRequest, row: BillingAccount | SubscriptionState, reason: str) -> None:
    if not row.stripe_customer_id:
        raise NoCustomer("This organization has no Stripe customer.")
    result = sync_for_staff(row.stripe_customer_id, row.organization, staff(request), reason)
    messages.info(request, f"{row.stripe_customer_id}: {_count_rows(len(result.changes), 'difference')} repaired.")


def _count_rows(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@admin.register(BillingAccount)
class BillingAccountAdmin(RedactedPage, OrganizationRowsAdmin):
    list_display = ("organization", "stripe_customer_id", "currency", "trial_used_at", "synced_at", "customer_deleted_at")
    search_fields = (*ORGANIZATION_PATHS, "stripe_customer_id")
    actions = ("sync", "reconcile")

    @_sync_action
    def sync(self, request: HttpRequest, account: BillingAccount, reason: str) -> None:
        _sync(self, request, account, reason)

    @confirmed_action(
        "Reconcile with Stripe",
        permission="billing.operate_billing",
        effect="Subscriptions, invoices and metered usage are compared with Stripe. Differences are recorded and repaired.",
        done=("organization compared", "organizations compared"),
        max_rows=MAX_STRIPE_ROWS,
    )
    def reconcile(self, request: HttpRequest, account: BillingAccount, reason: str) -> None:
        run = reconciliation.reconcile(account.organization, actor=staff(request), reason=reason)
        messages.info(request, f"{account.organization}: {_count_rows(run.drifts.count(), 'difference')} found.")


@admin.register(SubscriptionState)
class SubscriptionStateAdmin(RedactedPage, OrganizationRowsAdmin):
    list_display = (
        "organization",
        "plan_version",
        "interval",
        "status_shown",
        "price",
        "current_period_end",
        "cancel_at",
        "grace_until",
    )
    list_filter = (
        choices_filter("status", lambda: SUBSCRIPTION_STATUSES),
        ("collection_paused", admin.EmptyFieldListFilter),
        choices_filter("interval", lambda: INTERVALS),
        "plan_version",
    )
    list_select_related = ("organization", "plan_version")
    search_fields = (*ORGANIZATION_PATHS, "stripe_subscription_id", "stripe_customer_id")
    readonly_fields = ("price", "change")
    actions = ("sync",)

    @admin.display(description="status", ordering="status")
    def status_shown(self, state: SubscriptionState) -> str:
        return f"{state.status}, collection paused" if state.collection_paused else state.status

    @admin.display(description="price", ordering="unit_amount")
    def price(self, state: SubscriptionState) -> str:
        return "" if state.amount is None else format_amount(state.amount, state.currency)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        raw = {"unit_amount": "price", "upcoming_change": "change"}
        names = [field.name for field in SubscriptionState._meta.concrete_fields if not field.primary_key]
        return [raw.get(name, name) for name in names]

    @admin.display(description="upcoming change")
    def change(self, state: SubscriptionState) -> str:
        if not (upcoming := state.upcoming_change):
            return "none"
        price = format_amount(upcoming["amount"], state.currency)
        return f"{upcoming['plan']} v{upcoming['version']}, {price} per {upcoming['interval']}, from {day(upcoming['at'])}"

    @_sync_action
    def sync(self, request: HttpRequest, state: SubscriptionState, reason: str) -> None:
        _sync(self, request, state, reason)


def _event_previews(events: list[WebhookEvent], change: str, only: str = "") -> list[str]:
    """Return the organization and the change of each event. With `only`, events in other states do not change."""
    organizations = process_events.organizations_of(events)
    return [_event_preview(event, organizations.get(event.subject), change, only) for event in events]


def _event_preview(event: WebhookEvent, organization: Organization | None, change: str, only: str) -> str:
    concerned = str(organization or "No organization")
    if only and event.state != only:
        return f"{concerned}: nothing changes, because the event is {event.state}."
    error = f" Last error: {event.error[:200]}" if event.error else ""
    return f"{concerned}: {event.state} after {_count_rows(event.attempts, 'attempt')}, {change}.{error}"


@admin.register(WebhookEvent)
class WebhookEventAdmin(RedactedPage, ReadOnlyAdmin):
    list_display = ("received_at", "type", "customer", "state_shown", "problem", "processed_at")
    list_filter = ("state", "source", indexed_values_filter("type"), "received_at")
    search_fields = ("event_id", "subject", "type")
    fields = (
        "event_id",
        "type",
        "customer",
        "state",
        "error",
        "attempts",
        "source",
        "livemode",
        "created",
        "received_at",
        "processed_at",
        "payload",
    )
    readonly_fields = fields
    actions = ("replay", "discard")

    @admin.display(description="customer", ordering="subject")
    def customer(self, event: WebhookEvent) -> str:
        # The subject can also be the ID of another object that has its own queue. The ID's prefix does not tell, because imported customers
        # have IDs of any form.
        document = event.payload.get("data", {}).get("object", {})
        if not event.subject or (document.get("object") != "customer" and document.get("id") == event.subject):
            return event.subject
        link = '<a class="text-primary-600 dark:text-primary-400 underline" href="{}?q={}">{}</a>'
        return format_html(link, reverse("admin:billing_billingaccount_changelist"), event.subject, event.subject)

    @admin.display(description="state", ordering="state")
    def state_shown(self, event: WebhookEvent) -> str:
        attempts = f" ({_count_rows(event.attempts, 'attempt')})" if event.attempts else ""
        return f"{event.get_state_display()}{attempts}"

    @admin.display(description="error")
    def problem(self, event: WebhookEvent) -> str:
        return event.error[:80]

    @confirmed_action(
        "Replay events",
        permission="billing.replay_webhookevent",
        effect="The events are queued again and processed as if they had just arrived.",
        done=("event queued", "events queued"),
        max_rows=1000,
        preview=lambda events: _event_previews(events, "becomes pending"),
    )
    def replay(self, request: HttpRequest, event: WebhookEvent, reason: str) -> None:
        if not process_events.replay_events([event], staff(request), reason):
            raise EventWithoutSubject

    @confirmed_action(
        "Discard dead events",
        permission="billing.discard_webhookevent",
        effect=(
            "These events will not be processed. They are removed from the work queue and no longer count as problems. Data that "
            "differs from Stripe is corrected by the customer's next event, a sync or the nightly reconciliation. You can replay a "
            "discarded event."
        ),
        done=("event discarded", "events discarded"),
        preview=lambda events: _event_previews(events, "becomes discarded", only=WebhookEvent.State.DEAD),
    )
    def discard(self, request: HttpRequest, event: WebhookEvent, reason: str) -> None:
        process_events.discard_event(event, staff(request), reason)


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    allowed_changes = ("add",)
    list_display = (
        "started_at",
        "finished_at",
        "organization",
        "dry_run",
        "customers_compared",
        "missed_events",
        "drifts_found",
        "created_by",
    )
    list_select_related = ("organization", "created_by")
    readonly_fields = ("drifts_found",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        names = [field.name for field in ReconciliationRun._meta.concrete_fields if not field.primary_key]
        return [*names, "drifts_found"]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Open the page that compares all organizations, with its confirmation."""
        if not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)  # type: ignore[no-any-return]
        return HttpResponseRedirect(reverse("backoffice:system-action", args=["reconcile-all"]))

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReconciliationRun]:
        # The subquery counts the differences only for the runs on the page. With a join, Postgres would count the differences of all runs.
        drifts = Drift.objects.order_by().filter(run=OuterRef("pk")).values("run").annotate(number=Count("pk")).values("number")
        return super().get_queryset(request).annotate(drift_count=Subquery(drifts))  # type: ignore[no-any-return]

    @admin.display(description="differences")
    def drifts_found(self, run: ReconciliationRun) -> str:
        address = reverse("admin:billing_drift_changelist")
        return format_html('<a href="{}?run__id__exact={}">{}</a>', address, run.pk, run.drift_count or 0)  # type: ignore[attr-defined]


@admin.register(Drift)
class DriftAdmin(RedactedPage, ReadOnlyAdmin):
    list_display = ("kind", "subject", "organization", "repaired", "created_at", "run")
    list_filter = (indexed_values_filter("kind"), "repaired")
    list_select_related = ("organization", "run")
    search_fields = ("subject", *ORGANIZATION_PATHS)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "run__id__exact" or super().lookup_allowed(lookup, value, request)
