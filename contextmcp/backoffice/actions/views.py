"""The page of a staff action: form, preview with confirmation, and the result.

The first POST shows the preview. The second one has `confirmed` and the fingerprint of that preview. If the preview differs by then,
because the organization has changed, it is shown again and nothing is changed.
"""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from accounts.authentication import staff
from accounts.errors import OwnOrganization
from accounts.models import Organization
from accounts.own_organization import is_own_organization
from billing.errors import StripeUnavailable
from contextmcp.backoffice.decorators import page_context, staff_page
from contextmcp.backoffice.reauthentication import require_recent
from contextmcp.common.admin_base import clock_note
from contextmcp.common.errors import Conflict, DomainError, IdempotencyConflict
from contextmcp.common.ids import as_uuid, uuid7

from .base import ActionForm, ConfirmedRequest, OrganizationAction, OrganizationFacts, Preview, Row
from .registry import ACTIONS, SYSTEM_ACTIONS
from .run_once import ActionInProgress, run_once

UNKNOWN = Preview((Row("Result", "unknown", "known after you confirm again"),))


@staff_page(None)
def action_page(request: HttpRequest, organization_id: UUID, name: str) -> HttpResponseBase:
    """Show the form of an action, its preview, or perform it."""
    action = _permitted(request, ACTIONS.get(name))
    organization = get_object_or_404(Organization, pk=organization_id)
    return _respond(request, action, organization)


