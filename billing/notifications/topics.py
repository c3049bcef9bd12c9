"""The topics of billing emails that members can get in addition to the billing address, which gets all of them."""

from django.utils.translation import gettext_lazy as _

from accounts.notifications import OWNERS, Topic
from accounts.roles import PRIVILEGED_ROLES

PLAN = Topic(
    "billing",
    _("Payments and plan"),
    _("A payment failed, a trial ends, or your plan ends."),
    roles=PRIVILEGED_ROLES,
    on_for=OWNERS,
)
RECEIPTS = Topic(
    "receipts",
    _("Receipts"),
    _("A payment was received."),
    roles=PRIVILEGED_ROLES,
    on_for=frozenset(),
)
_OF_RECEIPTS = frozenset({"receipt", "refund"})


def topic_of(kind: str) -> Topic:
    """Return the topic of a kind of billing email."""
    return RECEIPTS if kind in _OF_RECEIPTS else PLAN
