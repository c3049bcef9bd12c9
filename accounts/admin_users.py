"""Admin pages of users, email addresses and second factors. Only owners change permissions, and no page shows or sets a secret."""

from typing import Any

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminTextInputWidget

from contextmcp.common.admin_base import ReadOnlyAdmin, ReadOnlyRows, confirmed_action
from contextmcp.common.admin_forms import ReasonModelForm

from . import audit
from .account_links import send_reset_link
from .authentication import staff
from .errors import AccountInactive
from .models import Membership, User
from .services import users

# The packages' own admin pages show secrets or act without checking a permission.
for _model in (EmailAddress, EmailConfirmation, Authenticator, Group, UserSession):
    try:
        admin.site.unregister(_model)
    except NotRegistered:
        continue

RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


class NewUserForm(ReasonModelForm):
    """Creates a user without a password. The user sets one with the link that is emailed."""

    class Meta:
        model = User
        fields = ("email", "name")
        widgets = {"email": UnfoldAdminEmailInputWidget, "name": UnfoldAdminTextInputWidget}

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)
        user.set_unusable_password()
        return user


class MembershipInline(ReadOnlyRows, TabularInline):  # type: ignore[misc]
    model = Membership
    extra = 0
    tab = True
    fields = ["organization", "user", "role", "created_at"]
    readonly_fields = fields


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ReadOnlyAdmin):  # type: ignore[type-arg, misc]
    # Deleting would cascade to memberships, possibly of an organization's last owner. Staff deactivate accounts instead.
    allowed_changes = ("add", "change")
    recent_authentication = True
    form = ReasonModelForm
    add_form = NewUserForm
    ordering = ["email"]
    list_display = ["email", "name", "is_active", "is_staff", "date_joined"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["email__startswith", "name__istartswith"]
    inlines = [MembershipInline]
    fieldsets = [
        (None, {"fields": ["email", "name"]}),
        ("Access", {"fields": ["is_active", *RIGHTS]}),
        ("Dates", {"fields": ["date_joined", "last_login"]}),
    ]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["email", "name", "reason"]})]
    actions = ["send_password_reset", "reset_second_factor"]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Return the fieldsets of the page. They include the field `reason` if the signed-in staff may change the user."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not self.has_change_permission(request, obj):
            return fieldsets
        return [*fieldsets, ("Change", {"fields": ["reason"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        fixed = ["date_joined", "last_login"]
        if obj is None:
            return fixed
        # Only owners change permissions, and no user can change their own.
        if not request.user.is_superuser or obj.pk == request.user.pk:
            fixed += RIGHTS
        return [*fixed, "is_active"] if obj.pk == request.user.pk else fixed

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "user_permissions":
            # The text of a permission contains the name of its content type, which would otherwise take a query per permission.
            options["queryset"] = Permission.objects.select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **options)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and (obj.is_staff or obj.is_superuser) and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        raise PermissionDenied

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.email, reason = obj.email.lower(), form.cleaned_data["reason"]
        if not change:
            super().save_model(request, obj, form, change)
            EmailAddress.objects.create(user=obj, email=obj.email, primary=True, verified=False)
            audit.record("user.changed", organization=None, actor=staff(request), target=obj.email, after=_state(obj), reason=reason)
            send_reset_link(request, obj)
            return
        present = User.objects.get(pk=obj.pk)
        request._user_before = _state(present)  # type: ignore[attr-defined]
        new, obj.email = obj.email, present.email
        super().save_model(request, obj, form, change)
        if new != present.email:
            users.change_email(obj, new, staff(request), reason=reason)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        before, user = getattr(request, "_user_before", None), User.objects.get(pk=form.instance.pk)
        after = _state(user)
        if before is not None and before != after:
            states = {"before": before, "after": after}
            audit.record(
                "user.changed", organization=None, actor=staff(request), target=user.email, **states, reason=form.cleaned_data["reason"]
            )
            if before["is_active"] and not after["is_active"]:
                users.end_sessions(user)

    @confirmed_action(
        "Send a password reset link",
        permission="accounts.change_user",
        effect="Each of these users receives an email with a link to set a new password. The current password stays valid until then.",
        done=("password reset link sent", "password reset links sent"),
    )
    def send_password_reset(self, request: HttpRequest, user: User, reason: str) -> None:
        if not user.is_active:
            raise AccountInactive
        send_reset_link(request, user)
        audit.record("user.password_reset_sent", organization=None, actor=staff(request), target=user.email, reason=reason)

    @confirmed_action(
        "Reset the second factor",
        permission="accounts.reset_second_factor",
        effect="Authenticator apps, passkeys and recovery codes of these users are removed. The users are signed out and notified by "
        "email. Verify the identity of the person who requested this first.",
        done=("second factor reset", "second factors reset"),
    )
    def reset_second_factor(self, request: HttpRequest, user: User, reason: str) -> None:
        users.reset_second_factor(user, staff(request), reason)


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnlyAdmin):
    recent_authentication = True
    list_display = ["email", "user", "primary", "verified"]
    list_filter = ["verified"]
    list_select_related = ["user"]
    search_fields = ["email__startswith", "user__email__startswith"]
    fields = ["email", "user", "primary", "verified"]
    actions = ["verify"]

    @confirmed_action(
        "Mark as verified",
        permission="accounts.verify_email_address",
        effect="These addresses count as verified without a confirmation link.",
        done=("address verified", "addresses verified"),
    )
    def verify(self, request: HttpRequest, address: EmailAddress, reason: str) -> None:
        users.verify_address(address, staff(request), reason)


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """Does not show `data`, which contains TOTP secrets and seeds of recovery codes."""

    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type"]
    list_select_related = ["user"]
    search_fields = ["user__email__startswith"]
    fields = ["user", "type", "created_at", "last_used_at"]
    actions = None


def _state(user: User) -> dict[str, Any]:
    """Return the fields of a user that the audit log records."""
    return {
        "email": user.email,
        "name": user.name,
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "user_permissions": sorted(user.user_permissions.values_list("codename", flat=True)),
    }
