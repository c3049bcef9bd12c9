"""The topics of optional emails in the order of the page on which members choose them."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.notifications import MEMBERS, Topic
from billing.notifications.topics import PLAN, RECEIPTS
from usage.notification_topics import SPIKES, WARNINGS, WEBHOOKS


@dataclass(frozen=True)
class TopicGroup:
    title: Promise
    topics: tuple[Topic, ...]


GROUPS = (
    TopicGroup(_("Usage"), (WARNINGS, SPIKES)),
    TopicGroup(_("Billing"), (PLAN, RECEIPTS)),
    TopicGroup(_("Organization"), (MEMBERS, WEBHOOKS)),
)
TOPICS = tuple(topic for group in GROUPS for topic in group.topics)
