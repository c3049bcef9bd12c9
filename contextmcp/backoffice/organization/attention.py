"""The problems of an organization that staff should look at first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from accounts.models import OperatorAlert
from billing.models import Adjustment, BillingNotification, Drift, MeterReport, WebhookEvent
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url
from contextmcp.common.clock import now
from contextmcp.common.models import OutgoingEmail
from contextmcp.common.text import words
from entitlements.catalog import CATALOG
from entitlements.types import Kind
from usage.alerts.selectors import active_alerts
from usage.models import WebhookEndpoint

from .details import OrganizationDetails
from .display import Tone

RECENT_DRIFT = timedelta(days=7)
# Statuses of a dispute that the customer's bank has decided.
_CLOSED_DISPUTES = ("won", "lost", "warning_closed")


@dataclass(frozen=True)
class Problem:
    """One problem. `link` leads to its cause on this page or in a list."""

    text: str
    link: str = ""
    tone: Tone = "warning"


def problems(details: OrganizationDetails) -> list[Problem]:
    """Return the problems that the user may view, starting with those about billing."""
    checks = {
        "billing.view_subscriptionstate": _subscription,
        "billing.view_meterreport": _meter_reports,
        "billing.view_adjustment": _disputes,
        "billing.view_drift": _drift,
        "billing.view_webhookevent": _events,
        "accounts.view_operatoralert": _operator_alerts,
        "usage.view_usagecounter": _limits,
        "usage.view_usagealert": _spikes,
        "usage.view_webhookendpoint": _endpoints,
        "common.view_outgoingemail": _emails,
        "billing.view_billingnotification": _notifications,
    }
    return [problem for permission, check in checks.items() if details.may(permission) for problem in check(details)]


def _subscription(details: OrganizationDetails) -> Iterator[Problem]:
    here = "#subscription"
    live = [state for state in details.subscriptions if state.is_live and state.status != "incomplete"]
    for state in live:
        if state.past_due_since:
            end = f" Access ends {moment(state.grace_until)}." if state.grace_until else ""
            yield Problem(f"A payment has been overdue since {moment(state.past_due_since)}.{end}", here, "danger")
        if state.collection_paused:
            yield Problem(f"Payment collection is paused ({words(state.collection_paused)}).", here)
        if state.plan_version_id is None:
            yield Problem(f"The price {state.stripe_price_id} of {state.stripe_subscription_id} belongs to no plan.", here, "danger")
    if len(live) > 1:
        yield Problem(f"There are {len(live)} live subscriptions. The customer may be charged twice.", here, "danger")
    if details.may("billing.view_billingaccount") and any(each.differs for each in details.comparisons):
        yield Problem("The local subscription differs from Stripe.", here, "danger")


def _meter_reports(details: OrganizationDetails) -> Iterator[Problem]:
    dead = MeterReport.objects.filter(organization=details.organization, state=MeterReport.State.DEAD).first()
    if dead is not None:
        link = list_url("billing.meterreport", organization__id__exact=details.organization.pk, state__exact="dead")
        yield Problem(f"Stripe rejected a report of {dead.units:,} units of overage: {dead.error}", link, "danger")


def _disputes(details: OrganizationDetails) -> Iterator[Problem]:
    disputes = Adjustment.objects.filter(organization=details.organization, kind=Adjustment.Kind.DISPUTE)
    for dispute in disputes.exclude(status__in=_CLOSED_DISPUTES)[:3]:
        yield Problem(
            f"A payment is disputed: {words(dispute.reason) or 'no reason given'} ({words(dispute.status)}).", "#adjustments", "danger"
        )


def _drift(details: OrganizationDetails) -> Iterator[Problem]:
    drifts = Drift.objects.filter(organization=details.organization, repaired=False, created_at__gt=now() - RECENT_DRIFT)
    if (drift := drifts.first()) is not None:
        link = list_url("billing.drift", organization__id__exact=details.organization.pk)
        yield Problem(f"Reconciliation found a difference from Stripe that is not repaired: {words(drift.kind)}.", link)


def _events(details: OrganizationDetails) -> Iterator[Problem]:
    customer_id = details.account.stripe_customer_id if details.account else None
    if customer_id and WebhookEvent.objects.dead().filter(subject=customer_id).exists():
        link = list_url("billing.webhookevent", q=customer_id, state__exact="dead")
        yield Problem("Stripe events of this customer could not be processed.", link, "danger")


def _operator_alerts(details: OrganizationDetails) -> Iterator[Problem]:
    alerts = OperatorAlert.objects.filter(organization=details.organization, resolved_at=None)
    for alert in alerts[:3]:
        yield Problem(f"Operator alert: {words(alert.code)}.", list_url("accounts.operatoralert"))


def _limits(details: OrganizationDetails) -> Iterator[Problem]:
    for usage in details.usage:
        if usage.used is None or usage.included is None:
            continue
        title = CATALOG.feature_title(usage.feature)
        if usage.kind is Kind.GAUGE and usage.used > usage.included:
            yield Problem(f"{title}: {usage.used:,} in use, but the limit is {usage.included:,}.", "#limits")
        elif usage.kind is Kind.QUOTA and usage.used >= usage.included > 0:
            yield Problem(f"{title}: the quota of {usage.included:,} is used up until {moment(usage.resets_at)}.", "#limits")
    if details.entitlements.lapsed_plan:
        yield Problem(f"The plan {details.entitlements.lapsed_plan} ended because a payment failed.", "#plan", "danger")


def _spikes(details: OrganizationDetails) -> Iterator[Problem]:
    for alert in active_alerts(details.organization).spikes[:1]:
        yield Problem(f"{CATALOG.feature_title(alert.feature)}: unusually high usage, {alert.used:,} in one hour.", "#alerts")


def _endpoints(details: OrganizationDetails) -> Iterator[Problem]:
    for endpoint in WebhookEndpoint.objects.filter(organization=details.organization).order_by("-created_at")[:20]:
        if not endpoint.enabled and endpoint.disabled_reason:
            yield Problem(f"The webhook endpoint {endpoint.url} was disabled: {endpoint.disabled_reason}", "#webhooks")
        elif endpoint.enabled and endpoint.failing_since:
            yield Problem(f"The webhook endpoint {endpoint.url} has been failing since {moment(endpoint.failing_since)}.", "#webhooks")


def _emails(details: OrganizationDetails) -> Iterator[Problem]:
    failed = OutgoingEmail.objects.filter(organization_id=details.organization.pk, state=OutgoingEmail.State.FAILED)
    email = failed.defer("text", "html").order_by("-created_at", "-id").first()
    if email is not None:
        to = ", ".join(email.recipients)
        yield Problem(f"The email “{email.subject}” to {to} could not be delivered: {email.last_error}", "#emails")


def _notifications(details: OrganizationDetails) -> Iterator[Problem]:
    waiting = BillingNotification.objects.filter(organization=details.organization, sent_at=None, canceled_at=None)
    if (notification := waiting.exclude(error="").first()) is not None:
        yield Problem(f"The billing email “{words(notification.kind)}” could not be sent: {notification.error}", "#emails")
