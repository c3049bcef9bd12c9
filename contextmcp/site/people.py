"""Who looks at a page, and how a refusal reaches them: as a message beside the form, or as a page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.authentication import current_membership
from accounts.types import Caller
from contextmcp.common.errors import Conflict, DomainError, ValidationFailed

View = Callable[..., HttpResponseBase]


def member_of(request: WSGIRequest) -> Caller | None:
    """The signed-in member, or None for nobody and for a member of nothing. Looked up once a request."""
    if not hasattr(request, "_member"):
        membership = current_membership(request)
        request._member = Caller.member(membership) if membership else None  # type: ignore[attr-defined]
    found: Caller | None = request._member  # type: ignore[attr-defined]
    return found


def sentence(refusal: DomainError) -> str:
    """What to tell a person: of a form's errors the first, else the refusal's own words. What only an operator can mend stays general."""
    if isinstance(refusal, ValidationFailed):
        for error in refusal.details.get("errors", []):
            return str(error["message"])
    return refusal.message if refusal.status == 503 else refusal.text


def refused(request: WSGIRequest, refusal: DomainError) -> HttpResponse:
    return render(request, "error.html", {"error": refusal}, status=refusal.status)


def page(view: View) -> View:
    """A page for members: `view(request, caller, ...)`."""

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
            return refused(request, refusal)

    return shown


def _still_shown(request: WSGIRequest, caller: Caller) -> None:
    """What a form of one organization says is not done to another, chosen meanwhile in another tab."""
    if request.POST.get("acting_for", str(caller.organization.pk)) != str(caller.organization.pk):
        raise Conflict(f"That page was of another organization. You work in {caller.organization.name} now, and nothing was changed.")


def action(back: str) -> Callable[[View], View]:
    """What a form does: `view(request, caller, ...)`. A refusal is told on the page named `back`."""

    def decorate(view: View) -> View:
        @never_cache
        @require_POST
        @login_required
        @wraps(view)
        def done(request: WSGIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            caller = member_of(request)
            if caller is None:
                return redirect("new-organization")
            try:
                _still_shown(request, caller)
                return view(request, caller, *args, **kwargs)
            except DomainError as refusal:
                if refusal.status == 404:
                    return refused(request, refusal)
                messages.error(request, sentence(refusal))
                return redirect(back)

        return done

    return decorate
