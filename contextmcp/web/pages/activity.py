"""The page of the organization's history."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.shortcuts import render

from accounts.manager import AuthManager
from accounts.models import Membership
from accounts.types import Caller
from contextmcp.web.activity import timeline
from contextmcp.web.activity.filters import TimelineFilter
from contextmcp.web.activity.visibility import restrictions, visible_kinds
from contextmcp.web.decorators import member_page

# The lists of the filter contain at most this many keys and members.
MAX_CHOICES = 200


class ActivityFilter(TimelineFilter):
    """The filter of a member: the keys that they may see, and the members if they manage them."""

    key = forms.TypedChoiceField(required=False, label="API key", coerce=UUID, empty_value=None)
    member = forms.TypedChoiceField(required=False, label="Member", coerce=int, empty_value=None)

    field_order = ("kind", "since", "until", "key", "member", "code")

    def __init__(self, caller: Caller, data: Any) -> None:
        super().__init__(visible_kinds(caller), data)
        manager = AuthManager(caller.organization)
        self.keys = list(manager.keys(caller)[:MAX_CHOICES])
        self.members: list[Membership] = []
        keys = [(str(key.pk), key.name) for key in self.keys]
        self.fields["key"].choices = [("", "All"), *keys]  # type: ignore[attr-defined]
        if "users:manage" not in caller.permissions:
            del self.fields["member"]
            return
        self.members = list(manager.members()[:MAX_CHOICES])
        members = [(str(member.user_id), member.user.get_full_name()) for member in self.members]
        self.fields["member"].choices = [("", "All"), *members]  # type: ignore[attr-defined]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `timeline`."""
        arguments = super().arguments()
        filters = {"key": self.cleaned_data.get("key"), "member": self.cleaned_data.get("member")}
        return arguments | filters | {"keys": self.keys, "members": [member.user_id for member in self.members]}


@member_page
def activity(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Show the organization's history, newest first, limited to what the member may view."""
    form = ActivityFilter(caller, request.GET)
    before = request.GET.get("before", "")
    page = timeline(caller.organization, audience="customer", before=before, **restrictions(caller), **form.arguments())
    older = request.GET.copy()
    older["before"] = page.next_cursor
    context = {"form": form, "page": page, "older": older.urlencode() if page.next_cursor else "", "before": before}
    return render(request, "web/activity.html", context)
