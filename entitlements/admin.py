"""Admin pages of plan versions (read-only), grants and overrides (added and ended)."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.decorators import display

from accounts.authentication import staff
from accounts.own_organization import require_other_organization
from contextmcp.common.admin_base import ORGANIZATION_PATHS, MarksTestClocks, ReadOnlyAdmin, confirmed_action
from contextmcp.common.admin_filters import choices_filter
from contextmcp.common.clock import now

from .catalog import CATALOG
from .errors import GrantOfSubscription
from .forms import MANUAL_SOURCES, GrantForm, OverrideForm
from .manager import EntitlementsManager
from .models import Grant, Override, PlanVersion


class AppendOnlyAdmin(MarksTestClocks, ReadOnlyAdmin):
    """Admin class for rows that are added and ended, but never edited or deleted.

    `add_fields` names the fields of the form that adds a row, `view_fields` names the fields of a row's page.
    """

    recent_authentication = True
    allowed_changes = ("add",)
    add_fields: tuple[str, ...] = ()
    view_fields: tuple[str, ...] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.add_fields if obj is None else self.view_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.view_fields


@admin.register(PlanVersion)
class PlanVersionAdmin(ReadOnlyAdmin):
    list_display = ["plan", "version", "published_at"]
    list_filter = [choices_filter("plan", lambda: [plan.name for plan in CATALOG.plans])]


@admin.register(Grant)
class GrantAdmin(AppendOnlyAdmin):
    form = GrantForm
    list_display = ["organization", "plan_version", "source", "starts_at", "ends_at", "state", "reason", "created_by"]
    list_filter = ["source", "plan_version"]
    list_select_related = ["organization", "plan_version", "created_by"]
    search_fields = [*ORGANIZATION_PATHS, "reference"]
    autocomplete_fields = ["organization"]
    add_fields = GrantForm.Meta.fields
    view_fields = (
        "organization",
        "plan_version",
        "source",
        "state",
        "starts_at",
        "ends_at",
        "anchor",
        "lapsed",
        "reason",
        "reference",
        "created_by",
        "created_at",
    )
    actions = ["end_now"]

    @display(description="State")  # type: ignore[untyped-decorator]
    def state(self, grant: Grant) -> str:
        present = now(grant.organization)
        if grant.ends_at is not None and grant.ends_at <= present:
            return "ended"
        return "in effect" if grant.starts_at <= present else "starts later"

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:
        data = form.cleaned_data
        require_other_organization(staff(request), obj.organization)
        manager = EntitlementsManager(obj.organization)
        before = _plan_in_effect(manager)
        grant = manager.grant(
            obj.plan_version,
            data["source"],
            reason=data["reason"],
            starts_at=data["starts_at"],
            ends_at=data["ends_at"],
            actor=staff(request),
        )
        obj.pk, obj.starts_at = grant.pk, grant.starts_at
        after = _plan_in_effect(manager)
        if after == before:
            messages.warning(request, f"The grant was added. The plan in effect is still {after}.")
        else:
            messages.info(request, f"The plan in effect is now {after}. Previously: {before}.")

    @confirmed_action(
        "End the grant now",
        permission="entitlements.add_grant",
        effect="The grants end immediately. Other active grants then determine the plan, or the free plan applies.",
        done=("grant ended", "grants ended"),
    )
    def end_now(self, request: HttpRequest, grant: Grant, reason: str) -> None:
        if grant.source not in MANUAL_SOURCES:
            raise GrantOfSubscription
        EntitlementsManager(grant.organization).end_grant(grant, staff(request), reason=reason)


@admin.register(Override)
class OverrideAdmin(AppendOnlyAdmin):
    form = OverrideForm
    list_display = ["organization", "feature", "shown_value", "ends_at", "state", "reason", "created_by"]
    list_filter = [
        choices_filter("feature", lambda: [feature.name for feature in CATALOG.features]),
        ("ended_at", admin.EmptyFieldListFilter),
    ]
    list_select_related = ["organization", "created_by"]
    search_fields = ORGANIZATION_PATHS
    autocomplete_fields = ["organization"]
    add_fields = ("organization", "feature", "value", "unlimited", "ends_at", "reason")
    view_fields = ("organization", "feature", "shown_value", "state", "ends_at", "ended_at", "reason", "created_by", "created_at")
    actions = ["end_now"]

    @display(description="Value", ordering="value")  # type: ignore[untyped-decorator]
    def shown_value(self, override: Override) -> str:
        return "unlimited" if override.value is None else str(override.value).lower()

    @display(description="State")  # type: ignore[untyped-decorator]
    def state(self, override: Override) -> str:
        if override.ended_at is not None:
            return "ended"
        return "expired" if override.ends_at is not None and override.ends_at <= now(override.organization) else "in effect"

    def save_model(self, request: HttpRequest, obj: Override, form: Any, change: bool) -> None:
        data = form.cleaned_data
        require_other_organization(staff(request), obj.organization)
        override = EntitlementsManager(obj.organization).override(
            data["feature"], data["value"], reason=data["reason"], ends_at=data["ends_at"], actor=staff(request)
        )
        obj.pk, obj.value = override.pk, override.value

    @confirmed_action(
        "End the override now",
        permission="entitlements.add_override",
        effect="The plan's own value applies again immediately.",
        done=("override ended", "overrides ended"),
    )
    def end_now(self, request: HttpRequest, override: Override, reason: str) -> None:
        require_other_organization(staff(request), override.organization)
        EntitlementsManager(override.organization).end_override(override, staff(request), reason=reason)


def _plan_in_effect(manager: EntitlementsManager) -> str:
    entitlements = manager.entitlements()
    return f"{entitlements.plan_title} ({entitlements.source})"
