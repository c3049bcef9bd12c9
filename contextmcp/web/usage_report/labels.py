"""The names of keys, members and tools in a report, as far as the member may see them.

Members who cannot manage others see the usage of their own keys and apps, and their own usage; the rest is one series. This is the rule of
the pages for API keys and activity as well. MCP tools are not personal.
"""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.manager import AuthManager
from accounts.models import ApiKey, OAuthGrant
from accounts.types import Caller

from .selection import Group


@dataclass(frozen=True)
class Label:
    """The name of a series, and what tells apart two series of one name, such as the visible part of a key. Equal labels are one series."""

    name: str
    hint: str = ""
    is_code: bool = False


def labels(caller: Caller, group: Group, members: Collection[Hashable]) -> Mapping[Hashable, Label]:
    """Return the label of each key, member or tool. None is the usage without one."""
    known = [member for member in members if member is not None]
    if group == "key":
        named, unknown, without = _keys(caller, known), _unknown_key(caller), _("Without an API key")
    elif group == "member":
        named, unknown, without = _members(caller, known), _unknown_member(caller), _("Without a member")
    else:
        named, unknown, without = {tool: Label(str(tool), is_code=True) for tool in known}, "", _("Without an MCP tool")
    return {member: named.get(member) or Label(unknown) for member in known} | {None: Label(without)}


def _keys(caller: Caller, ids: Collection[Hashable]) -> dict[Hashable, Label]:
    """Return the labels of visible keys and apps. Usage has the IDs of both."""
    if not ids:
        return {}
    keys: list[ApiKey] = list(AuthManager(caller.organization).keys(caller).filter(pk__in=ids))
    named: dict[Hashable, Label] = {key.pk: Label(key.name, key.hint) for key in keys}
    if others := {each for each in ids if isinstance(each, UUID)} - named.keys():
        grants = OAuthGrant.objects.filter(membership__organization=caller.organization, pk__in=others)
        if not sees_all(caller):
            grants = grants.filter(membership__user=caller.user)
        named |= {grant.pk: Label(grant.client_name, _("Connected app")) for grant in grants}
    return named


def _members(caller: Caller, ids: Collection[Hashable]) -> dict[Hashable, Label]:
    if not ids:
        return {}
    if not sees_all(caller):
        assert caller.user is not None
        return {caller.user.pk: Label(_("You"))}
    present = AuthManager(caller.organization).members().filter(user__in=ids)
    return {each.user_id: Label(each.user.get_full_name(), each.user.email if each.user.name else "") for each in present}


def _unknown_key(caller: Caller) -> str:
    return _("Deleted keys and apps") if sees_all(caller) else _("Keys and apps of other members")


def _unknown_member(caller: Caller) -> str:
    return _("Former members") if sees_all(caller) else _("Other members")


def sees_all(caller: Caller) -> bool:
    """Return whether the member sees the usage of other members."""
    return "users:manage" in caller.permissions
