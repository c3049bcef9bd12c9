"""The page of the link that undoes an email change."""

from allauth.account.forms import ResetPasswordForm
from django.contrib.auth import logout
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.services import addresses
from contextmcp.common.errors import DomainError
from contextmcp.web.decorators import error_page


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def undo_email_change(request: WSGIRequest, token: str) -> HttpResponseBase:
    """Show a confirmation, because mail filters open links. On POST undo the change and email a link for a new password."""
    try:
        if request.method != "POST":
            user, email, _ = addresses.read_undo_token(token)
            return render(request, "web/undo_email_change.html", {"email": email, "present": user.email})
        user = addresses.undo_email_change(token)
    except DomainError as refusal:
        return error_page(request, refusal)
    logout(request)
    form = ResetPasswordForm({"email": user.email})
    if form.is_valid():
        form.save(request)
    return render(request, "web/undo_email_change.html", {"email": user.email, "done": True})
