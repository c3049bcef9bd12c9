"""The topics of optional emails about usage and webhooks."""

from django.utils.translation import gettext_lazy as _

from accounts.notifications import EVERYONE, OWNERS, Topic
from accounts.roles import PRIVILEGED_ROLES

from .models import UsageAlert

WARNINGS = Topic(
    "usage_warnings",
    _("Usage warnings"),
    _("50, 80 or 100 percent of a limit is used."),
    roles=EVERYONE,
    on_for=PRIVILEGED_ROLES,
)
SPIKES = Topic(
    "usage_spikes",
    _("Usage spikes"),
    _("Far more is used in an hour than usual, for example because a key was leaked."),
    roles=EVERYONE,
    on_for=PRIVILEGED_ROLES,
)
WEBHOOKS = Topic(
    "webhooks",
    _("Webhook endpoints"),
    _("An endpoint was disabled because it failed for days."),
    roles=OWNERS,
    on_for=OWNERS,
)


def topic_of(alert: UsageAlert) -> Topic:
    """Return the topic of an alert's emails."""
    return SPIKES if alert.kind == UsageAlert.Kind.SPIKE else WARNINGS
