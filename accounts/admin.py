"""Staff's view of identity. Whatever changes goes through the façade, so it is decided and audited in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError

from . import audit
from .forms import ServiceKeyForm
from .manager import AuthManager
from .models import ApiKey, AuditEvent, Invitation, Membership, Organization, ServiceKey, User
from .services import service_keys


class ReadOnly:
    """Looked at, never edited by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    class Meta:
        model = User
        fields = ("email", "name")


class ChangedUserForm(UserChangeForm):  # type: ignore[misc]
    class Meta:
        model = User
        fields = "__all__"


class MembershipInline(ReadOnly, TabularInline):  # type: ignore[misc]
    model = Membership
    extra = 0
    tab = True
    fields = ["organization", "user", "role", "created_at"]
    readonly_fields = fields


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    form = ChangedUserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    ordering = ["email"]
    list_display = ["email", "name", "is_active", "is_staff", "date_joined"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["email", "name"]
    readonly_fields = ["date_joined", "last_login"]
    inlines = [MembershipInline]
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        ("May", {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("When", {"fields": ["date_joined", "last_login"]}),
    ]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["email", "name", "password1", "password2"]})]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Deleting takes memberships along, perhaps an organization's last owner. Make the account inactive instead.
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        watched = ["email", "is_active", "is_staff", "is_superuser"]
        before = User.objects.filter(pk=obj.pk).values(*watched).first()
        obj.email = obj.email.lower()
        super().save_model(request, obj, form, change)
        after = {name: getattr(obj, name) for name in watched}
        if after != before:
            audit.record("user.changed", organization=None, actor=_staff(request), target=obj.email, before=before, after=after)


@admin.register(Organization)
class OrganizationAdmin(ModelAdmin):  # type: ignore[misc]
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
        with _shown(self, request):
            AuthManager(obj).update(_staff(request), name=obj.name, email=obj.email)

    @admin.action(description="Close: keys stop, members are signed out of it", permissions=["change"])
    def close(self, request: HttpRequest, queryset: QuerySet[Organization]) -> None:
        for organization in queryset:
            AuthManager(organization).close(_staff(request))


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):  # type: ignore[misc]
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
        with _shown(self, request):
            AuthManager(obj.organization).change_role(_staff(request), obj.pk, obj.role)

    @admin.action(description="Remove from the organization", permissions=["change"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        for member in queryset.select_related("organization"):
            with _shown(self, request):
                AuthManager(member.organization).remove_member(_staff(request), member.pk)


@admin.register(Invitation)
class InvitationAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ["email", "organization", "role", "created_at", "expires_at", "sent_at", "accepted_at", "revoked_at"]
    list_select_related = ["organization"]
    search_fields = ["email", "organization__name"]
    fields = [*list_display, "invited_by", "accepted_by"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
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

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return user.is_active and user.is_staff and user.has_perm("accounts.change_apikey")

    @admin.action(description="Revoke, at once and everywhere", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.select_related("organization"):
            AuthManager(key.organization).revoke_key(_staff(request), key.pk)


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
        made, raw = service_keys.create(_staff(request), obj.name, obj.scopes, obj.expires_at)
        obj.pk = made.pk
        request.service_key_text = raw  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ServiceKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown_once(request, [request.service_key_text])  # type: ignore[attr-defined]

    @admin.action(description="Rotate: the old key works for 24 more hours", permissions=["manage"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ServiceKey]) -> HttpResponse | None:
        made = []
        for key in queryset:
            with _shown(self, request):
                made.append(service_keys.rotate(_staff(request), key)[1])
        return self._shown_once(request, made) if made else None

    @admin.action(description="Revoke, at once and everywhere", permissions=["manage"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ServiceKey]) -> None:
        for key in queryset:
            service_keys.revoke(_staff(request), key)

    def _shown_once(self, request: HttpRequest, made: list[str]) -> HttpResponse:
        """In the answer itself: a message would be stored in the session."""
        context = {**self.admin_site.each_context(request), "title": "New service key", "keys": made}
        return TemplateResponse(request, "admin/service_key.html", context, headers={"Cache-Control": "no-store"})


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ["created_at", "action", "target", "organization", "actor_user", "actor_key", "address"]
    list_filter = ["action"]
    list_select_related = ["organization", "actor_user", "actor_key"]
    date_hierarchy = "created_at"
    search_fields = ["action", "target", "organization__name", "actor_user__email", "request_id"]
    fields = [*list_display, "before", "after", "request_id"]


def _staff(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@contextmanager
def _shown(page: Any, request: HttpRequest) -> Iterator[None]:
    """A refusal becomes a message on the page."""
    try:
        yield
    except DomainError as error:
        page.message_user(request, error.text, messages.ERROR)
