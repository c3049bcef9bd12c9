"""The page of an organization, its sections, and the comparison with Stripe."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from accounts.authentication import staff
from accounts.models import Organization
from billing.stripe_comparison import compare_with_stripe
from contextmcp.backoffice.actions.registry import ACTIONS, ActionLink, available_actions
from contextmcp.backoffice.decorators import page_context, staff_page
from contextmcp.common.admin_links import object_url
from contextmcp.common.errors import DomainError

from . import attention, header
from .details import OrganizationDetails
from .sections import LATER, OVERVIEW, SECTIONS, read_panels
from .stripe_changes import change_table


@require_safe
@staff_page("accounts.view_organization")
def organization_page(request: HttpRequest, organization_id: UUID) -> HttpResponseBase:
    """Show the header, the problems and the overview. htmx loads the menu of actions and the other sections afterwards."""
    details = _details(request, organization_id)
    context = {
        "problems": attention.problems(details),
        "panels": read_panels(OVERVIEW, details),
        "later": [section for section in LATER if section.permitted(details)],
        "anchors": [panel for section in SECTIONS.values() for panel in section.permitted(details)],
        "has_actions": any(request.user.has_perm(action.permission) for action in ACTIONS.values()),
    }
    return _render(request, details, "backoffice/organization/page.html", context)


@require_safe
@staff_page("accounts.view_organization")
def section(request: HttpRequest, organization_id: UUID, name: str) -> HttpResponseBase:
    """Show one section: as a fragment for htmx, or else as a page."""
    shown = SECTIONS.get(name)
    if shown is None:
        raise Http404
    details = _details(request, organization_id)
    panels = read_panels(shown, details)
    if request.htmx:  # type: ignore[attr-defined]
        return render(
            request, "backoffice/organization/section.html", {"section": shown, "panels": panels, "organization": details.organization}
        )
    return _render(request, details, "backoffice/organization/section_page.html", {"section": shown, "panels": panels})


@require_safe
@staff_page("accounts.view_organization")
def actions(request: HttpRequest, organization_id: UUID) -> HttpResponseBase:
    """Show the menu of actions: as a fragment for htmx, or else as a page."""
    details = _details(request, organization_id)
    context: dict[str, object] = {"action_groups": action_groups(request, details.organization)}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "backoffice/organization/actions.html", context)
    return _render(request, details, "backoffice/organization/actions_page.html", context)


@require_POST
@staff_page("billing.operate_billing")
def compare(request: HttpRequest, organization_id: UUID) -> HttpResponseBase:
    """Fetch the customer from Stripe and show how it differs. Nothing is changed."""
    details = _details(request, organization_id)
    try:
        result = compare_with_stripe(details.organization, staff(request))
    except DomainError as refusal:
        messages.error(request, refusal.text)
        return HttpResponseRedirect(organization_url(details.organization))
    currency = details.account.currency if details.account else ""
    return _render(request, details, "backoffice/organization/comparison.html", {"table": change_table(result.changes, currency)})


def action_groups(request: HttpRequest, organization: Organization) -> dict[str, list[ActionLink]]:
    """Return the actions that the user may perform, by the title of their group."""
    groups: dict[str, list[ActionLink]] = {}
    for link in available_actions(request, organization):
        groups.setdefault(link.group, []).append(link)
    return groups


def organization_url(organization: Organization) -> str:
    return object_url(organization)


def _details(request: HttpRequest, organization_id: UUID) -> OrganizationDetails:
    return OrganizationDetails(get_object_or_404(Organization, pk=organization_id), request.user)


def _render(request: HttpRequest, details: OrganizationDetails, template: str, context: dict[str, object]) -> HttpResponse:
    shared = {
        "organization": details.organization,
        "plan_sentence": header.plan_sentence(details),
        "badges": header.badges(details),
        "clock_sentence": header.clock_sentence(details),
        "facts": header.facts(details),
    }
    return render(request, template, page_context(request, details.organization.name, **shared, **context))
