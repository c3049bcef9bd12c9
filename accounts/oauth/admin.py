"""Admin pages of connected apps and OAuth clients. Secrets and tokens are not shown."""

from allauth.idp.oidc.models import Client
from django.contrib import admin
from django.http import HttpRequest

from accounts.authentication import staff
from accounts.models import OAuthGrant
from contextmcp.common.admin_base import ORGANIZATION_PATHS, ReadOnlyAdmin, confirmed_action

from . import grants

# allauth's own admin pages show secrets, and all staff who may edit clients could change the addresses to which users are redirected.
for _model in list(admin.site._registry):
    if _model._meta.app_label == "allauth_idp_oidc":
        admin.site.unregister(_model)


@admin.register(OAuthGrant)
class OAuthGrantAdmin(ReadOnlyAdmin):
    list_display = ["client_name", "client_id", "organization", "user", "created_at", "last_used_at", "revoked_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["membership__organization", "membership__user"]
    search_fields = ["id", "client_id", *(f"membership__{path}" for path in ORGANIZATION_PATHS), "membership__user__email__startswith"]
    fields = ["id", "client_name", "client_id", "membership", "scopes", "resources", "redirect_uri"]
    fields += ["created_at", "redeemed_at", "last_used_at", "revoked_at"]
    readonly_fields = fields
    actions = ["disconnect"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "membership__organization__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display(ordering="membership__organization__name")
    def organization(self, grant: OAuthGrant) -> str:
        return grant.membership.organization.name

    @admin.display(ordering="membership__user__email")
    def user(self, grant: OAuthGrant) -> str:
        return grant.membership.user.email

    @confirmed_action(
        "Disconnect the app",
        permission="accounts.revoke_oauthgrant",
        effect="These apps lose access to the organization at once. Their users can connect them again.",
        done=("app disconnected", "apps disconnected"),
    )
    def disconnect(self, request: HttpRequest, grant: OAuthGrant, reason: str) -> None:
        grants.disconnect_by_staff(grant, staff(request), reason)


@admin.register(Client)
class ClientAdmin(ReadOnlyAdmin):
    list_display = ["name", "id", "type", "created_at"]
    list_filter = ["type"]
    search_fields = ["id", "name__istartswith"]
    fields = ["id", "name", "type", "redirect_uris", "scopes", "created_at"]
    readonly_fields = fields
