"""Admin pages of organizations, members, invitations, keys and audit events. Changes go through `AuthManager`, which audits them."""

import re
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from contextmcp.common.admin_base import ORGANIZATION_PATHS, MarksTestClocks, ReadOnlyAdmin, confirmed_action
from contextmcp.common.admin_filters import indexed_values_filter
from contextmcp.common.clock import now

from . import admin_users  # noqa: F401 - registers its pages
from .authentication import staff
from .forms import ServiceKeyForm
from .manager import AuthManager
from .models import ApiKey, AuditEvent, Impersonation, Invitation, Membership, Organization, ServiceKey
from .oauth import admin as oauth_admin  # noqa: F401 - registers its pages
from .services import service_keys


@admin.register(Organization)
class OrganizationAdmin(MarksTestClocks, ReadOnlyAdmin):
    list_display = ["name", "slug", "email", "created_at", "closed_at", "clock"]
    list_filter = [("closed_at", admin.EmptyFieldListFilter)]
    search_fields = ["name__istartswith", "slug__startswith", "email__istartswith", "id", "memberships__user__email__startswith"]
    fields = ["id", "name", "slug", "email", "created_at", "closed_at", "clock_offset", "test_clock_id"]
    readonly_fields = fields
    actions = ["close"]

    @confirmed_action(
        "Close the organization",
        permission="accounts.close_organization",
        effect=(
            "API keys and connected apps stop working, members lose access, and Stripe cancels the subscription at once, without a refund. "
            "Reopening the organization restores its members, but not its keys, apps and subscription."
        ),
        done=("organization closed", "organizations closed"),
    )
    def close(self, request: HttpRequest, organization: Organization, reason: str) -> None:
        AuthManager(organization).close(staff(request), reason=reason)


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    """Shows memberships. Roles are changed with a staff action on the organization's page, which has a preview and requires a reason."""

    list_display = ["user", "organization", "role", "created_at"]
    list_filter = ["role"]
    list_select_related = ["user", "organization"]
    search_fields = ["user__email__startswith", *ORGANIZATION_PATHS]
    fields = ["organization", "user", "role", "change_role", "created_at", "view_as"]
    readonly_fields = fields
    recent_authentication = True
    actions = ["remove"]

    @admin.display(description="change")
    def change_role(self, member: Membership) -> str:
        action = reverse("backoffice:action", args=[member.organization_id, "change-role"])
        return format_html('<a href="{}?member={}">Change the role</a>', action, member.pk)

    @admin.display(description="support")
    def view_as(self, member: Membership) -> str:
        return format_html('<a href="{}">View the product as this member</a>', reverse("backoffice:impersonate", args=[member.pk]))

    @confirmed_action(
        "Remove from the organization",
        permission="accounts.remove_membership",
        effect="These members lose access to the organization. The keys that they created and the apps that they connected stop working.",
        done=("member removed", "members removed"),
    )
    def remove(self, request: HttpRequest, member: Membership, reason: str) -> None:
        AuthManager(member.organization).remove_member(staff(request), member.pk, reason=reason)


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ["email", "organization", "role", "created_at", "expires_at", "sent_at", "accepted_at", "revoked_at"]
    list_filter = [("accepted_at", admin.EmptyFieldListFilter), ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["organization"]
    search_fields = ["email__startswith", *ORGANIZATION_PATHS]
    fields = [*list_display, "invited_by", "accepted_by"]


@admin.register(ApiKey)
class ApiKeyAdmin(MarksTestClocks, ReadOnlyAdmin):
    """Shows identifying fields of keys. Hashes are not shown."""

    list_display = ["name", "hint", "organization", "created_by", "state", "expires_at", "last_used_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["organization", "created_by"]
    search_fields = ["public_id__startswith", "id", *ORGANIZATION_PATHS, "created_by__email__startswith"]
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

    @confirmed_action(
        "Revoke the key",
        permission="accounts.revoke_apikey",
        effect="These keys stop working immediately. This cannot be undone.",
        done=("key revoked", "keys revoked"),
    )
    def revoke(self, request: HttpRequest, key: ApiKey, reason: str) -> None:
        AuthManager(key.organization).revoke_key(staff(request), key.pk, reason=reason)


@admin.register(ServiceKey)
class ServiceKeyAdmin(ReadOnlyAdmin):
    """Service keys can be created, rotated and revoked. A new key is shown once, in the response, and is not stored."""

    allowed_changes = ("add",)
    recent_authentication = True
    list_display = ["__str__", "scopes", "expires_at", "revoked_at", "last_used_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name__istartswith", "public_id__startswith"]
    actions = ["rotate", "revoke"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return ["name", "scopes", "expires_at", "submission", "reason"]
        generated = ["environment", "created_by", "created_at", "revoked_at", "last_used_at", "rotated_from"]
        return ["id", "name", "scopes", "expires_at", *generated]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else self.get_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is None:
            options["form"] = ServiceKeyForm
        return super().get_form(request, obj, change, **options)

    def save_model(self, request: HttpRequest, obj: ServiceKey, form: Any, change: bool) -> None:
        data = form.cleaned_data
        options = {"key_id": data["submission"], "reason": data["reason"]}
        key, raw = service_keys.create(staff(request), obj.name, obj.scopes, obj.expires_at, **options)
        obj.pk = key.pk
        request.service_key_text = raw  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ServiceKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown_once(request, [request.service_key_text])  # type: ignore[attr-defined]

    @confirmed_action(
        "Rotate the key",
        permission="accounts.change_servicekey",
        effect="Each of these keys gets a successor, which is shown once. The old key works for 24 more hours.",
        done=("key rotated", "keys rotated"),
        max_rows=10,
        respond=lambda self, request, raw_keys: self._shown_once(request, raw_keys),
    )
    def rotate(self, request: HttpRequest, key: ServiceKey, reason: str) -> str:
        return service_keys.rotate(staff(request), key, reason=reason)[1]

    @confirmed_action(
        "Revoke the key",
        permission="accounts.change_servicekey",
        effect="Requests of servers that use these keys are refused immediately. This cannot be undone.",
        done=("key revoked", "keys revoked"),
    )
    def revoke(self, request: HttpRequest, key: ServiceKey, reason: str) -> None:
        service_keys.revoke(staff(request), key, reason=reason)

    def _shown_once(self, request: HttpRequest, raw_keys: list[str]) -> HttpResponse:
        """Return a page with the keys. A Django message would store them in the session."""
        context = {**self.admin_site.each_context(request), "title": "New service key", "keys": raw_keys}
        return TemplateResponse(request, "admin/service_key.html", context, headers={"Cache-Control": "no-store"})


@admin.register(Impersonation)
class ImpersonationAdmin(ReadOnlyAdmin):
    list_display = ["started_at", "staff", "user", "organization", "reason", "allows_changes", "expires_at", "ended_at"]
    list_select_related = ["staff", "user", "organization"]
    list_filter = ["allows_changes", ("ended_at", admin.EmptyFieldListFilter)]
    fields = ["id", *list_display]
    readonly_fields = fields
    actions = None


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "action_shown", "target_shown", "organization", "actor", "reason", "ip_address"]
    ordering = ["-created_at", "-id"]
    list_filter = [indexed_values_filter("action"), "created_at"]
    list_select_related = ["organization", "actor_user", "actor_key"]
    search_fields = ["target__startswith", *ORGANIZATION_PATHS, "actor_user__email__startswith", "request_id"]
    fields = [
        "created_at",
        "action",
        "target",
        "organization",
        "actor_user",
        "actor_key",
        "impersonator",
        "reason",
        "ip_address",
        "before",
        "after",
        "request_id",
    ]

    @admin.display(description="action", ordering="action")
    def action_shown(self, event: AuditEvent) -> str:
        return _breakable(event.action)

    @admin.display(description="target", ordering="target")
    def target_shown(self, event: AuditEvent) -> str:
        return _breakable(event.target)

    @admin.display(description="actor", ordering="actor_user__email")
    def actor(self, event: AuditEvent) -> str:
        return _breakable(" by ".join(str(each) for each in (event.actor_key, event.actor_user) if each) or "System")


def _breakable(text: str) -> str:
    """Allow line breaks after punctuation in long names and addresses, so that the following columns stay visible."""
    return format_html_join(SafeString("<wbr>"), "{}", ([part] for part in re.split(r"(?<=[@._:])", text)))
