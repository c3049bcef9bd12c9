"""The history of an organization, for staff."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe
from unfold.widgets import INPUT_CLASSES, SELECT_CLASSES

from accounts.models import Organization, User
from contextmcp.common.admin_base import clock_note
from contextmcp.common.admin_links import object_url
from contextmcp.common.errors import DomainError
from contextmcp.web.activity import KINDS, timeline
from contextmcp.web.activity.filters import TimelineFilter

from .decorators import page_context, staff_page


class StaffFilter(TimelineFilter):
    """The filter of staff: any key or connected app by its ID, and any person by their email address."""

    key = forms.UUIDField(required=False, label="ID of a key or app")
    member = forms.EmailField(required=False, label="Email of a person")

    field_order = ("kind", "since", "until", "code", "member", "key")

    def __init__(self, data: Any) -> None:
        super().__init__(KINDS, data)
        for name, field in self.fields.items():
            field.widget.attrs["class"] = " ".join(SELECT_CLASSES if name == "kind" else INPUT_CLASSES)

    def clean_member(self) -> int | None:
        """Return the ID of the user."""
        email: str = self.cleaned_data["member"]
        if not email:
            return None
        user = User.objects.filter(email=email.lower()).first()
        if user is None:
            raise forms.ValidationError("No user has this address.")
        return user.pk

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `timeline`."""
        arguments = super().arguments()
        return arguments | {"key": self.cleaned_data.get("key"), "member": self.cleaned_data.get("member")}


@require_safe
@staff_page("accounts.view_auditevent")
def timeline_page(request: HttpRequest, organization_id: UUID) -> HttpResponseBase:
    """Show the organization's history with its internal entries, newest first."""
    organization = get_object_or_404(Organization, pk=organization_id)
    form = StaffFilter(request.GET)
    filters, before = form.arguments(), request.GET.get("before", "")
    try:
        page, error = timeline(organization, audience="staff", before=before, **filters), ""
    except DomainError as refusal:
        page, error = timeline(organization, audience="staff", **filters), refusal.text
    older = request.GET.copy()
    older["before"] = page.next_cursor
    context = page_context(
        request,
        f"Timeline of {organization.name}",
        organization=organization,
        back=object_url(organization),
        clock=clock_note(organization),
        form=form,
        entries=page.entries,
        older=older.urlencode() if page.next_cursor else "",
        before=before,
        error=error,
    )
    return TemplateResponse(request, "backoffice/timeline_page.html", context)
