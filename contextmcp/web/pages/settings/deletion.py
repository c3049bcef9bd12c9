"""The page on which users delete their own account."""

from django.contrib import messages
from django.contrib.auth import logout
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from accounts.authentication import memberships_of, require_recent_authentication
from accounts.models import User
from accounts.services import account_deletion
from contextmcp.common.errors import ValidationFailed
from contextmcp.web import drafts
from contextmcp.web.decorators import user_action, user_page
from contextmcp.web.forms import valid
from contextmcp.web.settings_forms import DeleteAccountForm


@user_page
def delete_page(request: WSGIRequest, user: User) -> HttpResponse:
    """Say what ends and what is kept, or which organizations must get another owner or be closed first."""
    context = {
        "form": drafts.bind_form(request, None, "delete-account", DeleteAccountForm, DeleteAccountForm()),
        "owned_alone": account_deletion.owned_alone(user),
        "organizations": [membership.organization for membership in memberships_of(request, user)],
    }
    return render(request, "web/settings/delete.html", context)


@user_action("delete-page", form="delete-account", keeps=("email",))
def delete_account(request: WSGIRequest, user: User) -> HttpResponseBase:
    """Delete the account. Its address must be entered as a confirmation, because the user loses access to everything."""
    if valid(DeleteAccountForm(request.POST))["email"].lower() != user.email.lower():
        raise ValidationFailed.of_field("email", _("This is not your email address. Your account was not deleted."))
    require_recent_authentication(request)
    account_deletion.delete_account(user)
    logout(request)
    messages.success(request, gettext("Your account was deleted."))
    return redirect("account_login")
