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


def test_a_grant_starts_and_ends_immediately(manager, acme):
    grant = manager.grant("pro", reason="A friend of the house", actor=acme.members.get())
    assert manager.entitlements().plan == "pro"
    assert manager.require("git_integration").enabled
    manager.end_grant(grant, reason="Not any more")
    assert manager.entitlements().plan == "free"
    assert [grant.pk for grant in manager.grants()] == [grant.pk]
    assert grant.created_by == acme.members.get()
    messages = list(
        AuditEvent.objects.filter(organization=acme, action__startswith="grant.").order_by("id").values_list("action", "reason")
    )
    assert messages == [("grant.created", "A friend of the house"), ("grant.ended", "Not any more")]


def test_a_closed_organization_gets_no_grants(manager, acme):
    manager.grant("pro", reason="x")
    acme.closed_at = now(acme)
    acme.save()
    with pytest.raises(Conflict):
        manager.grant("enterprise", reason="x")
    with pytest.raises(Conflict):
        manager.override("sessions", 7, reason="x")
    manager.end_grant(Grant.objects.get(), reason="It is closed")
    assert not manager.replace_grants(Source.SUBSCRIPTION, [])


def test_an_ended_grant_cannot_be_ended_again(manager):
    grant = manager.grant("pro", reason="x")
    manager.end_grant(grant)
    with pytest.raises(AlreadyEnded):
        manager.end_grant(grant)


def test_a_grant_can_end_later(manager, acme):
    later = now(acme) + 3 * DAY
    grant = manager.end_grant(manager.grant("pro", reason="x"), at=later)
    assert grant.ends_at == later
    assert manager.entitlements().changes_at == later


def test_a_future_grant_can_be_ended_before_its_start(manager, acme):
    grant = manager.grant("pro", reason="x", starts_at=now(acme) + DAY)
    assert manager.entitlements().plan == "free"
    manager.end_grant(grant)
    assert grant.ends_at == grant.starts_at
    assert manager.entitlements().changes_at is None


@pytest.mark.parametrize("source", [Source.GIFT, Source.STAFF])
def test_a_gift_requires_a_reason(manager, source):
    with pytest.raises(ValidationFailed):
        manager.grant("pro", source, reason="  ")
    assert not Grant.objects.exists()


def test_a_grant_ends_after_it_starts(manager, acme):
    with pytest.raises(ValidationFailed):
        manager.grant("pro", Source.TRIAL, ends_at=now(acme) - DAY)


def test_unknown_plans_and_versions_are_refused(manager):
    with pytest.raises(UnknownPlan):
        manager.grant("platinum", reason="x")
    with pytest.raises(UnknownPlan):
        manager.version("pro", 9)


def test_an_older_version_can_be_granted(manager):
    first = manager.version("pro")
    PlanVersionFactory()
    assert manager.version("pro").version == 2
    assert manager.grant(first, reason="x").plan_version == first
    assert manager.entitlements().plan_version == 1
    assert list(manager.subscribers_of(first)) == []
    assert list(manager.subscribers_of(first, source=None)) == [manager.organization]


class TestWanted:
    """`replace_grants`, with which billing sets the grants that should exist."""

    def replace(self, manager, *expected):
        return manager.replace_grants("subscription", expected)

    def test_repeating_the_same_grants_changes_nothing(self, manager, acme):
        begun = now(acme) - DAY
        spec = GrantSpec("pro", reference="sub-1", starts_at=begun, anchor=begun, reason="trialing")
        first = self.replace(manager, spec)
        events = AuditEvent.objects.count()
        assert self.replace(manager, spec) == first
        assert AuditEvent.objects.count() == events
        assert Grant.objects.count() == 1
        assert list(manager.subscribers_of(manager.version("pro"))) == [acme]

    def test_grants_of_other_sources_are_not_changed(self, manager):
        gift = manager.grant("enterprise", Source.GIFT, reason="x")
        self.replace(manager, GrantSpec("pro", reference="sub-1"))
        self.replace(manager)
        gift.refresh_from_db()
        assert gift.ends_at is None
        assert Grant.objects.active(at=now(manager.organization)).get() == gift

    def test_a_changed_grant_is_updated_in_place(self, manager, acme):
        [first] = self.replace(manager, GrantSpec("pro", reference="sub-1", reason="active"))
        grace = now(acme) + 7 * DAY
        [second] = self.replace(manager, GrantSpec("pro", reference="sub-1", ends_at=grace, reason="past_due", lapsed=True))
        assert (second.pk, second.ends_at, second.lapsed, second.reason) == (first.pk, grace, True, "past_due")
        [third] = self.replace(manager, GrantSpec("pro", reference="sub-1", reason="active"))
        assert (third.pk, third.ends_at, third.lapsed) == (first.pk, None, False)

    def test_a_plan_change_ends_one_grant_and_starts_another(self, manager, acme):
        anchor = now(acme) - DAY
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=anchor, anchor=anchor))
        # Billing names the start of the subscription, which was Pro's.
        self.replace(manager, GrantSpec("enterprise", reference="sub-1", starts_at=anchor, anchor=anchor))
        pro, enterprise = Grant.objects.order_by("id")
        assert pro.ends_at is not None
        assert enterprise.ends_at is None
        assert enterprise.starts_at >= pro.ends_at
        assert manager.entitlements().anchor == anchor

    def test_a_former_plans_grant_ends_with_its_subscription(self, manager, acme):
        """The plan changed and the subscription ended, and both events arrived later."""
        ended = now(acme) - DAY
        self.replace(manager, GrantSpec("enterprise", reference="sub-1", starts_at=now(acme) - 9 * DAY))
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY, ends_at=ended))
        assert Grant.objects.get().ends_at == ended

    def test_an_ended_grant_is_not_extended(self, manager, acme):
        """Paused first and canceled later: there was no access in between."""
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY, ends_at=now(acme) + DAY))
        Grant.objects.update(ends_at=now(acme) - 5 * DAY)
        before = Grant.objects.get().ends_at
        self.replace(manager, GrantSpec("pro", reference="sub-1", starts_at=now(acme) - 9 * DAY, ends_at=now(acme) - DAY))
        assert Grant.objects.get().ends_at == before

    def test_an_ended_grant_is_not_reopened(self, manager, acme):
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

    def test_an_ended_and_unknown_grant_is_not_stored(self, manager, acme):
        assert self.replace(manager, GrantSpec("pro", reference="sub-1", ends_at=now(acme) - DAY)) == []

    def test_two_subscriptions_have_two_grants(self, manager):
        self.replace(manager, GrantSpec("pro", reference="sub-1"), GrantSpec("pro", reference="sub-2"))
        self.replace(manager, GrantSpec("pro", reference="sub-2"))
        assert [grant.reference for grant in Grant.objects.current_or_future(at=now(manager.organization))] == ["sub-2"]


