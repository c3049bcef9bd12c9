"""Resolving grants and overrides to entitlements, case by case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from entitlements.catalog import CATALOG
from entitlements.catalog_schema import FeatureValue
from entitlements.errors import FeatureNotAvailable, PaymentRequired, PlanInactive, UnknownFeature
from entitlements.resolve import GrantInput, OverrideInput, PlanCatalog, Subject, resolve
from entitlements.types import Kind, Source
from tests.support.properties import given, settings, st

FREE, PRO, ENTERPRISE = CATALOG.plans
OFFER = PlanCatalog(CATALOG.features, CATALOG.plans)
START = datetime(2026, 1, 1, tzinfo=UTC)
HOLDER = Subject(UUID(int=7), START)
DAY = timedelta(days=1)


def grant(plan=PRO, begins=0, ends=None, source=Source.SUBSCRIPTION, **more):
    starts_at = START + begins * DAY
    return GrantInput(plan, source, starts_at, None if ends is None else START + ends * DAY, more.pop("anchor", starts_at), **more)


def at(day, grants=(), overrides=(), holder=HOLDER, offer=OFFER):
    return resolve(holder, grants, overrides, START + day * DAY, offer)


def test_without_a_grant_months_start_at_creation():
    result = at(3)
    assert (result.plan, result.source, result.anchor, result.changes_at) == ("free", Source.FREE, START, None)
    assert result.features["sessions"].limit == 50
    assert result.features["sessions"].period(START + 40 * DAY).start == datetime(2026, 2, 1, tzinfo=UTC)
    assert set(result.features) == {feature.name for feature in CATALOG.features}


def test_a_grant_includes_its_start_and_excludes_its_end():
    held = [grant(begins=2, ends=5, anchor=START + DAY)]
    assert [at(day, held).plan for day in (1, 2, 4, 5)] == ["free", "pro", "pro", "free"]
    assert at(2, held).anchor == START + DAY
    assert [at(day, held).changes_at for day in (1, 2, 5)] == [START + 2 * DAY, START + 5 * DAY, None]


def test_precedence_is_plan_then_source_then_start_then_creation():
    held = [grant(ENTERPRISE, ends=5, source=Source.GIFT), grant(PRO, begins=1)]
    assert (at(2, held).plan, at(2, held).source) == ("enterprise", Source.GIFT)
    assert (at(6, held).plan, at(6, held).source) == ("pro", Source.SUBSCRIPTION)
    beside = [grant(begins=1, source=Source.STAFF), grant(begins=0)]
    assert at(2, beside).source is Source.SUBSCRIPTION
    twice = [grant(begins=1, source=Source.STAFF), grant(begins=0, source=Source.GIFT)]
    assert at(2, twice).source is Source.STAFF
    equal = [grant(id=2, source=Source.GIFT), grant(id=1, source=Source.STAFF)]
    assert at(2, equal).source is Source.GIFT


def test_a_grant_keeps_its_version():
    older = msgspec.structs.replace(
        PRO, features={**PRO.features, "sessions": FeatureValue(Kind.QUOTA, 777), "retired": FeatureValue(Kind.GAUGE, 3)}
    )
    result = at(1, [grant(older)])
    assert result.features["sessions"].limit == 777
    assert result.features["retired"].limit == 3
    assert result.require("retired").failure_mode == "fail_closed"


def test_a_plan_no_longer_sold_precedes_the_free_plan():
    gone = msgspec.structs.replace(PRO, name="gone")
    assert at(1, [grant(gone)]).plan == "gone"


def test_unavailable_features_name_the_plan_that_has_them():
    for feature in ("git_webhooks", "git_integration"):
        with pytest.raises(FeatureNotAvailable) as refusal:
            at(1).require(feature)
        assert refusal.value.details["available_in"] == "pro"
        assert refusal.value.details["upgrade_url"].endswith("/pricing/")
    with pytest.raises(FeatureNotAvailable) as refusal:
        at(1, [grant(PRO)]).require("white_label")
    assert refusal.value.details | {"upgrade_url": ""} == {
        "feature": "white_label",
        "plan": "pro",
        "available_in": "enterprise",
        "upgrade_url": "",
    }


def test_unknown_feature_differs_from_one_that_is_not_included():
    with pytest.raises(UnknownFeature):
        at(1).require("teleportation")


def test_a_closed_organization_has_no_plan():
    with pytest.raises(PlanInactive):
        at(1, [grant()], holder=replace(HOLDER, active=False)).require("sessions")


def test_lapsed_features_have_their_own_error():
    held = [grant(ends=5, lapsed=True)]
    assert at(4, held).require("git_integration").enabled
    with pytest.raises(PaymentRequired) as refusal:
        at(5, held).require("git_integration")
    assert refusal.value.details["plan"] == "pro"
    assert at(5, held).lapsed_plan == "pro"
    with pytest.raises(FeatureNotAvailable):
        at(5, held).require("white_label")
    assert at(5, held).require("sessions").limit == 50


def test_a_new_plan_replaces_lapsed_features():
    held = [grant(ENTERPRISE, ends=5, lapsed=True), grant(PRO, begins=6)]
    assert at(7, held).require("git_integration").enabled
    with pytest.raises(PaymentRequired):
        at(7, held).require("white_label")


def test_an_override_applies_until_its_end():
    given_now = [OverrideInput("sessions", 5, START + 3 * DAY), OverrideInput("white_label", True, None)]
    assert at(1, [grant()], given_now).features["sessions"].limit == 5
    assert at(1, [grant()], given_now).changes_at == START + 3 * DAY
    assert at(3, [grant()], given_now).features["sessions"].limit == 1000
    assert at(9, [], given_now).require("white_label").overridden


def test_an_override_can_remove_a_feature_or_its_limit():
    assert not at(1, [grant()], [OverrideInput("sessions", 0, None)]).features["sessions"].enabled
    assert not at(1, [grant()], [OverrideInput("git_integration", False, None)]).features["git_integration"].enabled
    lifted = at(1, [grant()], [OverrideInput("sessions", None, None)]).require("sessions")
    assert (lifted.limit, lifted.overage_unit_amount) == (None, None)


def test_an_override_of_another_kind_is_ignored():
    result = at(1, [], [OverrideInput("sessions", True, None)]).features["sessions"]
    assert (result.limit, result.overridden) == (50, False)


def test_overage_needs_a_subscription_to_be_invoiced_with():
    assert at(1, [grant()]).require("sessions").overage_unit_amount == 2
    assert at(1, [grant()]).require("sessions").overage_currency == "usd"
    assert at(1, [grant(source=Source.GIFT)]).require("sessions").overage_unit_amount is None


def test_the_etag_depends_only_on_the_entitlements():
    held = [grant(ends=9)]
    assert at(1, held).etag == at(2, held).etag
    assert at(9, held).etag == at(1).etag
    others = [at(1), at(1, [grant(ends=8)]), at(1, held, [OverrideInput("projects", 3, None)])]
    assert len({at(1, held).etag, *(one.etag for one in others)}) == 4


DAYS = st.integers(0, 30)
GRANTS = st.lists(
    st.builds(
        lambda plan, begins, length, source, lapsed, number: grant(
            plan, begins, None if length is None else begins + length, source, lapsed=lapsed, id=number
        ),
        st.sampled_from([PRO, ENTERPRISE]),
        DAYS,
        st.none() | DAYS,
        st.sampled_from([source for source in Source if source is not Source.FREE]),
        st.booleans(),
        st.integers(1, 9),
    ),
    max_size=5,
)
OVERRIDES = st.lists(
    st.builds(
        lambda feature, value, until, number: OverrideInput(feature, value, None if until is None else START + until * DAY, number),
        st.sampled_from(["sessions", "projects", "white_label"]),
        st.none() | st.booleans() | st.integers(0, 5),
        st.none() | DAYS,
        st.integers(1, 99),
    ),
    max_size=4,
)


@settings(max_examples=300)
@given(GRANTS, OVERRIDES, st.integers(0, 70))
def test_result_is_valid_exactly_until_its_expiry(grants, overrides, half_day):
    now = START + half_day * DAY / 2
    result = resolve(HOLDER, grants, overrides, now, OFFER)
    later = [START + half * DAY / 2 for half in range(half_day, 140)]
    for moment in later:
        if not result.holds_at(moment):
            break
        assert replace(resolve(HOLDER, grants, overrides, moment, OFFER), since=now) == result
    assert result.changes_at is None or result.changes_at > now


@settings(max_examples=200)
@given(GRANTS, OVERRIDES, DAYS, st.randoms())
def test_the_order_of_grants_does_not_matter(grants, overrides, day, random):
    grants = [replace(one, id=number) for number, one in enumerate(grants)]
    overrides = [replace(one, id=number) for number, one in enumerate(overrides)]
    result = at(day, grants, overrides)
    random.shuffle(grants)
    random.shuffle(overrides)
    assert at(day, grants, overrides) == result


@given(GRANTS, DAYS)
def test_without_a_grant_the_free_plan_applies(grants, day):
    result = at(day, grants)
    active = [one for one in grants if one.holds(START + day * DAY)]
    assert (result.source is Source.FREE) == (not active)
    for name, term in FREE.features.items():
        limit = result.features[name].limit
        assert limit is None or limit >= (term.value if term.kind is not Kind.BOOLEAN else 0)


@given(GRANTS, DAYS, st.sampled_from([PRO, ENTERPRISE]))
def test_an_additional_grant_removes_nothing(grants, day, plan):
    fewer, more = at(day, grants), at(day, [*grants, grant(plan, id=99)])
    for name, one in fewer.features.items():
        assert more.features[name].enabled >= one.enabled
        assert more.features[name].limit is None or (one.limit is not None and more.features[name].limit >= one.limit)
