"""Compare the next payment that is announced for each plan with what Stripe then charges."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from billing import amounts
from billing.models import BillingAccount, SubscriptionState
from tests.convergence.history import WAITING, History, Step
from tests.convergence.stripe_fixture import Scenario, Tenant
from tests.support.stripe import DAY


@dataclass(frozen=True)
class Announcement:
    """An amount in minor units and a Unix timestamp; 0 and None if no payment is announced."""

    made_at: int
    amount: int
    due_at: int | None


@dataclass
class Announcements:
    """By subscription. `compared` is the number of compared renewals; `failures` describes the mismatches."""

    compared: int = 0
    failures: list[str] = field(default_factory=list)
    _latest: dict[str, dict[str, Announcement]] = field(default_factory=lambda: defaultdict(dict))

    def follow(self, history: History, step: Step) -> None:
        """Compare the announcement before the actor's step with the result of the step, and store the new announcement."""
        if step.actor is None:
            return
        scenario, tenant = history.scenario, _as_then(history.scenario.tenants[step.actor])
        if step.name in WAITING:
            for subscription, announced in self._latest[tenant.organization_id].items():
                self._compare(scenario, tenant, subscription, announced, step)
        self._latest[tenant.organization_id] = _announced(scenario, tenant)

    def _compare(self, scenario: Scenario, tenant: Tenant, subscription: str, announced: Announcement, step: Step) -> None:
        renewal = _first_renewal(scenario, tenant, subscription, announced.made_at)
        # Another invoice may use up the credit before this one, or before this one is finalized.
        if renewal is None or renewal.starting_balance or _is_undecided(renewal):
            return
        self.compared += 1
        requested = (_amount_due(renewal), renewal.created if _amount_due(renewal) else None)
        if announced.amount != requested[0] or (requested[0] and abs((announced.due_at or 0) - renewal.created) > DAY):
            result = (announced.amount, announced.due_at)
            self.failures.append(
                f"{step.name}: {subscription} of {tenant.organization_id}: announced {result}, asked for {requested} ({renewal.status})"
            )


def _as_then(tenant: Tenant) -> Tenant:
    """Return the tenant with the customer that it had at this step."""
    account = BillingAccount.objects.get(organization_id=tenant.organization_id)
    return replace(tenant, customers=[str(account.stripe_customer_id)])


def _announced(scenario: Scenario, tenant: Tenant) -> dict[str, Announcement]:
    if scenario.deleted(tenant) or scenario.balance(tenant):
        return {}
    result, present = {}, scenario.now(tenant)
    for state in SubscriptionState.objects.filter(organization_id=tenant.organization_id).live():
        payment = amounts.next_payment(state)
        output = (payment.amount, int(payment.at.timestamp())) if payment and payment.amount else (0, None)
        result[state.stripe_subscription_id] = Announcement(present, *output)
    return result


def _first_renewal(scenario: Scenario, tenant: Tenant, subscription: str, since: int) -> Any:
    def is_renewal(invoice: Any) -> bool:
        details = invoice.parent and invoice.parent.subscription_details
        regular = invoice.billing_reason == "subscription_cycle" and invoice.created > since
        return bool(regular and details and details.subscription == subscription)

    return min(filter(is_renewal, scenario.invoices(tenant)), key=lambda invoice: invoice.created, default=None)


def _is_undecided(invoice: Any) -> bool:
    """Return whether the invoice is in the hour before its finalization. Only then does paused collection void it."""
    return bool(invoice.status == "draft" and invoice.auto_advance)


def _amount_due(invoice: Any) -> int:
    """Return the amount that the customer has to pay: zero for an invoice that is held, void or uncollectible without an attempt."""
    held = invoice.status == "draft" and not invoice.auto_advance
    given_up = invoice.status in ("void", "uncollectible") and not invoice.attempted
    return 0 if held or given_up else max(0, int(invoice.amount_due))
