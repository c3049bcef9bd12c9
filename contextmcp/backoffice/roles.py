"""The roles of staff: groups whose permissions every `migrate` resets to those defined here.

The fifth role, owner, is Django's superuser. Only owners change staff status, roles and permissions. See docs/operations.md.
"""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

_OWN_APPS = ("accounts", "entitlements", "usage", "billing")
# Revenue is the only view that not every role has.
_VIEW = (
    Q(codename__startswith="view_")
    & ~Q(codename="view_revenue")
    & (
        Q(content_type__app_label__in=_OWN_APPS)
        | Q(content_type__app_label="djstripe")
        | Q(content_type__app_label="allauth_idp_oidc", codename="view_client")
        | Q(content_type__app_label="account", codename="view_emailaddress")
        | Q(content_type__app_label="common", codename="view_outgoingemail")
        | Q(content_type__app_label="mfa", codename="view_authenticator")
        | Q(content_type__app_label="procrastinate", codename="view_procrastinatejob")
    )
)
# Changes of a customer's payments at Stripe. All of them require a recent authentication.
_MONEY = {
    "billing.extend_trial",
    "billing.give_discount",
    "billing.give_credit",
    "billing.refund_payment",
    "billing.pause_collection",
    "billing.cancel_subscription",
}
_ENTITLE = {"entitlements.add_grant", "entitlements.add_override"}
# All roles can view everything that the admin shows, except revenue. The sets contain their additional permissions.
ROLES: dict[str, set[str]] = {
    "viewer": set(),
    "support": {
        "accounts.share_savedview",
        "accounts.change_user",
        "accounts.change_organization",
        "accounts.close_organization",
        "accounts.change_membership",
        "accounts.remove_membership",
        "accounts.revoke_apikey",
        "accounts.reassign_apikey",
        "accounts.reopen_organization",
        "accounts.transfer_ownership",
        "accounts.manage_invitation",
        "usage.correct_usage",
        "billing.cancel_subscription",
        "accounts.revoke_oauthgrant",
        "accounts.verify_email_address",
        "accounts.reset_second_factor",
        "accounts.handle_workitem",
        "accounts.impersonate_member",
        "common.change_outgoingemail",
        *_ENTITLE,
    },
    "finance": {
        "accounts.share_savedview",
        "accounts.handle_workitem",
        "accounts.resolve_operatoralert",
        "accounts.export_billing_lists",
        "billing.operate_billing",
        "billing.view_revenue",
        *_MONEY,
        *_ENTITLE,
    },
    "engineer": {
        "accounts.share_savedview",
        "accounts.export_billing_lists",
        "accounts.export_lists",
        "accounts.handle_workitem",
        "accounts.resolve_operatoralert",
        "accounts.test_operatoralert",
        "billing.operate_billing",
        "billing.publish_plans",
        "billing.add_planmigration",
        "billing.add_reconciliationrun",
        "accounts.impersonate_member",
        "billing.replay_webhookevent",
        "billing.discard_webhookevent",
        "accounts.operate_jobs",
    },
}


def sync_roles(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Create the groups and set their permissions (receiver of `post_migrate`)."""
    permissions = Permission.objects.using(using).select_related("content_type")
    by_name = {f"{each.content_type.app_label}.{each.codename}": each for each in permissions}
    views = list(permissions.filter(_VIEW))
    for role, allowed in ROLES.items():
        group, _ = Group.objects.using(using).get_or_create(name=role)
        group.permissions.set([*views, *(by_name[name] for name in sorted(allowed))])
