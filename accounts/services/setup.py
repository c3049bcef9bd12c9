"""How far a member has set up the organization, and whether they hid the list of steps."""

from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q
from django.utils import timezone

from accounts.models import Invitation, Membership, OAuthGrant, User
from accounts.types import Caller, Setup


def read_setup(actor: Caller) -> Setup:
    """Return how far the member has set up the organization, with one query. Apps of others count for those who manage members."""
    apps = OAuthGrant.objects.filter(membership__organization=actor.organization, last_used_at__isnull=False)
    if "users:manage" not in actor.permissions:
        apps = apps.filter(membership=actor.membership_id)
    confirmed = User.objects.filter(pk=OuterRef("user_id"), emailaddress__email__iexact=F("email"), emailaddress__verified=True)
    invitations = Invitation.objects.filter(organization=actor.organization)
    dismissed = ExpressionWrapper(Q(setup_dismissed_at__isnull=False), BooleanField())
    rows = Membership.objects.annotate(dismissed=dismissed, confirmed=Exists(confirmed), app=Exists(apps), invited=Exists(invitations))
    assert actor.membership_id is not None
    return Setup(*rows.values_list("dismissed", "confirmed", "app", "invited").get(pk=actor.membership_id))


def dismiss_setup(actor: Caller) -> None:
    """Hide the steps to set up the organization from this member."""
    assert actor.membership_id is not None
    Membership.objects.filter(pk=actor.membership_id, setup_dismissed_at=None).update(setup_dismissed_at=timezone.now())
