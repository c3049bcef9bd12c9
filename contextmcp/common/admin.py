"""Staff's view of outgoing email. What a message says is not shown: it may hold a link that signs somebody in."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from .clock import now
from .models import OutgoingEmail


@admin.register(OutgoingEmail)
class OutgoingEmailAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["created_at", "category", "recipients", "subject", "state", "attempts", "last_error", "sent_at"]
    list_filter = ["state", "category"]
    search_fields = ["recipients", "subject", "reference"]
    date_hierarchy = "created_at"
    fields = [*list_display, "reference", "next_attempt_at", "expires_at"]
    readonly_fields = fields
    actions = ["retry"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return user.is_active and user.is_staff and user.has_perm("common.change_outgoingemail")

    @admin.action(description="Send again now", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[OutgoingEmail]) -> None:
        waiting = queryset.filter(state=OutgoingEmail.State.QUEUED).update(next_attempt_at=now())
        self.message_user(request, f"{waiting} will be tried again within seconds.", messages.SUCCESS)
        if others := queryset.exclude(state=OutgoingEmail.State.QUEUED).count():
            text = f"{others} cannot be sent again: the text of what was sent or given up is not kept. Resend it where it came from."
            self.message_user(request, text, messages.WARNING)
