"""The base of all admin pages: read-only pages, actions with a confirmation page, and errors that roll back the request."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from .admin_forms import ReasonForm
from .admin_lists import KeysetListMixin
from .admin_search import MAX_RELATED, describe, search
from .errors import DomainError

# Staff check the selected rows before they confirm an action; a longer list would not be checked.
MAX_CONFIRMED_ROWS = 100
SHOWN_ROWS = 100


# A function that returns a sentence for each row, which names the organization that the row concerns.
RowPreview = Callable[[list[Any]], list[str]]


class MarksTestClocks:
    """Mixin that marks organizations with a Stripe test clock, because the dates of their rows are not in real time."""

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)  # type: ignore[misc]
        return ["organization_with_clock" if column == "organization" else column for column in columns]

    @admin.display(description="organization", ordering="organization__name")
    def organization_with_clock(self, row: Any) -> str:
        note = clock_note(row.organization)
        return f"{row.organization} ({note})" if note else str(row.organization or "-")

    @admin.display(description="clock", ordering="clock_offset")
    def clock(self, organization: Any) -> str:
        return clock_note(organization) or "real time"

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, obj: Any = None, **kwargs: Any) -> HttpResponse:
        offset = clock_offset(obj if hasattr(obj, "test_clock_id") else getattr(obj, "organization", None))
        if offset:
            messages.info(request, f"This organization uses a Stripe test clock that is {offset}. Its dates are not in real time.")
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]
        return response


def clock_note(organization: Any) -> str:
    """Return a note about the organization's test clock, or an empty string if it has none."""
    offset = clock_offset(organization)
    return f"Stripe test clock, {offset}" if offset else ""


def clock_offset(organization: Any) -> str:
    """Return how far the organization's test clock is ahead or behind, or an empty string if it has none."""
    if organization is None or not organization.test_clock_id:
        return ""
    offset: timedelta = organization.clock_offset
    hours = round(abs(offset).total_seconds() / 3600)
    length = f"{hours // 24} days" if hours >= 48 else f"{hours} hour{'' if hours == 1 else 's'}"
    return f"{length} {'behind' if offset < timedelta() else 'ahead'}"


def confirmed_reason(request: HttpRequest, count: int) -> str | None:
    """Return the reason of a confirmed action, or None if the confirmation page must be shown (again).

    If staff selected all rows of a list, the list's filter selects the rows again. If their number differs from the number that the page
    showed, the page must be shown again.
    """
    form = ReasonForm(request.POST)
    if "confirmed" not in request.POST or not form.is_valid():
        return None
    if request.POST.get("select_across") == "1" and request.POST.get("expected") != str(count):
        messages.warning(request, "The selected rows have changed. Check them again.")
        return None
    reason: str = form.cleaned_data["reason"]
    return reason


def confirmation(
    model_admin: Any,
    request: HttpRequest,
    rows: list[Any],
    *,
    template: str = "admin/confirm_action.html",
    preview: RowPreview | None = None,
    **context: Any,
) -> HttpResponse:
    """Return the confirmation page of an action with a form for the reason. `context` has `title`, `effect` and `action` (its name).

    `preview` says for each row what the action will do to it. By default, the row's organization is shown.
    """
    all_rows = request.POST.get("select_across") == "1"
    form = ReasonForm(request.POST if "confirmed" in request.POST else None)
    shown: dict[str, Any] = {"others": len(rows[SHOWN_ROWS:]), "selected": rows[:1] if all_rows else rows, "across": all_rows}
    shown["rows"] = list(zip(rows[:SHOWN_ROWS], (preview or _organization_names)(rows[:SHOWN_ROWS]), strict=True))
    page = {**model_admin.admin_site.each_context(request), "form": form, "opts": model_admin.opts, "count": len(rows), **shown, **context}
    return TemplateResponse(request, template, page)


def _organization_names(rows: list[Any]) -> list[str]:
    """Return the name of each row's organization, or empty strings for rows that have none, or that are organizations themselves."""
    return [str(getattr(row, "organization", None) or "") for row in rows]


