"""Admin pages of moves to another plan version, and of their subscribers. A move is started on a page of the back office."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.authentication import staff
from contextmcp.common.admin_base import OrganizationRowsAdmin, ReadOnlyAdmin, confirmed_action

from .models import PlanMigration, PlanMigrationItem
from .subscriptions import bulk_migration


@admin.register(PlanMigration)
class PlanMigrationAdmin(ReadOnlyAdmin):
    allowed_changes = ("add",)
    list_display = ("created_at", "to_version", "from_version", "state", "progress", "skipped", "failed", "created_by")
    list_select_related = ("to_version", "from_version", "created_by")
    fields = (
        "to_version",
        "from_version",
        "state",
        "progress",
        "moved",
        "skipped",
        "failed",
        "not_moved",
        "reason",
        "created_by",
        "created_at",
        "stopped_at",
        "finished_at",
    )
    readonly_fields = fields
    actions = ("stop", "resume")

    @admin.display(description="progress")
    def progress(self, migration: PlanMigration) -> str:
        if migration.total is None:
            return "selecting the subscribers"
        percent = 100 * migration.settled // migration.total if migration.total else 100
        return f"{migration.settled:,} of {migration.total:,} ({percent}%)"

    @admin.display(description="not moved (first 50)")
    def not_moved(self, migration: PlanMigration) -> str:
        rows = migration.items.filter(state__in=["skipped", "failed"]).select_related("organization")[:50]
        return "; ".join(f"{row.organization} ({row.stripe_subscription_id}): {row.note}" for row in rows) or "none"

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Open the page that starts a move, with its preview and confirmation."""
        if not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)  # type: ignore[no-any-return]
        return HttpResponseRedirect(reverse("backoffice:system-action", args=["move-plan-version"]))

    @confirmed_action(
        "Stop the move",
        permission="billing.add_planmigration",
        effect="Subscribers that have not been moved keep their version. You can continue the move later.",
        done=("move stopped", "moves stopped"),
    )
    def stop(self, request: HttpRequest, migration: PlanMigration, reason: str) -> None:
        bulk_migration.stop(migration, staff(request), reason)

    @confirmed_action(
        "Continue the move",
        permission="billing.add_planmigration",
        effect="Pending subscribers are moved, and failed ones are retried.",
        done=("move continued", "moves continued"),
    )
    def resume(self, request: HttpRequest, migration: PlanMigration, reason: str) -> None:
        bulk_migration.resume(migration, staff(request), reason)


@admin.register(PlanMigrationItem)
class PlanMigrationItemAdmin(OrganizationRowsAdmin):
    list_display = ("stripe_subscription_id", "organization", "migration", "state", "note", "settled_at")
    list_filter = ("state",)
    list_select_related = ("organization", "migration__to_version")
    search_fields = ("stripe_subscription_id",)
