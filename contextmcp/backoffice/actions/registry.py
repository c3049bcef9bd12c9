"""All staff actions, and the links to those that a member of staff may use."""

from dataclasses import dataclass

from django.http import HttpRequest

from accounts.authentication import staff
from accounts.errors import OwnOrganization
from accounts.models import Organization
from accounts.own_organization import is_own_organization

from .base import OrganizationAction, OrganizationFacts
from .entitlement_actions import EndGrant, EndOverride, GrantPlan, OverrideLimit
from .key_actions import ReassignKeys, RevokeAllKeys, RevokeKey
from .money_actions import ChangeCredit, RefundPayment
from .organization_actions import CloseOrganization, ReconcileWithStripe, ReopenOrganization, SyncFromStripe
from .organization_details import ChangeDetails
from .people_actions import (
    ChangeAddress,
    ChangeRole,
    ExtendInvitation,
    RemoveMember,
    ResendInvitation,
    RevokeInvitation,
    TransferOwnership,
)
from .subscription_actions import (
    CancelSubscription,
    EndDiscounts,
    GiveDiscount,
    GiveFreeDays,
    KeepSubscription,
    MoveSubscriber,
    PauseCollection,
    ResumeCollection,
)
from .system_actions import MovePlanVersion, ReconcileAll
from .usage_actions import CorrectUsage

_ACTIONS: tuple[OrganizationAction, ...] = (
    GrantPlan(),
    EndGrant(),
    OverrideLimit(),
    EndOverride(),
    CorrectUsage(),
    MoveSubscriber(),
    GiveFreeDays(),
    GiveDiscount(),
    EndDiscounts(),
    ChangeCredit(),
    RefundPayment(),
    PauseCollection(),
    ResumeCollection(),
    CancelSubscription(),
    KeepSubscription(),
    SyncFromStripe(),
    ReconcileWithStripe(),
    ResendInvitation(),
    ExtendInvitation(),
    RevokeInvitation(),
    ChangeRole(),
    TransferOwnership(),
    RemoveMember(),
    ChangeAddress(),
    RevokeKey(),
    RevokeAllKeys(),
    ReassignKeys(),
    ChangeDetails(),
    CloseOrganization(),
    ReopenOrganization(),
)
# The order is that of the menu on the page of an organization.
ACTIONS: dict[str, OrganizationAction] = {action.name: action for action in _ACTIONS}


SYSTEM_ACTIONS: dict[str, OrganizationAction] = {action.name: action for action in (MovePlanVersion(), ReconcileAll())}


@dataclass(frozen=True)
class ActionLink:
    """A link to an action. An action with a `disabled_reason` is not available now; its page says why."""

    group: str
    title: str
    url: str
    disabled_reason: str


def available_actions(request: HttpRequest, organization: Organization) -> list[ActionLink]:
    """Return the actions that the request's user has the permission for, in the order of their groups."""
    facts = OrganizationFacts(organization)
    permitted = [action for action in ACTIONS.values() if request.user.has_perm(action.permission)]
    own = OwnOrganization.message if is_own_organization(staff(request), organization) else ""
    links = []
    for action in permitted:
        refusal = (own if action.beneficial else "") or action.unavailable(facts)
        links.append(ActionLink(action.group, action.title, action.url(organization), refusal))
    return links