def confirmed_batch_action(
    description: str,
    *,
    permission: str,
    effect: str,
    max_rows: int | None = MAX_CONFIRMED_ROWS,
    template: str = "admin/confirm_action.html",
    context: Callable[[list[Any]], dict[str, Any]] = lambda rows: {},
    preview: RowPreview | None = None,
) -> Callable[[Callable[[Any, HttpRequest, list[Any], str], HttpResponse | None]], Callable[..., Any]]:
    """Turn `function(admin, request, rows, reason)` into an admin action.

    The action first shows a page with the selected rows and their `preview`, `effect`, a form for a reason, and what `context` adds for
    `template`. When it is confirmed, the function is called and may return a response; by default the changelist is shown. A `DomainError`
    is shown as a message. `permission` is the full name of a permission ("accounts.revoke_apikey"), which is checked on both requests.
    Set a low `max_rows` for an action that calls another service for each row.
    """

    def wrap(function: Callable[[Any, HttpRequest, list[Any], str], HttpResponse | None]) -> Callable[..., Any]:
        def run(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            if not request.user.has_perm(permission):
                messages.error(request, "You do not have permission to perform this action.")
                return None
            rows = list(queryset if max_rows is None else queryset[: max_rows + 1])
            if max_rows is not None and len(rows) > max_rows:
                messages.error(request, f"Select at most {max_rows} rows.")
                return None
            try:
                reason = confirmed_reason(request, len(rows))
                if reason is None:
                    page = {"title": description, "effect": effect, "action": function.__name__, "preview": preview, **context(rows)}
                    return confirmation(self, request, rows, template=template, **page)
                return function(self, request, rows, reason)
            except DomainError as refusal:
                messages.error(request, refusal.text)
                return None

        run.__name__ = function.__name__
        run.confirmed_permission = permission  # type: ignore[attr-defined]
        return admin.action(description=description)(run)

    return wrap


def confirmed_action(
    description: str,
    *,
    permission: str,
    effect: str,
    done: tuple[str, str],
    max_rows: int = MAX_CONFIRMED_ROWS,
    preview: RowPreview | None = None,
    respond: Callable[[Any, HttpRequest, list[Any]], HttpResponse] | None = None,
) -> Callable[[Callable[[Any, HttpRequest, Any, str], Any]], Callable[..., Any]]:
    """Turn `function(admin, request, row, reason)` into an admin action that calls it for each row (see `confirmed_batch_action`).

    A `DomainError` is shown for its row and does not stop the others. `done` is the result in singular and plural: ("key revoked",
    "keys revoked"). `respond` builds the response from the function's return values.
    """

    def wrap(function: Callable[[Any, HttpRequest, Any, str], Any]) -> Callable[..., Any]:
        def batch_action(self: Any, request: HttpRequest, rows: list[Any], reason: str) -> HttpResponse | None:
            results = []
            for row in rows:
                label = str(row)
                try:
                    results.append(function(self, request, row, reason))
                except DomainError as refusal:
                    _mark_refused(request, refusal, function.__name__)
                    messages.error(request, f"{label}: {refusal.text}")
            if results:
                messages.success(request, f"{len(results)} {done[len(results) > 1]}.")
            return respond(self, request, results) if respond and results else None

        batch_action.__name__ = function.__name__
        return confirmed_batch_action(description, permission=permission, effect=effect, max_rows=max_rows, preview=preview)(batch_action)

    return wrap


def _mark_refused(request: HttpRequest, refusal: DomainError, action: str) -> None:
    """Mark a forbidden attempt on the request. The back office records it, although the response does not have the status 403."""
    if refusal.status == 403:
        request.refused_action = action  # type: ignore[attr-defined]


def _allowed(request: HttpRequest, action: Any) -> bool:
    permission = getattr(action, "confirmed_permission", None)
    return permission is None or request.user.has_perm(permission)


class ReadOnlyRows:
    """Mixin for read-only pages and inlines. `allowed_changes` ("add", "change") lists the exceptions."""

    allowed_changes: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return "add" in self.allowed_changes and super().has_add_permission(request)  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return "change" in self.allowed_changes and super().has_change_permission(request, obj)  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnlyRows, KeysetListMixin, ModelAdmin):  # type: ignore[misc]
    """Base of all admin classes. Changes go through services, in `save_model` if `allowed_changes` allows them, or in actions.

    Actions of `confirmed_action` are offered only to staff who have the action's permission. A `DomainError` raised by `save_model` is
    shown as a message, and the change and its log entry are rolled back. `search_fields` has the paths of `admin_search.search`.
    """

    # If true, forms and actions require authentication within the last 15 minutes (contextmcp.backoffice.reauthentication).
    recent_authentication = False
    # The forms of row actions are outside of the page's own form, because forms cannot be nested.
    change_form_outer_before_template = "admin/row_actions.html"

    search_help_text: Any = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.search_fields and not self.search_help_text:
            self.search_help_text = describe(self.model, self.search_fields)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        return {name: each for name, each in actions.items() if _allowed(request, each[0])}

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Run an action. Raises `ValidationError` for a malformed ID, which would otherwise cause a server error."""
        for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
            self.opts.pk.to_python(text)
        response: HttpResponse | None = super().response_action(request, queryset)
        return response

    def row_actions(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Return the actions that the page of a row offers, as names with descriptions. They open the same confirmation as on the list."""
        actions = self.get_actions(request).items()
        return [(name, str(each[2])) for name, each in actions if hasattr(each[0], "confirmed_permission")]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, obj: Any = None, **kwargs: Any) -> HttpResponse:
        if obj is not None:
            list_url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            context |= {"row_actions": self.row_actions(request, obj), "list_url": list_url}
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        results, complete = search(queryset, self.get_search_fields(request), search_term)
        if not complete and request.resolver_match and str(request.resolver_match.url_name).endswith("_changelist"):
            messages.warning(request, f"More than {MAX_RELATED} related rows match, so results are missing. Enter more characters.")
        return results, False

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except DomainError as refusal:
            _mark_refused(request, refusal, "form")
            messages.error(request, refusal.text)
            return HttpResponseRedirect(request.get_full_path())
        return response


# Paths that find rows of an organization.
ORGANIZATION_PATHS = ("organization__name__istartswith", "organization__slug__startswith", "organization__id")


class OrganizationRowsAdmin(MarksTestClocks, ReadOnlyAdmin):
    """Rows that belong to an organization."""

    list_select_related: Sequence[str] = ("organization",)
    search_fields: Sequence[str] = ORGANIZATION_PATHS
