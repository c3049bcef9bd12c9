"""Admin action that migrates subscribers to the latest version of their plan. It shows a preview and queues the migrations."""

from collections import defaultdict
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from accounts.authentication import staff
from contextmcp.common.admin_base import confirmed_batch_action
from contextmcp.common.money import format_amount

from .models import SubscriptionState
from .subscriptions import plan_migration


def _context(states: list[SubscriptionState]) -> dict[str, Any]:
    return {"groups": _groups(_migrations(states))}


@confirmed_batch_action(
    "Move to the latest plan version",
    permission="billing.operate_billing",
    effect="Nothing is charged or credited for the current period. The new price applies from the next period. "
    "Subscribers are moved one by one in the background.",
    max_rows=None,
    template="billing/admin/move.html",
    context=_context,
)
def move(self: Any, request: HttpRequest, states: list[SubscriptionState], reason: str) -> None:
    """Queue the migrations of the selected subscribers, whose changes the confirmation page shows."""
    count = plan_migration.enqueue_migrations(_migrations(states), staff(request), reason)
    messages.success(request, f"{count} of {len(states)} subscriptions queued. See Billing actions for progress.")


def _migrations(states: list[SubscriptionState]) -> list[plan_migration.PlanMigration]:
    by_plan: dict[str, list[Any]] = defaultdict(list)
    for state in states:
        if state.plan and state.is_live:
            by_plan[state.plan].append(state.organization)
    return [
        move
        for plan, organizations in sorted(by_plan.items())
        for move in plan_migration.preview_migrations(plan, organizations=organizations)
    ]


def _groups(migrations: list[plan_migration.PlanMigration]) -> list[dict[str, Any]]:
    """Return the migrations grouped by identical changes, for the confirmation page."""
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in migrations:
        state, price = each.state, each.price
        key = (state.plan_version_id, price.pk, each.amounts, state.currency, each.refused)
        group = groups.setdefault(
            key,
            {
                "before": state.plan_version,
                "after": price.plan_version,
                "old_amount": "unknown" if (now := each.amounts[0]) is None else format_amount(now, state.currency),
                "new_amount": format_amount(each.amounts[1], price.currency),
                "interval": state.interval,
                "differences": each.differences,
                "refused": each.refused,
                "organizations": [],
            },
        )
        group["organizations"].append(each.organization)
    return list(groups.values())
