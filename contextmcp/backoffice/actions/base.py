"""Base classes of staff actions: the action, its form, its preview and the confirmed request."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.conf import settings
from django.urls import reverse

from accounts.models import ApiKey, Invitation, Organization, User
from billing.models import BillingAccount, SubscriptionState
from billing.selectors import current_subscription
from contextmcp.common.admin_forms import reason_field
from contextmcp.common.admin_links import object_url
from contextmcp.common.ids import uuid7

CLOSED = "The organization is closed."


@dataclass(frozen=True)
class Row:
    """One line of a preview. `before` is empty for a value that does not exist yet."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Preview:
    """What an action would change. `warnings` are sentences that staff must read before they confirm."""

    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Return a digest of the preview. A confirmation is accepted only if the preview still has the digest that staff saw."""
        content = [[[row.label, row.before, row.after] for row in self.rows], list(self.warnings)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ConfirmedRequest:
    """A confirmed form. `id` is the same if the form is submitted twice, so services use it as an idempotency key."""

    actor: User
    reason: str
    id: UUID = field(default_factory=uuid7)


class OrganizationFacts:
    """The facts that determine whether actions are available. Each fact is read once per page."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    @cached_property
    def subscription(self) -> SubscriptionState | None:
        """Return the subscription that has not ended, or None."""
        state = current_subscription(self.organization)
        return state if state and state.is_live and state.status != "incomplete" else None

    @cached_property
    def account(self) -> BillingAccount | None:
        """Return the billing account if it has a Stripe customer, or None."""
        account = BillingAccount.objects.filter(organization=self.organization, customer_deleted_at=None).first()
        return account if account and account.stripe_customer_id else None

    @cached_property
    def has_keys(self) -> bool:
        return ApiKey.objects.filter(organization=self.organization, revoked_at=None).exists()

    @cached_property
    def has_invitations(self) -> bool:
        return Invitation.objects.pending().filter(organization=self.organization).exists()


class ActionForm(forms.Form):
    """The input of an action. The field `reason` is last on the page and required."""

    def __init__(self, *args: Any, organization: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization: Any = organization
        self.prepare()
        self.fields["reason"] = reason_field()

    def prepare(self) -> None:
        """Set the choices, initial values and limits of fields that depend on the organization."""


class OrganizationAction:
    """A change that staff make to one organization.

    `permission` is the full name of a permission ("accounts.revoke_apikey"). A `sensitive` action (money, rights) requires a recent
    authentication. A `beneficial` action gives the organization or its members something, so staff cannot perform it on an organization
    that they belong to. `description` says in one or two sentences what the action does. With `atomic`, the change and the record that it
    was made are one transaction; actions that call Stripe are not atomic, because no transaction may stay open during a call.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    group: ClassVar[str]
    permission: ClassVar[str]
    description: ClassVar[str]
    form: ClassVar[type[ActionForm]] = ActionForm
    sensitive: ClassVar[bool] = False
    beneficial: ClassVar[bool] = False
    atomic: ClassVar[bool] = True
    destructive: ClassVar[bool] = False

    def unavailable(self, facts: OrganizationFacts) -> str:
        """Return why the action is not available now, as a sentence, or an empty string. By default, the organization must be open."""
        return CLOSED if facts.organization.closed_at else ""

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        """Return what `perform` would change. Raises a `DomainError` if the action is refused with this input."""
        raise NotImplementedError

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        """Make the change and return the message that is shown. Raises a `DomainError` if it is refused."""
        raise NotImplementedError

    def is_started(self, organization: Organization, submission: UUID) -> bool:
        """Return whether a confirmation with this ID has started, so that it must be continued even if the organization changed."""
        return False

    def url(self, organization: Organization) -> str:
        return reverse("backoffice:action", args=[organization.pk, self.name])

    def subject(self, organization: Organization) -> str:
        """Return the name that the confirmation page shows."""
        return organization.name

    def result_url(self, organization: Organization) -> str:
        """Return the page that is shown after the action, with its message."""
        return object_url(organization)


class SystemAction(OrganizationAction):
    """An action that does not concern one organization. Its methods are called with `organization` None."""

    def unavailable(self, facts: OrganizationFacts) -> str:
        return ""

    def subject(self, organization: Any) -> str:
        return str(settings.PRODUCT_NAME)
