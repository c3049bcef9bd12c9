"""Explain which grant determines an organization's plan, and why the others do not. Pure, except for `explained_grants`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Q

from accounts.models import Organization

from .models import Grant
from .resolve import GrantInput, PlanCatalog, grant_in_effect
from .selectors import plan_catalog
from .types import Source


class Effect(StrEnum):
    """Whether a grant determines the plan, and if not, why."""

    APPLIES = "applies"
    LOWER_PLAN = "lower_plan"  # another grant gives a higher plan
    BEHIND_SUBSCRIPTION = "behind_subscription"  # a subscription gives the same plan and precedes other sources
    STARTED_EARLIER = "started_earlier"  # a grant of the same plan and kind of source started later
    STARTS_LATER = "starts_later"
    ENDED = "ended"
    LAPSED = "lapsed"  # ended because a payment failed


@dataclass(frozen=True, slots=True)
class ExplainedGrant:
    grant: Grant
    effect: Effect


def explain_grants(grants: Sequence[GrantInput], at: datetime, offer: PlanCatalog) -> dict[int, Effect]:
    """Return the effect of each grant at `at` by the grant's id."""
    winner = grant_in_effect(grants, at, offer)
    return {grant.id: _effect(grant, winner, at, offer) for grant in grants}


def _effect(grant: GrantInput, winner: GrantInput | None, at: datetime, offer: PlanCatalog) -> Effect:
    if grant.starts_at > at and grant.starts_at != grant.ends_at:
        return Effect.STARTS_LATER
    if winner is None or not grant.holds(at):
        return Effect.LAPSED if grant.lapsed else Effect.ENDED
    if grant is winner:
        return Effect.APPLIES
    if offer.rank(grant.plan) < offer.rank(winner.plan):
        return Effect.LOWER_PLAN
    if winner.source is Source.SUBSCRIPTION and grant.source is not Source.SUBSCRIPTION:
        return Effect.BEHIND_SUBSCRIPTION
    return Effect.STARTED_EARLIER


def explained_grants(organization: Organization, at: datetime) -> list[ExplainedGrant]:
    """Return the active, future and lapsed grants at `at` with their effects. The grant that determines the plan is first."""
    relevant = Q(ends_at=None) | Q(ends_at__gt=at) | Q(lapsed=True)
    rows = list(Grant.objects.filter(relevant, organization=organization).select_related("plan_version", "created_by"))
    effects = explain_grants([_input(row) for row in rows], at, plan_catalog())
    order = list(Effect)
    return sorted((ExplainedGrant(row, effects[row.pk]) for row in rows), key=lambda each: order.index(each.effect))


def _input(row: Grant) -> GrantInput:
    source = Source(row.source)
    return GrantInput(row.plan_version.terms, source, row.starts_at, row.ends_at, row.anchor, row.lapsed, row.pk)
