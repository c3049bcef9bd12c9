"""Data that several panels of an organization's page share. Each part is queried at most once per request, on first use."""

from datetime import datetime
from functools import cached_property
from typing import Any

from accounts.models import Organization, User
from billing.models import BillingAccount, SubscriptionState
from billing.overage.reporting import reported_units
from billing.selectors import overage_state, relevant_subscription
from billing.stripe_comparison import ComparedSubscription, compare_with_mirror
from billing.types import OverageState
from contextmcp.common.clock import now
from entitlements.explanation import ExplainedGrant, explained_grants
from entitlements.manager import EntitlementsManager
from entitlements.models import Override
from entitlements.types import Entitlements
from usage import selectors
from usage.selectors import FeatureUsage


class OrganizationDetails:
    """An organization and the data of it that the staff member `user` may view."""

    def __init__(self, organization: Organization, user: Any) -> None:
        self.organization = organization
        self.user: User = user
        # The organization's time: that of its Stripe test clock, if it has one.
        self.present: datetime = now(organization)

    def may(self, *permissions: str) -> bool:
        return self.user.has_perms(permissions)

    @cached_property
    def entitlements(self) -> Entitlements:
        return EntitlementsManager(self.organization).entitlements()

    @cached_property
    def usage(self) -> list[FeatureUsage]:
        return selectors.current(self.entitlements, self.present).usage

    @cached_property
    def explained_grants(self) -> list[ExplainedGrant]:
        return explained_grants(self.organization, self.present)

    @cached_property
    def overrides(self) -> dict[str, Override]:
        """Return the overrides that were not ended, by feature. Their scheduled end may have passed."""
        rows = Override.objects.filter(organization=self.organization, ended_at=None).select_related("created_by")
        return {row.feature: row for row in rows}

    @cached_property
    def account(self) -> BillingAccount | None:
        return BillingAccount.objects.filter(organization=self.organization).first()

    @cached_property
    def subscriptions(self) -> list[SubscriptionState]:
        return list(self.organization.subscriptions.select_related("plan_version"))

    @cached_property
    def subscription(self) -> SubscriptionState | None:
        """Return the current subscription (see `relevant_subscription`)."""
        return relevant_subscription(self.subscriptions)

    @cached_property
    def comparisons(self) -> list[ComparedSubscription]:
        """Return each subscription compared with the mirror. Those that have not ended come first."""
        compared = compare_with_mirror(self.account, self.subscriptions)
        return sorted(compared, key=lambda each: each.status in {"canceled", "incomplete_expired"})

    @cached_property
    def overage(self) -> OverageState | None:
        return overage_state(self.organization, self.entitlements)

    @cached_property
    def reported_overage(self) -> int:
        """Return the units of overage in this period that are reported to Stripe or waiting to be."""
        if self.overage is None:
            return 0
        period = self.entitlements.features[self.overage.feature].period(self.present)
        return reported_units(self.organization, self.overage.feature, period)

    def usage_of(self, feature: str) -> FeatureUsage | None:
        return next((each for each in self.usage if each.feature == feature), None)
