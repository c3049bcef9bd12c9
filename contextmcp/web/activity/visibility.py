"""The part of the organization's history that a member may view."""

from typing import Any

from accounts.types import Caller

from .types import Kind

# All members see these: what they may use, what was used and refused, and when support looked at the account.
_ALL = frozenset({Kind.PLAN, Kind.USAGE, Kind.REFUSAL, Kind.ORGANIZATION, Kind.SUPPORT, Kind.KEY, Kind.APP})
_EMAILS_OF_PEOPLE = ("invitation", "role_notice", "usage.")
_EMAILS_OF_BILLING = ("billing.",)


def visible_kinds(caller: Caller) -> frozenset[Kind]:
    """Return the kinds of entries that a member sees: people and webhooks for those who manage them, money for those who see billing."""
    kinds = _ALL
    if "users:manage" in caller.permissions:
        kinds |= {Kind.MEMBER, Kind.WEBHOOK, Kind.EMAIL}
    if "billing:read" in caller.scopes:
        kinds |= {Kind.PAYMENT, Kind.EMAIL}
    return kinds


def restrictions(caller: Caller) -> dict[str, Any]:
    """Return the arguments of `timeline` that exclude entries of the visible kinds that the member may not view."""
    manages = "users:manage" in caller.permissions
    categories = (_EMAILS_OF_PEOPLE if manages else ()) + (_EMAILS_OF_BILLING if "billing:read" in caller.scopes else ())
    own = None if manages or caller.user is None else caller.user.pk
    return {
        "own": own,
        "email_categories": categories,
        "opens_billing": "billing:read" in caller.scopes,
        "abilities": caller.permissions | caller.scopes,
    }
