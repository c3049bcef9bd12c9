"""What the admin pages of all apps share: read-only pages, confirmed actions, and refusals that undo the whole request."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from .errors import DomainError

# An action that is confirmed row by row is meant to be read first. More rows than this nobody reads.
MAX_CONFIRMED_ROWS = 100


class ReadOnly:
    """Give an admin class pages that show rows and change none."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ShowsRefusals:
    """Show a refusal of `save_model` as the only message. The change and its log entry are rolled back with the request."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]
        except DomainError as refusal:
            messages.error(request, refusal.text)
            return HttpResponseRedirect(request.get_full_path())
        return response


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=200,
        help_text="The audit trail keeps it.",
        widget=UnfoldAdminTextInputWidget,
        error_messages={"required": "Give a reason."},
    )


def confirmed_action(
    description: str, *, permission: str, effect: str, done: str
) -> Callable[[Callable[[Any, HttpRequest, Any, str], None]], Callable[..., Any]]:
    """Make an admin action of a function that acts on one row.

    The action first shows a page with the selected rows, `effect` and a form that asks for a reason. Confirmed, it calls
    `function(admin, request, row, reason)` for each row; a `DomainError` is shown for that row and does not stop the others.
    `permission` is the full name of a permission ("accounts.revoke_apikey"), which is asked on both requests.
    """

    def wrap(function: Callable[[Any, HttpRequest, Any, str], None]) -> Callable[..., Any]:
        def run(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            if not request.user.has_perm(permission):
                messages.error(request, "You do not have the permission for this action.")
                return None
            rows = list(queryset[: MAX_CONFIRMED_ROWS + 1])
            if len(rows) > MAX_CONFIRMED_ROWS:
                messages.error(request, f"Select at most {MAX_CONFIRMED_ROWS} rows.")
                return None
            form = ReasonForm(request.POST if "confirmed" in request.POST else None)
            if not form.is_valid():
                return _ask(self, request, rows, form, function.__name__)
            _act(request, rows, lambda row: function(self, request, row, form.cleaned_data["reason"]))
            return None

        def _ask(self: Any, request: HttpRequest, rows: list[Model], form: ReasonForm, name: str) -> HttpResponse:
            context = {
                **self.admin_site.each_context(request),
                "title": description,
                "effect": effect,
                "rows": rows,
                "form": form,
                "action": name,
                "opts": self.opts,
            }
            return TemplateResponse(request, "admin/confirm_action.html", context)

        def _act(request: HttpRequest, rows: list[Model], act: Callable[[Model], None]) -> None:
            count = 0
            for row in rows:
                label = str(row)
                try:
                    act(row)
                    count += 1
                except DomainError as refusal:
                    messages.error(request, f"{label}: {refusal.text}")
            if count:
                messages.success(request, f"{count} {done}.")

        run.__name__ = function.__name__
        run.confirmed_permission = permission  # type: ignore[attr-defined]
        return admin.action(description=description)(run)

    return wrap


class ActionPermissions:
    """Offer an action that `confirmed_action` made only to staff who have its permission."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]
        return {name: each for name, each in actions.items() if _allowed(request, each[0])}


def _allowed(request: HttpRequest, action: Any) -> bool:
    permission = getattr(action, "confirmed_permission", None)
    return permission is None or request.user.has_perm(permission)
