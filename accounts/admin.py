"""Staff's view of identity. Whatever changes goes through the façade, so it is decided and audited in one place."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from contextmcp.common.admin_base import ActionPermissions, ReadOnly, ShowsRefusals, confirmed_action
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError

from .admin_users import MembershipInline, staff
from .forms import ServiceKeyForm
from .keys import public_part
from .manager import AuthManager
from .models import ApiKey, AuditEvent, Invitation, Membership, Organization, ServiceKey
from .services import service_keys


@admin.register(Organization)
class OrganizationAdmin(ShowsRefusals, ActionPermissions, ModelAdmin):  # type: ignore[misc]
    list_display = ["name", "slug", "email", "created_at", "closed_at"]
    list_filter = [("closed_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "slug", "email", "id"]
    fields = ["id", "name", "slug", "email", "created_at", "closed_at", "clock_offset", "test_clock_id"]
    readonly_fields = ["id", "slug", "created_at", "closed_at", "clock_offset", "test_clock_id"]
    inlines = [MembershipInline]
    actions = ["close"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        AuthManager(obj).update(staff(request), name=obj.name, email=obj.email)

    @confirmed_action(
        "Close the organization",
        permission="accounts.close_organization",
        effect="API keys stop at once, members lose access, and a subscription ends at Stripe without a refund. This cannot be undone.",
        done="organizations closed",
    )
    def close(self, request: HttpRequest, organization: Organization, reason: str) -> None:
        AuthManager(organization).close(staff(request), reason=reason)


@admin.register(Membership)
class MembershipAdmin(ShowsRefusals, ActionPermissions, ModelAdmin):  # type: ignore[misc]
    list_display = ["user", "organization", "role", "created_at"]
    list_filter = ["role"]
    list_select_related = ["user", "organization"]
    search_fields = ["user__email", "organization__name"]
    fields = ["organization", "user", "role", "created_at"]
    readonly_fields = ["organization", "user", "created_at"]
    actions = ["remove"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        AuthManager(obj.organization).change_role(staff(request), obj.pk, obj.role)

    @confirmed_action(
        "Remove from the organization",
        permission="accounts.remove_membership",
        effect="These members lose access to the organization, and the API keys they made stop.",
        done="members removed",
    )
    def remove(self, request: HttpRequest, member: Membership, reason: str) -> None:
        AuthManager(member.organization).remove_member(staff(request), member.pk, reason=reason)


@admin.register(Invitation)
class InvitationAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ["email", "organization", "role", "created_at", "expires_at", "sent_at", "accepted_at", "revoked_at"]
    list_select_related = ["organization"]
    search_fields = ["email", "organization__name"]
    fields = [*list_display, "invited_by", "accepted_by"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly, ActionPermissions, ModelAdmin):  # type: ignore[misc]
    """Never what recognises a key; only what tells keys apart."""

    list_display = ["name", "hint", "organization", "created_by", "state", "expires_at", "last_used_at"]
    list_filter = ["environment", ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["organization", "created_by"]
    search_fields = ["name", "public_id", "organization__name", "created_by__email"]
    fields = [
        "id",
        "name",
        "hint",
        "organization",
        "creator",
        "created_by",
        "scopes",
        "environment",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
        "rotated_from",
    ]
    actions = ["revoke"]

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        return key.status(now(key.organization))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Never answer an address with a secret in it: a pasted key is cut to its public part first."""
        query = request.GET.copy()
        if (part := public_part(query.get("q", ""))) != query.get("q", "").strip():
            query["q"] = part
            return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")
        return super().changelist_view(request, extra_context)  # type: ignore[no-any-return]

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[ApiKey], search_term: str) -> tuple[QuerySet[ApiKey], bool]:
        """Find a key by what a customer quotes of it: the shown hint, or any beginning of the key."""
        return super().get_search_results(request, queryset, public_part(search_term))  # type: ignore[no-any-return]

    @confirmed_action(
        "Revoke the key",
        permission="accounts.revoke_apikey",
        effect="These keys stop working at once and everywhere. This cannot be undone.",
        done="keys revoked",
    )
    def revoke(self, request: HttpRequest, key: ApiKey, reason: str) -> None:
        AuthManager(key.organization).revoke_key(staff(request), key.pk, reason=reason)


@admin.register(ServiceKey)
class ServiceKeyAdmin(ModelAdmin):  # type: ignore[misc]
    """Created and rotated here too; the text of a new key is shown once, in the answer, and stored nowhere."""

    list_display = ["__str__", "scopes", "expires_at", "revoked_at", "last_used_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "public_id"]
    actions = ["rotate", "revoke"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return ["name", "scopes", "expires_at"]
        made = ["environment", "created_by", "created_at", "revoked_at", "last_used_at", "rotated_from"]
        return ["id", "name", "scopes", "expires_at", *made]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else self.get_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is None:
            options["form"] = ServiceKeyForm
        return super().get_form(request, obj, change, **options)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_manage_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return user.is_active and user.is_staff and user.has_perm("accounts.change_servicekey")

    def save_model(self, request: HttpRequest, obj: ServiceKey, form: Any, change: bool) -> None:
        made, raw = service_keys.create(staff(request), obj.name, obj.scopes, obj.expires_at)
        obj.pk = made.pk
        request.service_key_text = raw  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ServiceKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown_once(request, [request.service_key_text])  # type: ignore[attr-defined]

    @admin.action(description="Rotate: the old key works for 24 more hours", permissions=["manage"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ServiceKey]) -> HttpResponse | None:
        made = []
        for key in queryset:
            try:
                made.append(service_keys.rotate(staff(request), key)[1])
            except DomainError as refusal:
                self.message_user(request, f"{key}: {refusal.text}", messages.ERROR)
        return self._shown_once(request, made) if made else None

    @admin.action(description="Revoke, at once and everywhere", permissions=["manage"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ServiceKey]) -> None:
        for key in queryset:
            service_keys.revoke(staff(request), key)

    def _shown_once(self, request: HttpRequest, made: list[str]) -> HttpResponse:
        """In the answer itself: a message would be stored in the session."""
        context = {**self.admin_site.each_context(request), "title": "New service key", "keys": made}
        return TemplateResponse(request, "admin/service_key.html", context, headers={"Cache-Control": "no-store"})


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ["created_at", "action", "target", "organization", "actor_user", "actor_key", "reason", "address"]
    list_filter = ["action"]
    list_select_related = ["organization", "actor_user", "actor_key"]
    date_hierarchy = "created_at"
    search_fields = ["action", "target", "organization__name", "actor_user__email", "request_id"]
    fields = [*list_display, "before", "after", "request_id"]
