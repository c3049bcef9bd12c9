"""The sections of the page and their panels, in reading order."""

from dataclasses import dataclass

from .details import OrganizationDetails
from .display import Block
from .panel import Panel
from .panels import (
    adjustments,
    alerts,
    apps,
    emails,
    grants,
    invitations,
    invoices,
    keys,
    limits,
    members,
    overage,
    overrides,
    plan,
    refusals,
    service_keys,
    subscription,
    timeline,
    usage_by_feature,
    usage_by_key,
    usage_by_member,
    webhooks,
)


@dataclass(frozen=True)
class Section:
    """Panels that are read in one request."""

    name: str
    title: str
    panels: tuple[Panel, ...]

    def permitted(self, details: OrganizationDetails) -> list[Panel]:
        return [panel for panel in self.panels if details.may(*panel.permissions)]


@dataclass(frozen=True)
class ShownPanel:
    panel: Panel
    blocks: tuple[Block, ...]


# The section that the page itself contains. The others are loaded after it.
OVERVIEW = Section("overview", "Overview", (plan.PANEL, limits.PANEL, subscription.PANEL, overage.PANEL))
LATER = (
    Section("activity", "Activity", (timeline.PANEL, refusals.PANEL)),
    Section("billing", "Billing history", (invoices.PANEL, adjustments.PANEL)),
    Section("entitlements", "Grants and overrides", (grants.PANEL, overrides.PANEL)),
    Section("access", "People and access", (members.PANEL, invitations.PANEL, keys.PANEL, apps.PANEL, service_keys.PANEL)),
    Section("usage", "Usage", (usage_by_feature.PANEL, usage_by_key.PANEL, usage_by_member.PANEL)),
    Section("messages", "Alerts and messages", (alerts.PANEL, webhooks.PANEL, emails.PANEL)),
)
SECTIONS = {section.name: section for section in (OVERVIEW, *LATER)}


def read_panels(section: Section, details: OrganizationDetails) -> list[ShownPanel]:
    """Return the panels of a section that the user may view, with their blocks."""
    return [ShownPanel(panel, tuple(panel.read(details))) for panel in section.permitted(details)]
