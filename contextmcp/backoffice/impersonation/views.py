"""Start and stop viewing the product as a member."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_POST
from unfold.widgets import UnfoldBooleanSwitchWidget

from accounts.authentication import staff
from accounts.models import Membership
from accounts.models.impersonation import MAX_IMPERSONATION, Impersonation
from accounts.services import impersonation
from contextmcp.backoffice.decorators import page_context, staff_page
from contextmcp.backoffice.reauthentication import require_recent
from contextmcp.common.admin_forms import ReasonForm
from contextmcp.common.admin_links import page_url
from contextmcp.common.errors import DomainError

from . import session


class ImpersonationForm(ReasonForm):
    allows_changes = forms.BooleanField(
        label="Allow changes", required=False, help_text="Changes are recorded under your name.", widget=UnfoldBooleanSwitchWidget
    )


@require_http_methods(["GET", "HEAD", "POST"])
@staff_page(impersonation.PERMISSION)
def start(request: HttpRequest, membership_id: UUID) -> HttpResponse:
    """Show the form with the reason, and start viewing as the member."""
    membership = get_object_or_404(Membership.objects.select_related("organization", "user"), pk=membership_id)
    if (answer := require_recent(request)) is not None:
        return answer
    form = ImpersonationForm(request.POST if request.method == "POST" else None)
    if not request.user.has_perm(impersonation.CHANGES_PERMISSION):
        del form.fields["allows_changes"]
    if request.method == "POST" and form.is_valid():
        try:
            row = impersonation.start(staff(request), membership, **form.cleaned_data)
        except DomainError as refusal:
            messages.error(request, refusal.text)
        else:
            session.enter(request, row)
            return HttpResponseRedirect(reverse("account"))
    title = f"View as {membership.user}"
    minutes = int(MAX_IMPERSONATION.total_seconds() // 60)
    return render(request, "backoffice/impersonate.html", page_context(request, title, form=form, membership=membership, minutes=minutes))


@require_POST
@csrf_protect
def stop(request: HttpRequest) -> HttpResponse:
    """End the impersonation and open the organization's admin page. Without one, this does nothing."""
    row = _end(request, "stopped")
    session.leave(request)
    if row is None or not request.user.is_staff:
        return HttpResponseRedirect(reverse("admin:index"))
    messages.success(request, f"You are no longer viewing the product as {row.user}.")
    return HttpResponseRedirect(page_url("accounts.organization", row.organization_id))


@receiver(user_logged_out)
def signed_out(sender: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    """End the impersonation with the session of the staff member."""
    if request is not None:
        _end(request, "signed out")


def _end(request: HttpRequest, because: str) -> Impersonation | None:
    identifier = session.impersonation_id(request)
    if identifier is None:
        return None
    rows = Impersonation.objects.select_related("staff", "user", "organization")
    row = rows.filter(pk=identifier, staff_id=request.user.pk).first()
    if row is not None:
        impersonation.end(row, because)
    return row


urlpatterns = [
    path("impersonate/<uuid:membership_id>/", start, name="impersonate"),
    path("impersonation/stop/", stop, name="stop-impersonation"),
]
