"""The plans page, and the page that publishes the catalog file after a dry run."""

import hashlib
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.authentication import staff
from billing.catalog import publish
from billing.catalog.publish import PublishStep
from billing.manager import BillingManager
from contextmcp.backoffice.decorators import page_context, staff_page
from contextmcp.backoffice.reauthentication import require_recent
from contextmcp.common.admin_forms import ReasonForm
from contextmcp.common.errors import DomainError

from .comparison import plan_tables

PUBLISH = "billing.publish_plans"
STATES = {"new": "New", "changed": "Changed", "conflict": "Conflict", "same": "Unchanged"}


@staff_page("entitlements.view_planversion")
@require_safe
def plans(request: HttpRequest) -> HttpResponseBase:
    """Show the versions of all plans."""
    page = page_context(request, "Plans", tables=plan_tables(), may_publish=request.user.has_perm(PUBLISH))
    return TemplateResponse(request, "backoffice/plans/plans.html", page)


@staff_page(PUBLISH)
@require_http_methods(["GET", "POST"])
def publish_page(request: HttpRequest) -> HttpResponseBase:
    """Show the changes that publishing would make, and publish when they are confirmed with a reason."""
    if (answer := require_recent(request)) is not None:
        return answer
    try:
        steps = publish.plan_publish()
    except DomainError as error:
        return _page(request, [], error=_text(error))
    return _confirm(request, steps) if request.method == "POST" else _page(request, steps)


def _confirm(request: HttpRequest, steps: list[PublishStep]) -> HttpResponseBase:
    """Publish if the form is valid and the steps have not changed since they were shown."""
    form = ReasonForm(request.POST)
    if request.POST.get("previewed") != _fingerprint(steps):
        return _page(
            request, steps, form, error="The changes differ from those that you reviewed, so nothing was published. Review them again."
        )
    if not form.is_valid() or _conflicts(steps):
        return _page(request, steps, form)
    try:
        done = publish.publish_catalog(actor=staff(request), reason=form.cleaned_data["reason"])
    except DomainError as error:
        text = f"{_text(error)} Items published before the error are kept. Publish again to continue."
        return _page(request, steps, form, error=text)
    changed = sum(step.state != "same" for step in steps)
    messages.success(request, f"The catalog is published. New or changed items: {changed} of {len(done)}.")
    return HttpResponseRedirect(reverse("backoffice:plans"))


def _page(request: HttpRequest, steps: list[PublishStep], form: ReasonForm | None = None, *, error: str = "") -> HttpResponse:
    changes = [{"state": STATES[step.state], "step": step} for step in steps if step.state != "same"]
    context: dict[str, Any] = {
        "changes": changes,
        "unchanged": [step for step in steps if step.state == "same"],
        "conflicts": _conflicts(steps),
        "configured": BillingManager.is_configured(),
        "fingerprint": _fingerprint(steps),
        "form": form or ReasonForm(),
        "error": error,
    }
    return TemplateResponse(request, "backoffice/plans/publish.html", page_context(request, "Publish the catalog", **context))


def _conflicts(steps: list[PublishStep]) -> list[PublishStep]:
    return [step for step in steps if step.state == "conflict"]


def _fingerprint(steps: list[PublishStep]) -> str:
    return hashlib.sha256("\n".join(map(str, steps)).encode()).hexdigest()


def _text(error: DomainError) -> str:
    """Return the error followed by Stripe's message, which only the operator sees."""
    own = str(error.args[0]) if error.args else ""
    return error.text if error.text in own or not own else f"{error.text} Stripe: {own}"


urlpatterns = [
    path("plans/", plans, name="plans"),
    path("plans/publish/", publish_page, name="publish-plans"),
]
