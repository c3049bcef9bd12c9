"""Decorators of pages and form actions for members. They show errors as a message beside the form or as a page."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from allauth.core.exceptions import ReauthenticationRequired as AskAgain
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.authentication import session_caller
from accounts.errors import PermissionDenied, ReauthenticationRequired
from accounts.models import User
from accounts.roles import Role
from accounts.types import Caller
from contextmcp.common.errors import DomainError, ValidationFailed
from contextmcp.common.text import translatable, translated

from . import drafts, submissions
from .errors import OrganizationSwitched

View = Callable[..., HttpResponseBase]
SIGNED_OUT = _("You were signed out before the form was sent. Nothing was changed. Sign in to continue.")
SIGNED_OUT_KEPT = _("You were signed out before the form was sent. Nothing was changed. Sign in to continue; what you typed is kept.")


@dataclass(frozen=True)
class MemberAction:
    """A view that accepts a form. `back` is the page of the form: a URL name, or a function of the request.

    `keeps` names the fields whose values the page shows again after an error.
    """

    name: str
    back: str | Callable[[HttpRequest], str]
    keeps: tuple[str, ...]

    def back_to(self, request: HttpRequest) -> str:
        return self.back(request) if callable(self.back) else reverse(self.back)


def action_of(request: HttpRequest) -> MemberAction | None:
    """Return the form action that the request's URL resolves to, or None."""
    match = request.resolver_match
    action: MemberAction | None = getattr(match.func, "action", None) if match else None
    return action


def member_of(request: WSGIRequest) -> Caller | None:
    """Return the signed-in member, or None for anonymous users and users without an organization. Cached in the request."""
    if not hasattr(request, "_member"):
        request._member = session_caller(request)  # type: ignore[attr-defined]
    cached: Caller | None = request._member  # type: ignore[attr-defined]
    return cached


def user_message(refusal: DomainError) -> str:
    """Return the message in the reader's language: the first field error, or the error's text. A 503 shows the general message only."""
    if isinstance(refusal, ValidationFailed):
        for error in refusal.details.get("errors", []):
            return translated(error["message"])
    if isinstance(refusal, PermissionDenied) and refusal.details.get("role") in Role:
        role = Role(refusal.details["role"]).label
        return gettext("Your role (%(role)s) does not allow this. Ask an owner of the organization.") % {"role": role}
    return refusal.title if refusal.status == 503 else refusal.shown


def error_page(request: WSGIRequest, refusal: DomainError) -> HttpResponse:
    return render(request, "error.html", {"error": refusal, "sentence": user_message(refusal)}, status=refusal.status)


def member_page(view: View) -> View:
    """Decorate a page for members: `view(request, caller, ...)`."""

    @never_cache
    @require_safe
    @login_required
    @wraps(view)
    def shown(request: WSGIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        caller = member_of(request)
        if caller is None:
            return redirect("new-organization")
        try:
            return view(request, caller, *args, **kwargs)
        except DomainError as refusal:
            return error_page(request, refusal)

    return shown


def user_page(view: View) -> View:
    """Decorate a page of the user's own account, which needs no organization: `view(request, user, ...)`."""

    @never_cache
    @require_safe
    @login_required
    @wraps(view)
    def shown(request: WSGIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, request.user, *args, **kwargs)
        except DomainError as refusal:
            return error_page(request, refusal)

    return shown


def _check_organization(request: WSGIRequest, caller: Caller) -> None:
    """Raise `OrganizationSwitched` if the form is for another organization than the selected one, which another tab can change."""
    if request.POST.get("acting_for", str(caller.organization.pk)) != str(caller.organization.pk):
        name = caller.organization.name
        raise OrganizationSwitched(translatable("You switched to %(name)s in another tab. No changes were made.", name=name))


def _sign_in_first(request: WSGIRequest, declared: MemberAction) -> HttpResponseBase:
    """Redirect to sign-in and keep the input, because the session ended before the form was sent."""
    drafts.save_draft(request, declared.name, declared.keeps)
    messages.warning(request, gettext(SIGNED_OUT_KEPT if declared.keeps else SIGNED_OUT))
    return redirect(f"{reverse('account_login')}?{urlencode({'next': declared.back_to(request)})}")


def _refuse(request: WSGIRequest, declared: MemberAction, refusal: DomainError) -> HttpResponseBase:
    if refusal.status == 404:
        return error_page(request, refusal)
    drafts.save_draft(request, declared.name, declared.keeps, refusal.details.get("errors", []))
    messages.error(request, user_message(refusal), extra_tags=refusal.code)
    return redirect(declared.back_to(request))


def member_action(
    back: str | Callable[[HttpRequest], str], *, form: str = "", keeps: Iterable[str] = (), once: bool = False
) -> Callable[[View], View]:
    """Decorate a form action: `view(request, caller, ...)`. An error is shown on the page `back`, with the input that was sent.

    `form` is the form's name for `drafts.bind_form`. With `once`, a repeated submission redirects to the result of the first one.
    """

    def actor(request: WSGIRequest) -> Caller | None:
        caller = member_of(request)
        if caller is not None:
            _check_organization(request, caller)
        return caller

    return _action(actor, MemberAction(form, back, tuple(keeps)), once=once)


def user_action(
    back: str | Callable[[HttpRequest], str], *, form: str = "", keeps: Iterable[str] = (), once: bool = False
) -> Callable[[View], View]:
    """Decorate a form action on the user's own account: `view(request, user, ...)`. See `member_action`."""

    def actor(request: WSGIRequest) -> User:
        assert isinstance(request.user, User)
        return request.user

    return _action(actor, MemberAction(form, back, tuple(keeps)), once=once)


def _action(actor: Callable[[WSGIRequest], Any], declared: MemberAction, *, once: bool) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        @never_cache
        @wraps(view)
        def done(request: WSGIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method != "POST":
                # The URL was opened from the history or after signing in. The action requires the form.
                return redirect(declared.back_to(request))
            if not request.user.is_authenticated:
                return _sign_in_first(request, declared)
            try:
                acting = actor(request)
                if acting is None:
                    return redirect("new-organization")
                if once:
                    return submissions.submit_once(request, lambda: view(request, acting, *args, **kwargs))
                return view(request, acting, *args, **kwargs)
            except ReauthenticationRequired:
                # allauth requests the password or second factor and then repeats this request.
                messages.info(request, "Confirm your identity. Your change is then made automatically.")
                raise AskAgain from None
            except DomainError as refusal:
                return _refuse(request, declared, refusal)

        done.action = declared  # type: ignore[attr-defined]
        return done

    return decorate