class TestOverrides:
    def test_an_override_changes_one_feature_until_it_ends(self, manager):
        override = manager.override("sessions", 5, reason="A promise", actor=manager.organization.members.get())
        assert manager.require("sessions").limit == 5
        manager.end_override(override)
        assert manager.require("sessions").limit == 50
        with pytest.raises(AlreadyEnded):
            manager.end_override(override)

    def test_a_new_override_replaces_the_old_one(self, manager):
        manager.override("sessions", 5, reason="x")
        manager.override("sessions", None, reason="y")
        assert manager.require("sessions").limit is None
        assert Override.objects.filter(ended_at=None).count() == 1
        assert AuditEvent.objects.filter(action="override.created").latest("id").before == {"value": 5}

    def test_an_override_ends_at_its_end(self, manager, acme):
        manager.override("sessions", 5, reason="x", ends_at=now(acme) + DAY)
        assert manager.require("sessions").limit == 5
        acme.clock_offset = 2 * DAY
        assert manager.require("sessions").limit == 50

    @pytest.mark.parametrize(
        ("value", "reason", "days", "field"),
        [(True, "x", 1, "value"), ("9", "x", 1, "value"), (-1, "x", 1, "value"), (5, " ", 1, "reason"), (5, "x", -1, "endsAt")],
    )
    def test_an_invalid_override_is_refused(self, manager, acme, value, reason, days, field):
        with pytest.raises(ValidationFailed) as refusal:
            manager.override("sessions", value, reason=reason, ends_at=now(acme) + days * DAY)
        assert [error["field"] for error in refusal.value.details["errors"]] == [field]

    def test_an_unknown_feature_is_refused(self, manager):
        with pytest.raises(UnknownFeature):
            manager.override("teleportation", True, reason="x")


class TestHistoryStays:
    def test_a_published_version_cannot_be_changed_or_deleted(self, db):
        version = PlanVersionFactory()
        version.document = {}
        for act in (version.save, version.delete, PlanVersion.objects.all().delete):
            with pytest.raises(ImmutableRow):
                act()
        for act in (lambda: PlanVersion.objects.update(version=3), lambda: PlanVersion.objects.all()._raw_delete("default")):
            with pytest.raises(DatabaseError), transaction.atomic():
                act()

    def test_grants_and_overrides_cannot_be_deleted(self, db):
        for created in (GrantFactory(), OverrideFactory()):
            for act in (created.delete, type(created).objects.all().delete):
                with pytest.raises(ImmutableRow):
                    act()
            with pytest.raises(DatabaseError), transaction.atomic():
                type(created).objects.all()._raw_delete("default")

    def test_the_terms_of_a_grant_cannot_be_changed(self, db):
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
    def test_the_database_validates_grants(self, db, wrong):
        with pytest.raises(IntegrityError), transaction.atomic():
            GrantFactory(**wrong)

    def test_an_open_grant_is_unique(self, acme):
        GrantFactory(organization=acme, reference="sub-1")
        with pytest.raises(IntegrityError), transaction.atomic():
            GrantFactory(organization=acme, reference="sub-1")

    def test_an_override_requires_a_reason_and_is_unique(self, acme):
        OverrideFactory(organization=acme)
        with pytest.raises(IntegrityError), transaction.atomic():
            OverrideFactory(organization=acme)
        with pytest.raises(IntegrityError), transaction.atomic():
            OverrideFactory(organization=acme, feature="projects", reason="")