@staff_page(None)
def system_action_page(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show the form of an action on all organizations, its preview, or perform it."""
    return _respond(request, _permitted(request, SYSTEM_ACTIONS.get(name)), None)


def _permitted(request: HttpRequest, action: OrganizationAction | None) -> OrganizationAction:
    if action is None:
        raise Http404
    if not request.user.has_perm(action.permission):
        raise PermissionDenied
    return action


def _respond(request: HttpRequest, action: OrganizationAction, organization: Any) -> HttpResponseBase:
    page = _ActionPage(request, organization, action)
    if action.beneficial and is_own_organization(staff(request), organization):
        return page.forbidden(OwnOrganization.message)
    if action.sensitive and (answer := require_recent(request)) is not None:
        return answer
    if request.method == "POST" and "confirmed" in request.POST:
        return page.confirm()
    if refusal := action.unavailable(OrganizationFacts(organization)):
        return page.unavailable(refusal)
    return _form_or_preview(request, page)


def _form_or_preview(request: HttpRequest, page: "_ActionPage") -> HttpResponseBase:
    action, organization = page.action, page.organization
    if request.method != "POST":
        return page.form(action.form(initial=request.GET.dict(), organization=organization))
    form = action.form(request.POST, organization=organization)
    if "edit" in request.POST or not form.is_valid():
        return page.form(form)
    return page.preview(form, uuid7())


class _ActionPage:
    """The responses of one request."""

    def __init__(self, request: HttpRequest, organization: Any, action: OrganizationAction) -> None:
        self.request, self.organization, self.action = request, organization, action
        self.back = action.result_url(organization)

    def unavailable(self, refusal: str) -> HttpResponse:
        return self._render("form", refusal=refusal)

    def forbidden(self, refusal: str) -> HttpResponse:
        """Show the refusal with status 403, so that the attempt is recorded (see `access_log`)."""
        self.request.refused_action = self.action.name  # type: ignore[attr-defined]
        response = self.unavailable(refusal)
        response.status_code = 403
        return response

    def form(self, form: ActionForm) -> HttpResponse:
        return self._render("form", form=form)

    def refused(self, form: ActionForm, refused: DomainError) -> HttpResponse:
        """Show the form with the error. An error that belongs to a field of the form is shown at that field."""
        errors = refused.details.get("errors", ())
        for error in errors:
            form.add_error(error["field"] if error["field"] in form.fields else None, error["message"])
        text = "" if errors else f"{refused.text} {_operator_detail(refused)}".strip()
        return self._render("form", form=form, error=text)

    def preview(self, form: ActionForm, submission: UUID, error: str = "") -> HttpResponse:
        """Show what the valid form would change. `submission` identifies the confirmation."""
        try:
            preview = self.action.preview(self.organization, form.cleaned_data)
        except DomainError as refused:
            return self.refused(form, refused)
        return self._confirmation(form, preview, submission, error)

    def _confirmation(self, form: ActionForm, preview: Preview, submission: UUID, error: str) -> HttpResponse:
        hidden = [field.as_hidden(attrs={"id": f"hidden_{field.name}"}) for field in form]
        return self._render("preview", form=form, preview=preview, hidden=hidden, submission=submission, error=error)

    def confirm(self) -> HttpResponse:
        """Perform the action once, and redirect to the organization with the result."""
        request, action, actor = self.request, self.action, staff(self.request)
        form = action.form(request.POST, organization=self.organization)
        submission = as_uuid(request.POST.get("submission", ""))
        if submission is None:
            return self.preview(form, uuid7()) if form.is_valid() else self.form(form)
        subject = str(self.organization and self.organization.pk)
        content = [action.name, subject, _posted(request.POST)]
        try:
            message = run_once(actor, submission, content, lambda: self._perform(submission), subject=subject, atomic=action.atomic)
        except (PreviewOutdated, IdempotencyConflict) as outdated:
            self._refresh()
            return self.preview(form, uuid7(), error=outdated.text) if form.is_valid() else self.form(form)
        except (StripeUnavailable, ActionInProgress) as unfinished:
            # The outcome is unknown, so there is no preview. The same submission continues with the same idempotency key.
            text = f"{unfinished.text} You can safely confirm again: the action runs only once."
            form.is_valid()
            return self._confirmation(form, UNKNOWN, submission, text)
        except DomainError as refused:
            self._refresh()
            form.is_valid()
            return self.refused(form, refused)
        messages.success(request, message)
        return HttpResponseRedirect(self.back)

    def _perform(self, submission: UUID) -> str:
        """Check everything again, because the organization may have changed since the preview.

        A request to Stripe whose response was lost is continued without these checks, because it may itself have changed the organization.
        """
        self._refresh()
        started = self.action.is_started(self.organization, submission)
        if not started and (refusal := self.action.unavailable(OrganizationFacts(self.organization))):
            raise ActionUnavailable(refusal)
        form = self.action.form(self.request.POST, organization=self.organization)
        if not form.is_valid():
            raise PreviewOutdated
        data = form.cleaned_data
        if not started and self.request.POST.get("previewed") != self.action.preview(self.organization, data).fingerprint:
            raise PreviewOutdated
        return self.action.perform(self.organization, data, ConfirmedRequest(staff(self.request), data["reason"], submission))

    def _refresh(self) -> None:
        if self.organization is not None:
            self.organization.refresh_from_db()

    def _render(self, template: str, **context: Any) -> HttpResponse:
        shared = {"organization": self.organization, "clock": clock_note(self.organization), "action": self.action, "back": self.back}
        subject = self.action.subject(self.organization)
        page = page_context(self.request, f"{self.action.title}: {subject}", subject=subject, **shared, **context)
        return TemplateResponse(self.request, f"backoffice/actions/{template}.html", page)


class PreviewOutdated(Conflict):
    code = "preview_outdated"
    message = "The organization has changed since this preview, so nothing was done. Review the new preview and confirm again."


class ActionUnavailable(Conflict):
    """The action became unavailable after its preview."""

    code = "action_unavailable"


def _posted(values: QueryDict) -> list[tuple[str, list[Any]]]:
    return sorted((name, posted) for name, posted in values.lists() if name != "csrfmiddlewaretoken")


def _operator_detail(refused: DomainError) -> str:
    """Return Stripe's own message, which customers do not see, or an empty string."""
    stripe_message = str(refused.args[0]) if hasattr(refused, "stripe_code") and refused.args else ""
    return f"Stripe: {stripe_message}" if stripe_message and stripe_message != refused.text else ""
