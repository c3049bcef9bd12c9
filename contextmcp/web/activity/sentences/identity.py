"""Sentences about the organization, its members and invitations, and the accounts of users."""

from accounts.roles import Role
from contextmcp.web.activity.names import enumerate_words
from contextmcp.web.activity.types import Kind

from .registry import Context, day, fixed, sentence

_COUNTED = {"keys": "API key", "apps": "connected app", "invitations": "invitation"}


def _role(text: object) -> str:
    return Role(text).with_article if text in Role.values else str(text)


@sentence("organization.created", kind=Kind.ORGANIZATION, model="accounts.organization")
def _created(context: Context) -> str:
    return context.by_actor(f"created the organization {context.after('name') or ''}".rstrip(), "The organization was created")


@sentence("organization.closed", kind=Kind.ORGANIZATION, model="accounts.organization")
def _closed(context: Context) -> str:
    ended = [(context.after(name) or 0, noun) for name, noun in _COUNTED.items()]
    counts = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in ended if count]
    effect = f", which ended {enumerate_words(counts)}" if counts else ""
    return context.by_actor(f"closed the organization{effect}", f"The organization was closed{effect}")


@sentence("organization.changed", kind=Kind.ORGANIZATION, model="accounts.organization")
def _changed(context: Context) -> str:
    changes = []
    if context.before("name") != context.after("name"):
        changes.append(f"the organization's name from {context.before('name')} to {context.after('name')}")
    if context.before("email") != context.after("email"):
        # Only owners see the address on the page of settings.
        values = f" from {context.before('email')} to {context.after('email')}" if context.for_staff else ""
        changes.append(f"the billing email address{values}")
    what = enumerate_words(changes) if changes else "the organization"
    return context.by_actor(f"changed {what}", f"{what} was changed")


@sentence("member.role_changed", kind=Kind.MEMBER)
def _role_changed(context: Context) -> str:
    roles = f"from {_role(context.before('role'))} to {_role(context.after('role'))}"
    return context.by_actor(f"changed {context.event.target} {roles}", f"{context.event.target} was changed {roles}")


@sentence("member.removed", kind=Kind.MEMBER)
def _removed(context: Context) -> str:
    if context.event.actor_user and context.event.actor_user.email == context.event.target:
        return f"{context.by} left the organization."
    return context.by_actor(f"removed the member {context.event.target}", f"The member {context.event.target} was removed")


@sentence("invitation.created", kind=Kind.MEMBER)
def _invited(context: Context) -> str:
    invited = f"{context.event.target} as {_role(context.after('role'))}"
    return context.by_actor(f"invited {invited}", f"{invited} was invited")


@sentence("invitation.resent", kind=Kind.MEMBER)
def _resent(context: Context) -> str:
    until = f", valid until {day(context.after('expires_at'))}" if context.after("expires_at") else ""
    what = f"the invitation to {context.event.target}{until}"
    return context.by_actor(f"resent {what}", f"{what} was resent")


@sentence("invitation.accepted", kind=Kind.MEMBER)
def _accepted(context: Context) -> str:
    return f"{context.event.target} accepted the invitation and joined as {_role(context.after('role'))}."


@sentence("invitation.extended", kind=Kind.MEMBER)
def _extended(context: Context) -> str:
    until = f" until {day(context.after('expires_at'))}" if context.after("expires_at") else ""
    what = f"the invitation to {context.event.target}"
    return context.by_actor(f"extended {what}{until}", f"{what} was extended{until}")


@sentence("member.ownership_transferred", kind=Kind.MEMBER)
def _ownership_transferred(context: Context) -> str:
    former = next((email for email in context.event.before or {} if email != context.event.target), "")
    transfer = f"ownership{f' from {former}' if former else ''} to {context.event.target}"
    return context.by_actor(f"transferred {transfer}", f"{transfer} was transferred")


fixed(
    "member.notifications_changed",
    "changed which emails {target} gets",
    "The emails that {target} gets were changed",
    kind=Kind.MEMBER,
    shown=False,
)
fixed(
    "export.requested",
    "requested an export of all data",
    "An export of all data was requested",
    kind=Kind.ORGANIZATION,
)
fixed(
    "export.downloaded",
    "downloaded an export of all data",
    "An export of all data was downloaded",
    kind=Kind.ORGANIZATION,
)
fixed("organization.reopened", "reopened the organization", "The organization was reopened", kind=Kind.ORGANIZATION)
fixed(
    "invitation.revoked",
    "revoked the invitation to {target}",
    "The invitation to {target} was revoked",
    kind=Kind.MEMBER,
)

# Events of users belong to no organization. Staff read them on the user's page.
_USER = {
    "user.signed_up": ("signed up", "{target} signed up"),
    "user.sign_up_expired": ("expired the sign-up of {target}", "The sign-up of {target} expired before the address was confirmed"),
    "user.signed_in": ("signed in", "{target} signed in"),
    "user.sign_in_failed": ("failed to sign in as {target}", "A sign-in as {target} failed"),
    "user.session_ended": ("ended a session", "A session of {target} was ended"),
    "user.session_expired": ("was signed out because the session expired", "A session of {target} expired"),
    "user.password_changed": ("changed the password", "The password of {target} was changed"),
    "user.password_reset": ("reset the password", "The password of {target} was reset"),
    "user.password_reset_sent": ("sent a link to reset the password to {target}", "A link to reset the password was sent to {target}"),
    "user.email_added": ("added an email address", "{target} added an email address"),
    "user.email_removed": ("removed an email address", "{target} removed an email address"),
    "user.email_confirmed": ("confirmed an email address", "{target} confirmed an email address"),
    "user.email_changed": ("changed the email address of {target}", "The email address of {target} was changed"),
    "user.email_change_undone": ("undid the change of the email address {target}", "The change of the email address {target} was undone"),
    "user.deleted": ("deleted the own account", "{target} deleted the account"),
    "user.profile_changed": ("changed the profile", "{target} changed the profile"),
    "user.changed": ("changed the account of {target}", "The account of {target} was changed"),
    "user.second_factor_added": ("added a second factor", "{target} added a second factor"),
    "user.second_factor_removed": ("removed a second factor", "{target} removed a second factor"),
    "user.second_factor_reset": ("removed the second factor of {target}", "The second factor of {target} was removed"),
    "user.recovery_codes_generated": ("generated recovery codes", "{target} generated recovery codes"),
    "email.verified": ("marked the address {target} as verified", "The address {target} was marked as verified"),
}
for _action, (_active, _passive) in _USER.items():
    fixed(_action, _active, _passive, kind=Kind.INTERNAL, shown=False)
