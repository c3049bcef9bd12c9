"""URLs of the pages and of the endpoints in `contextmcp.web`."""

from django.urls import path

from . import brand
from .api import views as api
from .pages import account, billing, connected_apps, keys, onboarding, team

urlpatterns = [
    path("", onboarding.home, name="home"),
    path("brand.css", brand.stylesheet, name="brand-css"),
    path("pricing/", onboarding.pricing_page, name="pricing"),
    path("welcome/", onboarding.welcome, name="welcome"),
    path("welcome/key/", keys.first_key, name="first-key"),
    path("account/", account.account, name="account"),
    path("account/new/", onboarding.new_organization, name="new-organization"),
    path("account/switch/", onboarding.switch, name="switch-organization"),
    path("account/keys/", keys.keys, name="keys"),
    path("account/keys/new/", keys.new_key, name="new-key"),
    path("account/keys/new/done/", keys.delete_stored_key, name="forget-key-form"),
    path("account/keys/create/", keys.create_key, name="create-key"),
    path("account/keys/<uuid:key_id>/rotate/", keys.rotate_key, name="rotate-key-form"),
    path("account/keys/<uuid:key_id>/revoke/", keys.revoke_key, name="revoke-key-form"),
    path("account/keys/<uuid:key_id>/take-over/", keys.take_over_key, name="take-over-key-form"),
    path("account/apps/", connected_apps.connected_apps, name="connected-apps"),
    path("account/apps/<uuid:grant_id>/disconnect/", connected_apps.disconnect_app, name="disconnect-app"),
    path("account/usage/", account.usage, name="usage"),
    path("account/team/", team.team, name="team"),
    path("account/team/invite/", team.invite, name="invite"),
    path("account/team/invitations/<uuid:invitation_id>/resend/", team.resend, name="resend-invitation-form"),
    path("account/team/invitations/<uuid:invitation_id>/revoke/", team.revoke, name="revoke-invitation-form"),
    path("account/team/<uuid:member_id>/role/", team.change_role, name="change-role-form"),
    path("account/team/<uuid:member_id>/remove/", team.remove, name="remove-member-form"),
    path("account/billing/", billing.billing, name="billing"),
    path("account/billing/choose/", billing.confirm_plan, name="choose-plan"),
    path("account/billing/checkout/", billing.checkout, name="checkout"),
    path("account/billing/change/", billing.preview, name="preview-change"),
    path("account/billing/change/make/", billing.change, name="make-change"),
    path("account/billing/keep/", billing.cancel_scheduled_change, name="keep-plan"),
    path("account/billing/cancel/", billing.cancel, name="cancel-plan"),
    path("account/billing/resume/", billing.resume, name="resume-plan"),
    path("account/billing/overage/", billing.overage, name="overage-form"),
    path("account/billing/portal/", billing.portal, name="portal"),
    path("account/billing/return/", billing.checkout_return, name="checkout-return"),
    path("account/settings/", account.settings_page, name="settings"),
    path("account/settings/change/", account.change_settings, name="change-settings"),
    path("account/settings/close/", account.close, name="close-organization"),
    path("account/closed/<uuid:organization_id>/", account.closed_organization, name="closed-organization"),
    path("invitations/<str:token>/", team.invitation_page, name="invitation"),
    path("invitations/<str:token>/accept/", team.accept_invitation, name="accept-invitation-form"),
    path("api/organization", api.OrganizationView.as_view(), name="organization"),
    path("api/invitations/accept", api.AcceptInvitationView.as_view(), name="accept-invitation"),
]
