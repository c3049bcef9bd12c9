"""Routes of the identity and team endpoints."""

from django.urls import path

from . import keys, team

urlpatterns = [
    path("auth/generate-key", keys.GenerateKey.as_view(), name="generate-key"),
    path("auth/rotate-key", keys.RotateKey.as_view(), name="rotate-key"),
    path("auth/whoami", keys.WhoAmI.as_view(), name="whoami"),
    path("auth/keys", keys.Keys.as_view(), name="keys"),
    path("auth/keys/<uuid:key_id>", keys.Key.as_view(), name="key"),
    path("auth/keys/<uuid:key_id>/take-over", keys.TakeOverKey.as_view(), name="take-over-key"),
    path("organization/members", team.Members.as_view(), name="members"),
    path("organization/members/<uuid:member_id>", team.Member.as_view(), name="member"),
    path("organization/invitations", team.Invitations.as_view(), name="invitations"),
    path("organization/invitations/<uuid:invitation_id>", team.Invitation.as_view(), name="invitation"),
    path("organization/invitations/<uuid:invitation_id>/resend", team.ResendInvitation.as_view(), name="resend-invitation"),
]
