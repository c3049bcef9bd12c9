"""Which grant determines the plan, and why the others do not."""

from datetime import UTC, datetime, timedelta

import pytest

from contextmcp.common.clock import now
from entitlements.catalog import CATALOG, current
from entitlements.explanation import Effect, explain_grants, explained_grants
from entitlements.manager import EntitlementsManager
from entitlements.resolve import GrantInput, PlanCatalog
from entitlements.types import GrantSpec, Source

NOW = datetime(2026, 11, 28, tzinfo=UTC)
DAY = timedelta(days=1)
OFFER = PlanCatalog(CATALOG.features, CATALOG.plans)


def grant(number, plan="pro", source=Source.GIFT, starts=-10, ends=None, lapsed=False):
    until = None if ends is None else NOW + ends * DAY
    return GrantInput(current(plan), source, NOW + starts * DAY, until, NOW, lapsed, number)


def effects(*grants):
    return explain_grants(grants, NOW, OFFER)


def test_the_highest_plan_applies():
    assert effects(grant(1, "pro"), grant(2, "enterprise")) == {1: Effect.LOWER_PLAN, 2: Effect.APPLIES}


def test_a_subscription_precedes_a_gift_of_the_same_plan():
    assert effects(grant(1, source=Source.SUBSCRIPTION), grant(2, starts=-1)) == {1: Effect.APPLIES, 2: Effect.BEHIND_SUBSCRIPTION}


def test_the_later_of_equal_grants_applies():
    assert effects(grant(1), grant(2, starts=-1)) == {1: Effect.STARTED_EARLIER, 2: Effect.APPLIES}


def test_ended_lapsed_future_and_empty_grants_have_no_effect():
    grants = (grant(1, ends=-1), grant(2, ends=-1, lapsed=True), grant(3, starts=1), grant(4, starts=1, ends=1))
    assert effects(*grants) == {1: Effect.ENDED, 2: Effect.LAPSED, 3: Effect.STARTS_LATER, 4: Effect.ENDED}


@pytest.mark.django_db
def test_the_explained_winner_is_the_plan_in_effect(acme, owner):
    manager = EntitlementsManager(acme)
    manager.replace_grants("subscription", [GrantSpec("pro", reference="sub_1")])
    ended = manager.end_grant(manager.grant("enterprise", "gift", reason="A mistake"))
    manager.grant("enterprise", "staff", reason="A promise", starts_at=now() + DAY)
    explained = explained_grants(acme, now())
    assert [(str(each.grant.plan_version.plan), each.effect) for each in explained] == [
        ("pro", Effect.APPLIES),
        ("enterprise", Effect.STARTS_LATER),
    ]
    assert ended.pk not in {each.grant.pk for each in explained}
    assert manager.entitlements().plan == "pro"
