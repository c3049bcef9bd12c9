"""The admin pages of the work queue: the list with its counts, an item, and the actions on items."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.authentication import staff
from accounts.models import User, WorkItem
from contextmcp.common.admin_base import MarksTestClocks, ReadOnlyAdmin, confirmed_action, confirmed_batch_action
from contextmcp.common.admin_links import list_url, page_url
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError, ValidationFailed

from . import selectors, services
from .sources import SOURCES

LINK = '<a class="text-primary-600 dark:text-primary-400 underline" href="{}">{}</a>'
SNOOZE_DAYS = {"1": "Until tomorrow", "3": "For 3 days", "7": "For a week", "30": "For 30 days"}
State = Callable[[Any, HttpRequest], Any]
_STATES: dict[str, tuple[str, State]] = {
    "open": ("Open", lambda items, request: items.open(at=now())),
    "mine": ("Mine", lambda items, request: items.open(at=now()).filter(owner=request.user)),
    "unassigned": ("Unassigned", lambda items, request: items.open(at=now()).filter(owner=None)),
    "snoozed": ("Snoozed", lambda items, request: items.snoozed(at=now())),
    "closed": ("Done", lambda items, request: items.filter(closed_at__isnull=False)),
    "all": ("All", lambda items, request: items),
}


class StateFilter(admin.SimpleListFilter):
    """Filters by state. Without a choice, open items are shown."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in _STATES.items()]

    def choices(self, changelist: Any) -> Any:
        for name, title in self.lookup_choices:
            selected = (self.value() or "open") == name
            yield {"selected": selected, "query_string": changelist.get_query_string({self.parameter_name: name}), "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        _, filtered = _STATES.get(self.value() or "open", _STATES["open"])
        # An action applies to the selected rows, even if the list does not show them by default.
        if request.method == "POST" and self.value() is None:
            return queryset
        result: QuerySet[Any] = filtered(queryset, request)
        return result


class KindFilter(admin.SimpleListFilter):
    """Filters by the kind of problem."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, source.title) for kind, source in selectors.visible_kinds(request.user).items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


def _handlers(rows: list[WorkItem]) -> dict[str, Any]:
    return {"people": handlers()}


def handlers() -> QuerySet[User]:
    """Return the staff who may handle items."""
    permission = Permission.objects.filter(content_type__app_label="accounts", codename="handle_workitem")
    allowed = Q(is_superuser=True) | Q(groups__permissions__in=permission) | Q(user_permissions__in=permission)
    return User.objects.filter(allowed, is_staff=True, is_active=True).distinct().order_by("email")


@admin.register(WorkItem)
class WorkItemAdmin(MarksTestClocks, ReadOnlyAdmin):
    list_display = ("problem", "object", "organization_link", "owner_shown", "state", "last_seen_at")
    list_display_links = ("problem",)
    ordering = ("priority", "-last_seen_at", "-id")
    list_filter = (StateFilter, KindFilter, "priority")
    list_select_related = ("organization", "owner", "closed_by")
    search_fields = ("object_id__startswith", "organization__slug__startswith", "owner__email__startswith")
    search_help_text = "ID of the object, or the beginning of an organization's slug or an owner's email address"
    fields = (
        "title",
        "detail",
        "kind_shown",
        "object",
        "organization_link",
        "priority",
        "owner",
        "state",
        "first_seen_at",
        "last_seen_at",
        "note",
    )
    readonly_fields = fields
    ordering = ("-priority", "-last_seen_at", "-id")
    list_before_template = "backoffice/work_queue/counts.html"
    actions = ("take", "assign", "snooze", "done", "reopen")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkItem]:
        queryset: QuerySet[WorkItem] = super().get_queryset(request)
        return queryset.filter(kind__in=selectors.visible_kinds(request.user))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        counts = {
            "kinds": selectors.open_counts(request.user),
            "list_url": list_url("accounts.workitem"),
            "chosen": request.GET.get("kind", ""),
        }
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **counts})
        return response

    def row_actions(self, request: HttpRequest, row: WorkItem) -> list[tuple[str, str]]:
        applicable = {"reopen"} if _is_hidden(row) else {"take", "assign", "snooze", "done"}
        return [(name, description) for name, description in super().row_actions(request, row) if name in applicable]

    @admin.display(description="problem", ordering="title")
    def problem(self, item: WorkItem) -> str:
        return item.title

    @admin.display(description="kind", ordering="kind")
    def kind_shown(self, item: WorkItem) -> str:
        return SOURCES[item.kind].title

    @admin.display(description="object")
    def object(self, item: WorkItem) -> SafeString:
        return format_html(LINK, SOURCES[item.kind].url(item.object_id), f"{item.kind.replace('_', ' ')} {item.object_id}")

    @admin.display(description="organization")
    def organization_link(self, item: WorkItem) -> SafeString | str:
        if item.organization is None:
            return "-"
        return format_html(LINK, page_url("accounts.organization", item.organization_id), item.organization.name)

    @admin.display(description="owner", ordering="owner__email")
    def owner_shown(self, item: WorkItem) -> str:
        return item.owner.get_full_name() if item.owner else "none"

    @admin.display(description="state", ordering="closed_at")
    def state(self, item: WorkItem) -> str:
        if item.closed_at is not None:
            return f"done by {item.closed_by}" if item.closed_by else "ended by itself"
        if _is_hidden(item):
            return f"snoozed until {item.snoozed_until:%Y-%m-%d %H:%M}"
        return "open"

    @confirmed_action(
        "Assign to me",
        permission=services.HANDLE,
        effect="These items will be assigned to you.",
        done=("item assigned to you", "items assigned to you"),
    )
    def take(self, request: HttpRequest, item: WorkItem, reason: str) -> None:
        services.assign(item, staff(request), staff(request), reason)

    @confirmed_batch_action(
        "Assign to...",
        permission=services.HANDLE,
        effect="These items will be assigned to the selected person.",
        template="backoffice/work_queue/assign.html",
        context=_handlers,
    )
    def assign(self, request: HttpRequest, items: list[WorkItem], reason: str) -> None:
        chosen = request.POST.get("owner", "")
        owner = None if chosen == "none" else next((each for each in handlers() if str(each.pk) == chosen), None)
        if owner is None and chosen != "none":
            raise ValidationFailed("Select an owner.")
        done = f"assigned to {owner}" if owner else "without an owner now"
        _each(request, items, done, lambda item: services.assign(item, owner, staff(request), reason))

    @confirmed_batch_action(
        "Snooze",
        permission=services.HANDLE,
        effect="These items will be hidden from the list of open items until the selected time.",
        template="backoffice/work_queue/snooze.html",
        context=lambda rows: {"periods": SNOOZE_DAYS},
    )
    def snooze(self, request: HttpRequest, items: list[WorkItem], reason: str) -> None:
        days = request.POST.get("days", "")
        if days not in SNOOZE_DAYS:
            raise ValidationFailed("Choose for how long.")
        until = now() + timedelta(days=int(days))
        _each(
            request, items, f"snoozed until {until:%Y-%m-%d %H:%M} UTC", lambda item: services.snooze(item, until, staff(request), reason)
        )

    @confirmed_action(
        "Mark as done",
        permission=services.HANDLE,
        effect="These items will be closed. In the reason, describe what you did. An item reopens if its problem occurs again.",
        done=("item closed", "items closed"),
    )
    def done(self, request: HttpRequest, item: WorkItem, reason: str) -> None:
        services.close(item, staff(request), reason)

    @confirmed_action(
        "Reopen",
        permission=services.HANDLE,
        effect="These items will be reopened.",
        done=("item reopened", "items reopened"),
    )
    def reopen(self, request: HttpRequest, item: WorkItem, reason: str) -> None:
        services.reopen(item, staff(request), reason)


def _is_hidden(item: WorkItem) -> bool:
    return item.closed_at is not None or (item.snoozed_until is not None and item.snoozed_until > now())


def _each(request: HttpRequest, items: list[WorkItem], done: str, change: Callable[[WorkItem], None]) -> None:
    count = 0
    for item in items:
        try:
            change(item)
            count += 1
        except DomainError as refusal:
            messages.error(request, f"{item}: {refusal.text}")
    if count:
        messages.success(request, f"{count} item{'s' if count > 1 else ''} {done}.")
