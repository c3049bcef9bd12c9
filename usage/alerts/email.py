"""The email about an alert. Each member who has not turned off such emails receives one; by default, these are owners and admins."""

from django.conf import settings
from django.utils.translation import gettext as _

from accounts import notifications
from accounts.models import User
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.formatting import format_day, format_moment, format_number
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
    """Return whether the user receives the emails of the alert now."""
    return bool(publish.recipients(alert).filter(user=user, organization__closed_at=None).exists())


def render(alert: UsageAlert) -> EmailContent:
    """Return the email's content in the present language."""
    title, *paragraphs = _render_spike(alert) if alert.kind == UsageAlert.Kind.SPIKE else _render_threshold(alert)
    names = {"organization": alert.organization.name, "product": settings.PRODUCT_NAME}
    return EmailContent(
        title=title,
        paragraphs=tuple(paragraphs),
        label=_("View usage"),
        link=f"{settings.PUBLIC_URL}/account/usage/",
        note=_("You receive this email as a member of %(organization)s at %(product)s.") % names,
    )


def _values(alert: UsageAlert) -> dict[str, str]:
    return {
        "name": alert.organization.name,
        "noun": CATALOG.noun(alert.feature),
        "used": format_number(alert.used),
        "included": format_number(alert.included or 0),
        "threshold": str(alert.threshold),
        "day": format_day(alert.period_end),
    }


def _render_threshold(alert: UsageAlert) -> tuple[str, ...]:
    """Return the title and the paragraphs."""
    entitlement = EntitlementsManager(alert.organization).entitlements().features.get(alert.feature)
    is_gauge = entitlement is not None and entitlement.kind is Kind.GAUGE
    values = _values(alert)
    if alert.threshold == 100:
        title = _("%(name)s has used all its %(noun)s") % values
        if is_gauge:
            return title, _("All %(included)s %(noun)s included in your plan are in use.") % values, _next_step(alert)
        sentence = _("You have used all %(included)s %(noun)s included in your plan this period. Your quota resets on %(day)s.")
        return title, sentence % values, _next_step(alert)
    title = _("%(name)s has used %(threshold)s%% of its %(noun)s") % values
    continues = _("Requests continue until the limit is reached.")
    if is_gauge:
        return title, _("%(used)s of the %(included)s %(noun)s included in your plan are in use.") % values, continues
    sentence = _("You have used %(used)s of the %(included)s %(noun)s included in your plan this period. Your quota resets on %(day)s.")
    return title, sentence % values, continues


def _next_step(alert: UsageAlert) -> str:
    setting = selectors.overage_setting(alert.organization, alert.feature)
    if setting is not None and setting.enabled:
        cap = format_amount(setting.cap_minor, setting.currency)
        return _("Overage is on: requests continue and are billed, up to your monthly spending cap of %(cap)s.") % {"cap": cap}
    return _("Further requests are refused. Upgrade your plan, or enable overage if your plan offers it.")


def _render_spike(alert: UsageAlert) -> tuple[str, ...]:
    """Return the title and the paragraphs."""
    values = {**_values(alert), "hour": format_moment(alert.hour) if alert.hour else ""}
    sentence = _("%(used)s %(noun)s were used in the hour from %(hour)s.") % values
    if alert.baseline is not None:
        values["average"] = format_number(round(alert.baseline))
        sentence = _(
            "%(used)s %(noun)s were used in the hour from %(hour)s. The average of active hours in the last two weeks is %(average)s."
        )
        sentence %= values
    return (
        _("%(name)s uses far more %(noun)s than usual") % values,
        sentence,
        _("If you did not expect this, check the usage by API key. Revoke a key that was leaked or that a client uses in a loop."),
    )
