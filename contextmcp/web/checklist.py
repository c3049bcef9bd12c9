"""What a member can do next to set up the organization. The list of a role has only what the role may do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.manager import AuthManager
from accounts.models import ApiKey
from accounts.types import Setup
from contextmcp.web.organization_state import OrganizationState
from entitlements.catalog import CATALOG


@dataclass(frozen=True)
class Step:
    """A step with a link to where it is done. `shows_configuration` tells that the configuration for clients belongs to it."""

    title: str
    text: str
    link: str
    action: str
    is_done: bool
    shows_configuration: bool = False


@dataclass(frozen=True)
class Checklist:
    steps: tuple[Step, ...]

    @property
    def done(self) -> int:
        return sum(step.is_done for step in self.steps)

    @property
    def next_step(self) -> Step | None:
        """Return the first step that is not done."""
        return next((step for step in self.steps if not step.is_done), None)


def read_checklist(state: OrganizationState, keys: Sequence[ApiKey]) -> Checklist | None:
    """Return the steps for the member, or None if all are done or the member dismissed the list. `keys` are those that the member sees."""
    setup = AuthManager(state.organization).setup(state.caller)
    if setup.is_dismissed:
        return None
    steps = tuple(_steps(state, keys, setup))
    return Checklist(steps) if any(not step.is_done for step in steps) else None


def _steps(state: OrganizationState, keys: Sequence[ApiKey], setup: Setup) -> Iterator[Step]:
    caller = state.caller
    has_called = setup.has_used_app or any(key.last_used_at for key in keys)
    yield Step(
        _("Confirm your email address"),
        _("We sent you a link. You need a confirmed address to invite members and to subscribe."),
        reverse("account_email"),
        _("Resend link"),
        setup.has_confirmed_email,
    )
    if "keys:write" in caller.scopes:
        yield Step(
            _("Create an API key"),
            _("Your tools use it to authenticate."),
            f"{reverse('keys')}#create",
            _("Create API key"),
            bool(keys) or has_called,
        )
        yield Step(
            _("Connect a client"),
            _("Add the configuration below to your MCP client. Your first call appears here."),
            reverse("connect") if keys else reverse("welcome"),
            _("Open guide"),
            has_called,
            shows_configuration=True,
        )
    if "users:manage" in caller.permissions and _has_free_seats(state):
        yield Step(
            _("Invite a member"),
            _("Work with your colleagues in one organization."),
            f"{reverse('team')}#invite",
            _("Invite member"),
            state.members > 1 or setup.has_invited,
        )
    if "billing:manage" in caller.permissions and state.subscription.is_live:
        yield Step(
            _("Add a payment method"),
            _("Without one, your plan ends with the trial.") if state.subscription.on_trial else _("Your next invoice is charged to it."),
            reverse("billing"),
            _("Open billing"),
            state.subscription.payment_method is not None,
        )


def _has_free_seats(state: OrganizationState) -> bool:
    """Return whether the plan has room for another member, or already has several."""
    seats = CATALOG.seats
    limit = next((each.included for each in state.usage if seats and each.feature == seats.name), None)
    return limit is None or limit > 1
