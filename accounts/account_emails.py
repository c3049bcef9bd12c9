"""Content of the emails about a user's own account: confirmation, password reset, sign-ins and changes of credentials.

django-allauth sends most of them, by the name of a template, which `RENDERERS` maps to the content.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from contextmcp.common.emails import EmailContent
from contextmcp.common.formatting import format_moment

from .devices import device

Context = dict[str, Any]


def render(name: str, context: Context) -> EmailContent | None:
    """Return the content of allauth's email with this name, such as "password_changed", or None if it has none here."""
    renderer = RENDERERS.get(name)
    return renderer(context) if renderer else None


def _address(name: str) -> str:
    return f"{settings.PUBLIC_URL}{reverse(name)}"


def _confirmation(context: Context) -> EmailContent:
    return EmailContent(
        title=_("Confirm your email address"),
        paragraphs=(_("Confirm that %(email)s is your address on %(product)s.") % _names(context),),
        label=_("Confirm email address"),
        link=context["activate_url"],
        note=_("If you did not sign up, ignore this email. We do not use the address unless it is confirmed."),
    )


def _sign_up_confirmation(context: Context) -> EmailContent:
    return EmailContent(
        title=_("Welcome to %(product)s: confirm your email address") % _names(context),
        paragraphs=(_("Confirm that %(email)s is your address on %(product)s.") % _names(context),),
        label=_("Confirm email address"),
        link=context["activate_url"],
        note=_("If you did not sign up, ignore this email. We do not use the address unless it is confirmed."),
    )


def _password_reset_link(context: Context) -> EmailContent:
    return EmailContent(
        title=_("Choose a new password"),
        paragraphs=(_("We received a request to reset the password of %(email)s on %(product)s.") % _names(context),),
        label=_("Choose a password"),
        link=context["password_reset_url"],
        note=_("If you did not request this, ignore this email. Your password is unchanged."),
    )


def _account_already_exists(context: Context) -> EmailContent:
    sentence = _("We received a request to sign up for %(product)s with this address. An account with this address already exists.")
    return EmailContent(
        title=_("You already have a %(product)s account") % _names(context),
        paragraphs=(
            sentence % _names(context),
            _("Nothing was changed. If you forgot your password, you can choose a new one: %(link)s")
            % {"link": _address("account_reset_password")},
        ),
        label=_("Sign in"),
        link=_address("account_login"),
        note=_("If you did not request this, ignore this email."),
    )


def _unknown_account(context: Context) -> EmailContent:
    return EmailContent(
        title=_("There is no %(product)s account with this address") % _names(context),
        paragraphs=(
            _("We received a request to reset the password of a %(product)s account with this address, but there is none.")
            % _names(context),
            _("You may have signed up with another address. Otherwise, you can create an account."),
        ),
        label=_("Create account"),
        link=_address("account_signup"),
        note=_("If you did not request this, ignore this email."),
    )


def welcome(organization_page: str) -> EmailContent:
    """Return the email to a user who has confirmed their first address. `organization_page` is the path of their next step."""
    return EmailContent(
        title=_("Welcome to %(product)s") % {"product": settings.PRODUCT_NAME},
        paragraphs=(
            _("Your email address is confirmed and your account is ready."),
            _("To get started, create an API key, add it to your MCP client, and make your first call. It takes about a minute."),
        ),
        label=_("Get started"),
        link=f"{settings.PUBLIC_URL}{organization_page}",
        note=_("You receive this email because you created an account on %(product)s.") % {"product": settings.PRODUCT_NAME},
    )


def new_sign_in(context: Context) -> EmailContent:
    """Return the notice of a sign-in with a browser that the user has not signed in with before."""
    sentence = _("Someone signed in to your %(product)s account with a browser that has not been used for it before.")
    return _notice(_("New sign-in to your account"), sentence, context)


def email_changed_notice(context: Context) -> EmailContent:
    """Return the notice to the new address of an account."""
    sentence = _("The email address of your %(product)s account was changed from %(from_email)s to %(to_email)s.")
    return _notice(_("Your email address was changed"), sentence, context)


def _email_changed(context: Context) -> EmailContent:
    """Return the notice to the previous address, which can undo the change."""
    sentence = _("The email address of your %(product)s account was changed from %(from_email)s to %(to_email)s.")
    undo = _(
        "If you did not do this, undo the change within 7 days. This restores %(from_email)s, signs out all sessions and lets you "
        "set a new password."
    )
    return EmailContent(
        title=_("The email address of your account was changed"),
        paragraphs=(sentence % _names(context), undo % _names(context)),
        lines=_circumstances(context),
        label=_("Undo the change"),
        link=context["undo_url"],
        note=_("If you made this change, you do not need to do anything."),
    )


def _notice(title: str, sentence: str, context: Context) -> EmailContent:
    return EmailContent(
        title=title,
        paragraphs=(
            sentence % _names(context),
            _(
                "If this was not you, choose a new password now, and check the email addresses, second factors and sessions of your "
                "account. If you can no longer sign in, reply to this email."
            ),
        ),
        lines=_circumstances(context),
        label=_("Choose a new password"),
        link=_address("account_reset_password"),
        note=_("If this was you, you do not need to do anything."),
    )


def _names(context: Context) -> dict[str, str]:
    names = {name: str(value) for name, value in context.items() if name in {"from_email", "to_email", "deleted_email"}}
    return {**names, "product": str(settings.PRODUCT_NAME), "email": str(context.get("email", ""))}


def _circumstances(context: Context) -> tuple[tuple[str, str], ...]:
    moment: datetime = context["timestamp"]
    return (
        (_("Time"), format_moment(moment)),
        (_("IP address"), str(context["ip"])),
        (_("Browser"), device(str(context["user_agent"]))),
    )


RENDERERS: dict[str, Callable[[Context], EmailContent]] = {
    "email_confirmation": _confirmation,
    "email_confirmation_signup": _sign_up_confirmation,
    "password_reset_key": _password_reset_link,
    "account_already_exists": _account_already_exists,
    "unknown_account": _unknown_account,
    "email_changed": _email_changed,
    "email_changed_to": email_changed_notice,
    "new_sign_in": new_sign_in,
    "email_deleted": lambda context: _notice(
        _("An email address was removed from your account"),
        _("The email address %(deleted_email)s was removed from your %(product)s account."),
        context,
    ),
    "password_changed": lambda context: _notice(
        _("Your password was changed"), _("The password of your %(product)s account was changed."), context
    ),
    "password_reset": lambda context: _notice(
        _("Your password was reset"), _("The password of your %(product)s account was reset."), context
    ),
    "password_set": lambda context: _notice(
        _("A password was set for your account"), _("A password was set for your %(product)s account."), context
    ),
    "totp_activated": lambda context: _notice(
        _("An authenticator app was added"), _("An authenticator app was added to your %(product)s account as a second factor."), context
    ),
    "totp_deactivated": lambda context: _notice(
        _("The authenticator app was removed"), _("The authenticator app was removed from your %(product)s account."), context
    ),
    "recovery_codes_generated": lambda context: _notice(
        _("New recovery codes were generated"),
        _("New recovery codes were generated for your %(product)s account. Earlier codes no longer work."),
        context,
    ),
    "webauthn_added": lambda context: _notice(
        _("A passkey was added"), _("A passkey or security key was added to your %(product)s account."), context
    ),
    "webauthn_removed": lambda context: _notice(
        _("A passkey was removed"), _("A passkey or security key was removed from your %(product)s account."), context
    ),
}
