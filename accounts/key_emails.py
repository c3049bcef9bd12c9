"""Emails about API keys and connected apps. Each is stored in the transaction of the change that it reports."""

from collections.abc import Callable

from django.conf import settings
from django.utils.translation import gettext as _

from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.formatting import format_moment
from contextmcp.common.locale import localized_for

from .emails import display_name
from .models import ApiKey, OAuthGrant, Organization, User
from .roles import Role
from .selectors import active_members

EXPIRING, REVOKED, APP_CONNECTED = "key_expiring", "key_revoked", "app_connected"


def send_expiring(key: ApiKey) -> None:
    """Remind the member who created the key that it expires soon."""
    assert key.creator is not None
    _send(key.creator.user, lambda: expiring_content(key), EXPIRING, key.pk, key.organization)


def send_revoked(key: ApiKey) -> None:
    """Notify the creator and the owners that staff revoked the key."""
    creator = [key.creator.user] if key.creator else []
    for user in dict.fromkeys([*creator, *_owners(key.organization)]):
        _send(user, lambda: revoked_content(key), REVOKED, key.pk, key.organization)


def send_all_revoked(organization: Organization) -> None:
    """Notify the owners that staff revoked all keys."""
    for user in _owners(organization):
        _send(user, lambda: all_revoked_content(organization), REVOKED, organization.pk, organization)


def send_app_connected(grant: OAuthGrant) -> None:
    """Notify the user that an app was connected to their account."""
    _send(grant.membership.user, lambda: app_connected_content(grant), APP_CONNECTED, grant.pk, grant.membership.organization)


def expiring_content(key: ApiKey) -> EmailContent:
    """Return the reminder that a key expires soon."""
    values = _values(key) | {"moment": format_moment(key.expires_at) if key.expires_at else ""}
    return EmailContent(
        title=_("The API key “%(key)s” expires soon") % values,
        paragraphs=(
            _("The API key “%(key)s” (%(hint)s) of %(name)s expires on %(moment)s. After that, requests with it are refused.") % values,
            _("Create a new key and replace the old one wherever it is used."),
        ),
        label=_("View API keys"),
        link=_keys_page(),
        note=_("You receive this email because you created this key on %(product)s.") % values,
    )


def revoked_content(key: ApiKey) -> EmailContent:
    """Return the notice that staff revoked a key, usually because it was published or misused."""
    values = _values(key)
    return EmailContent(
        title=_("The API key “%(key)s” was revoked") % values,
        paragraphs=(
            _("Our support team revoked the API key “%(key)s” (%(hint)s) of %(name)s. It no longer works.") % values,
            _("We revoke keys that were published, for example in a public repository, or that are misused."),
            _("Create a new key, replace the old one wherever it is used, and check the usage for calls that you did not make."),
        ),
        label=_("View API keys"),
        link=_keys_page(),
        note=_("You receive this email because you created this key or are an owner of %(name)s on %(product)s.") % values,
    )


def all_revoked_content(organization: Organization) -> EmailContent:
    """Return the notice that staff revoked all keys of an organization."""
    values = {"name": display_name(organization.name), "product": settings.PRODUCT_NAME}
    return EmailContent(
        title=_("All API keys of “%(name)s” were revoked") % values,
        paragraphs=(
            _("Our support team revoked all API keys of %(name)s. They no longer work.") % values,
            _("Create new keys, replace the old ones wherever they are used, and check the usage for calls that you did not make."),
            _("If you did not expect this, reply to this email."),
        ),
        label=_("View API keys"),
        link=_keys_page(),
        note=_("You receive this email because you are an owner of %(name)s on %(product)s.") % values,
    )


def app_connected_content(grant: OAuthGrant) -> EmailContent:
    """Return the notice that a user connected an app."""
    values = {
        "app": display_name(grant.client_name),
        "name": display_name(grant.membership.organization.name),
        "product": settings.PRODUCT_NAME,
    }
    return EmailContent(
        title=_("%(app)s is connected to your account") % values,
        paragraphs=(
            _("%(app)s can now use %(product)s for you in the organization %(name)s.") % values,
            _("If you did not connect it, disconnect the app now and change your password."),
        ),
        label=_("View connected apps"),
        link=f"{settings.PUBLIC_URL}/account/apps/",
        note=_("You receive this email because an app was connected to your %(product)s account.") % values,
    )


def _values(key: ApiKey) -> dict[str, str]:
    return {
        "key": display_name(key.name),
        "hint": key.hint,
        "name": display_name(key.organization.name),
        "product": str(settings.PRODUCT_NAME),
    }


def _keys_page() -> str:
    return f"{settings.PUBLIC_URL}/account/keys/"


def _owners(organization: Organization) -> list[User]:
    return [each.user for each in active_members(organization, Role.OWNER).select_related("user")]


def _send(user: User, content: Callable[[], EmailContent], category: str, reference: object, organization: Organization) -> None:
    with localized_for(user):
        send_email(content(), to=user.email, category=category, reference=reference, organization_id=organization.pk)
