"""Rows of grants and overrides: added, ended, replaced, never deleted."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from accounts.models import AuditEvent
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict, ValidationFailed
from entitlements.errors import AlreadyEnded, UnknownFeature, UnknownPlan
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant, ImmutableRow, Override, PlanVersion
from entitlements.types import GrantSpec, Source
from tests.factories.entitlements import GrantFactory, OverrideFactory, PlanVersionFactory

DAY = timedelta(days=1)


@pytest.fixture
def manager(acme):
    return EntitlementsManager(acme)


def test_a_given_plan_holds_at_once_and_ends_at_once(manager, acme):
    grant = manager.grant("pro", reason="A friend of the house", actor=acme.members.get())
    assert manager.entitlements().plan == "pro"
    assert manager.require("git_integration").enabled
    manager.end_grant(grant, reason="Not any more")
    assert manager.entitlements().plan == "free"
    assert [grant.pk for grant in manager.grants()] == [grant.pk]
    assert grant.created_by == acme.members.get()
    told = list(AuditEvent.objects.filter(organization=acme, action__startswith="grant.").order_by("id").values_list("action", "reason"))
    assert told == [("grant.created", "A friend of the house"), ("grant.ended", "Not any more")]


def test_a_closed_organization_is_given_nothing(manager, acme):
    manager.grant("pro", reason="x")
    acme.closed_at = now(acme)
    acme.save()
    with pytest.raises(Conflict):
        manager.grant("enterprise", reason="x")
    with pytest.raises(Conflict):
        manager.override("sessions", 7, reason="x")
    manager.end_grant(Grant.objects.get(), reason="It is closed")
    assert not manager.replace_grants(Source.SUBSCRIPTION, [])


def test_what_has_ended_cannot_end_again(manager):
    grant = manager.grant("pro", reason="x")
    manager.end_grant(grant)
    with pytest.raises(AlreadyEnded):
        manager.end_grant(grant)


def test_a_grant_can_end_later(manager, acme):
    later = now(acme) + 3 * DAY
    grant = manager.end_grant(manager.grant("pro", reason="x"), at=later)
    assert grant.ends_at == later
    assert manager.entitlements().changes_at == later


def test_one_that_has_not_begun_never_does(manager, acme):
    grant = manager.grant("pro", reason="x", starts_at=now(acme) + DAY)
    assert manager.entitlements().plan == "free"
    manager.end_grant(grant)
    assert grant.ends_at == grant.starts_at
    assert manager.entitlements().changes_at is None


@pytest.mark.parametrize("source", [Source.GIFT, Source.STAFF])
def test_a_present_needs_a_reason(manager, source):
    with pytest.raises(ValidationFailed):
        manager.grant("pro", source, reason="  ")
    assert not Grant.objects.exists()


def test_a_grant_ends_after_it_starts(manager, acme):
    with pytest.raises(ValidationFailed):
        manager.grant("pro", Source.TRIAL, ends_at=now(acme) - DAY)


def test_there_is_no_such_plan_or_version(manager):
    with pytest.raises(UnknownPlan):
        manager.grant("platinum", reason="x")
    with pytest.raises(UnknownPlan):
        manager.version("pro", 9)


def test_a_version_can_be_given_that_is_not_the_newest(manager):
    first = manager.version("pro")
    PlanVersionFactory()
    assert manager.version("pro").version == 2
    assert manager.grant(first, reason="x").plan_version == first
    assert manager.entitlements().plan_version == 1
    assert list(manager.subscribers_of(first)) == []
    assert list(manager.subscribers_of(first, source=None)) == [manager.organization]


class TestWanted:
    """`replace_grants`, by which billing states the grants that should exist."""

    def replace(self, manager, *wanted):
        return manager.replace_grants("subscription", wanted)

    def test_repeating_it_changes_nothing(self, manager, acme):
        begun = now(acme) - DAY
        spec = GrantSpec("pro", reference="sub-1", starts_at=begun, anchor=begun, reason="trialing")
        first = self.replace(manager, spec)
        events = AuditEvent.objects.count()
        assert self.replace(manager, spec) == first
        assert AuditEvent.objects.count() == events
        assert Grant.objects.count() == 1
        assert list(manager.subscribers_of(manager.version("pro"))) == [acme]

    def test_other_sources_are_left_alone(self, manager):
        gift = manager.grant("enterprise", Source.GIFT, reason="x")
        self.replace(manager, GrantSpec("pro", reference="sub-1"))
        self.replace(manager)
        gift.refresh_from_db()
        assert gift.ends_at is None
        assert Grant.objects.active(at=now(manager.organization)).get() == gift

    def test_what_is_wanted_differently_is_adjusted_in_place(self, manager, acme):
        [first] = self.replace(manager, GrantSpec("pro", reference="sub-1", reason="active"))
        grace = now(acme) + 7 * DAY
        [second] = self.replace(manager, GrantSpec("pro", reference="sub-1", ends_at=grace, reason="past_due", lapsed=True))
        assert (second.pk, second.ends_at, second.lapsed, second.reason) == (first.pk, grace, True, "past_due")
        [third] = self.replace(manager, GrantSpec("pro", reference="sub-1", reason="active"))
        assert (third.pk, third.ends_at, third.lapsed) == (first.pk, None, False)

    def test_a_change_of_plan_ends_one_and_begins_the_other(self, manager, acme):
        anchor = now(acme) - DAY
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=anchor, anchor=anchor))
        # Billing names the start of the subscription, which was Pro's.
        self.replace(manager, GrantSpec("enterprise", reference="sub-1", starts_at=anchor, anchor=anchor))
        pro, enterprise = Grant.objects.order_by("id")
        assert pro.ends_at is not None
        assert enterprise.ends_at is None
        assert enterprise.starts_at >= pro.ends_at
        assert manager.entitlements().anchor == anchor

    def test_a_former_plan_is_over_when_what_it_stood_for_was(self, manager, acme):
        """The plan changed and the subscription ended, and both events arrived later."""
        ended = now(acme) - DAY
        self.replace(manager, GrantSpec("enterprise", reference="sub-1", starts_at=now(acme) - 9 * DAY))
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY, ends_at=ended))
        assert Grant.objects.get().ends_at == ended

    def test_one_that_ended_is_not_drawn_out(self, manager, acme):
        """Paused first and canceled later: there was no access in between."""
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY, ends_at=now(acme) + DAY))
        Grant.objects.update(ends_at=now(acme) - 5 * DAY)
        before = Grant.objects.get().ends_at
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY, ends_at=now(acme) - DAY))
        assert Grant.objects.get().ends_at == before

    def test_one_that_ended_is_not_opened_again(self, manager, acme):
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY))
        self.replace(manager)
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY))
        former, present = Grant.objects.order_by("id")
        assert present.starts_at >= former.ends_at
        assert manager.entitlements().plan == "pro"

    def test_unpaid_invoice_is_shown_until_it_is_paid_or_voided(self, manager, acme):
        ended = GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY, ends_at=now(acme) - DAY, lapsed=True)
        [row] = self.replace(manager, ended)
        assert manager.entitlements().lapsed_plan == "pro"
        assert self.replace(manager, ended) == [row]
        assert Grant.objects.count() == 1
        self.replace(manager)
        assert manager.entitlements().lapsed_plan is None
        row.refresh_from_db()
        assert (row.ends_at, row.lapsed) == (ended.ends_at, False)
        self.replace(manager)

    def test_what_is_over_and_was_never_seen_leaves_no_row(self, manager, acme):
        assert self.replace(manager, GrantSpec("pro", reference="sub-1", ends_at=now(acme) - DAY)) == []

    def test_two_of_a_kind_are_two(self, manager):
        self.replace(manager, GrantSpec("pro", reference="sub-1"), GrantSpec("pro", reference="sub-2"))
        self.replace(manager, GrantSpec("pro", reference="sub-2"))
        assert [grant.reference for grant in Grant.objects.current_or_future(at=now(manager.organization))] == ["sub-2"]


class TestOverrides:
    def test_it_makes_one_feature_different_until_it_ends(self, manager):
        override = manager.override("sessions", 5, reason="A promise", actor=manager.organization.members.get())
        assert manager.require("sessions").limit == 5
        manager.end_override(override)
        assert manager.require("sessions").limit == 50
        with pytest.raises(AlreadyEnded):
            manager.end_override(override)

    def test_a_new_one_takes_the_place_of_the_old(self, manager):
        manager.override("sessions", 5, reason="x")
        manager.override("sessions", None, reason="y")
        assert manager.require("sessions").limit is None
        assert Override.objects.filter(ended_at=None).count() == 1
        assert AuditEvent.objects.filter(action="override.created").latest("id").before == {"value": 5}

    def test_it_ends_by_itself(self, manager, acme):
        manager.override("sessions", 5, reason="x", ends_at=now(acme) + DAY)
        assert manager.require("sessions").limit == 5
        acme.clock_offset = 2 * DAY
        assert manager.require("sessions").limit == 50

    @pytest.mark.parametrize(
        ("value", "reason", "days", "field"),
        [(True, "x", 1, "value"), ("9", "x", 1, "value"), (-1, "x", 1, "value"), (5, " ", 1, "reason"), (5, "x", -1, "ends_at")],
    )
    def test_it_must_make_sense(self, manager, acme, value, reason, days, field):
        with pytest.raises(ValidationFailed) as refusal:
            manager.override("sessions", value, reason=reason, ends_at=now(acme) + days * DAY)
        assert [error["field"] for error in refusal.value.details["errors"]] == [field]

    def test_there_must_be_such_a_feature(self, manager):
        with pytest.raises(UnknownFeature):
            manager.override("teleportation", True, reason="x")


class TestHistoryStays:
    def test_a_published_version_is_never_changed_nor_deleted(self, db):
        version = PlanVersionFactory()
        version.document = {}
        for act in (version.save, version.delete, PlanVersion.objects.all().delete):
            with pytest.raises(ImmutableRow):
                act()
        for act in (lambda: PlanVersion.objects.update(version=3), lambda: PlanVersion.objects.all()._raw_delete("default")):
            with pytest.raises(DatabaseError), transaction.atomic():
                act()

    def test_grants_and_overrides_are_not_deleted(self, db):
        for made in (GrantFactory(), OverrideFactory()):
            for act in (made.delete, type(made).objects.all().delete):
                with pytest.raises(ImmutableRow):
                    act()
            with pytest.raises(DatabaseError), transaction.atomic():
                type(made).objects.all()._raw_delete("default")

    def test_what_a_grant_said_stays_said(self, db):
        grant, override = GrantFactory(), OverrideFactory()
        with pytest.raises(DatabaseError), transaction.atomic():
            Grant.objects.update(starts_at=grant.starts_at - DAY)
        with pytest.raises(DatabaseError), transaction.atomic():
            Override.objects.update(value=6)
        assert str(grant) == "pro v1 by subscription"
        assert str(override) == "sessions = 5"

    @pytest.mark.parametrize(
        "wrong",
        [{"ends_at": "2000-01-01T00:00Z"}, {"source": "theft"}, {"source": "gift", "reason": ""}],
        ids=["order", "source", "reason"],
    )
    def test_the_database_knows_what_makes_a_grant(self, db, wrong):
        with pytest.raises(IntegrityError), transaction.atomic():
            GrantFactory(**wrong)

    def test_an_open_grant_stands_once(self, acme):
        GrantFactory(organization=acme, reference="sub-1")
        with pytest.raises(IntegrityError), transaction.atomic():
            GrantFactory(organization=acme, reference="sub-1")

    def test_an_override_needs_a_reason_and_stands_once(self, acme):
        OverrideFactory(organization=acme)
        with pytest.raises(IntegrityError), transaction.atomic():
            OverrideFactory(organization=acme)
        with pytest.raises(IntegrityError), transaction.atomic():
            OverrideFactory(organization=acme, feature="projects", reason="")
