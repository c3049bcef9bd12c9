"""The email about an alert. Each member who has not turned off such emails receives one; by default, these are owners and admins."""

from django.conf import settings
from django.utils.dateformat import format as format_date

from accounts import notifications
from accounts.models import User
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.locale import localized_for
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind
from usage import selectors
from usage.models import UsageAlert

from . import publish


def send(alert_id: str, user_id: int) -> bool:
    """Send the email and return True, or return False if the user is no longer a recipient or the organization was closed."""
    alert = UsageAlert.objects.select_related("organization").filter(pk=alert_id, organization__closed_at=None).first()
    user = User.objects.filter(pk=user_id).first()
    if alert is None or user is None or not is_recipient(alert, user):
        return False
    category, organization_id = f"usage.{alert.kind}", alert.organization_id
    with localized_for(user):
        content = notifications.optional(render(alert), organization_id)
        send_email(content, to=user.email, category=category, reference=alert.pk, organization_id=organization_id)
    return True


def is_recipient(alert: UsageAlert, user: User) -> bool:
    """Return whether the user is currently a recipient of the alert's email."""
    return bool(publish.recipients(alert).filter(user=user, organization__closed_at=None).exists())


def render(alert: UsageAlert) -> EmailContent:
    """Return the email's content."""
    name = CATALOG.noun(alert.feature)
    title, *paragraphs = _render_spike(alert, name) if alert.kind == UsageAlert.Kind.SPIKE else _render_threshold(alert, name)
    return EmailContent(
        title=f"{alert.organization.name} {title}",
        paragraphs=tuple(paragraphs),
        label="View usage",
        link=f"{settings.PUBLIC_URL}/account/usage/",
        note=f"You receive this email as a member of {alert.organization.name} on {settings.PRODUCT_NAME}.",
    )


def _render_threshold(alert: UsageAlert, name: str) -> tuple[str, ...]:
    """Return the title without the organization's name, and the paragraphs."""
    entitlement = EntitlementsManager(alert.organization).entitlements().features.get(alert.feature)
    is_gauge = entitlement is not None and entitlement.kind is Kind.GAUGE
    day = format_date(alert.period_end, "F j, Y")
    reset = "" if is_gauge else f" Your quota resets on {day}."
    amount = f"all {alert.included:,}" if alert.threshold == 100 else f"{alert.used:,} of the {alert.included:,}"
    if is_gauge:
        sentence = f"{amount.capitalize()} {name} included in your plan are in use."
    else:
        sentence = f"You have used {amount} {name} included in your plan this period."
    if alert.threshold == 100:
        return f"has used all its {name}", f"{sentence}{reset}", _next_step(alert)
    return f"has used {alert.threshold}% of its {name}", f"{sentence}{reset}", "Requests continue until the limit is reached."


def _next_step(alert: UsageAlert) -> str:
    setting = selectors.overage_setting(alert.organization, alert.feature)
    if setting is not None and setting.enabled:
        cap = format_amount(setting.cap_minor, setting.currency)
        return f"Overage is on: requests continue and are billed, up to your monthly spending cap of {cap}."
    return "Further requests are refused. Upgrade your plan, or enable overage if your plan offers it."


def _render_spike(alert: UsageAlert, name: str) -> tuple[str, ...]:
    """Return the title without the organization's name, and the paragraphs."""
    hour = format_date(alert.hour, "F j, Y, H:i") if alert.hour else ""
    average = f"; the average of active hours in the last two weeks is {alert.baseline:,.0f}" if alert.baseline is not None else ""
    return (
        f"uses far more {name} than usual",
        f"{alert.used:,} {name} were used in the hour from {hour} UTC{average}.",
        "If you did not expect this, check the usage by API key. Revoke a key that was leaked or that a client uses in a loop.",
    )
