"""The mail about an alert, one for each owner and admin."""

from dataclasses import dataclass

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.dateformat import format as told

from accounts.models import User
from contextmcp.common.emails import label
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind
from usage.models import UsageAlert

from . import news


@dataclass(frozen=True, slots=True)
class Letter:
    title: str
    paragraphs: tuple[str, ...]


def send(alert_id: str, user_id: int) -> bool:
    """Mail it, unless its reader left, or the organization closed, in the meantime. A mail server that fails raises `OSError`."""
    alert = UsageAlert.objects.select_related("organization").filter(pk=alert_id, organization__closed_at=None).first()
    reader = User.objects.filter(pk__in=news.readers(alert).values("user_id"), pk=user_id).first() if alert else None
    if alert is None or reader is None:
        return False
    letter = write(alert)
    context = {"letter": letter, "organization": alert.organization, "link": f"{settings.PUBLIC_URL}/account/usage/"}
    message = EmailMultiAlternatives(
        # A line break in a name must not become a header.
        subject=" ".join(letter.title.split()),
        body=render_to_string("usage/mail/alert.txt", context),
        to=[reader.email],
    )
    message.attach_alternative(render_to_string("usage/mail/alert.html", context), "text/html")
    label(message, f"usage.{alert.kind}", alert.pk)
    message.send()
    return True


def write(alert: UsageAlert) -> Letter:
    name = alert.feature.replace("_", " ")
    if alert.kind == UsageAlert.Kind.SPIKE:
        return _spike(alert, name)
    allowance = EntitlementsManager(alert.organization).entitlements().allowances.get(alert.feature)
    is_level = allowance is not None and allowance.kind is Kind.LIMIT
    where = "are in use" if is_level else "of this period are used"
    day = told(alert.period_end, "j F Y")
    then = "" if is_level else f" They start afresh on {day}."
    if alert.threshold == 100:
        full = f"All {alert.included:,} {name} that your plan includes {where}.{then}"
        return Letter(
            f"{alert.organization.name} has used all its {name}", (full, "More of them need a larger plan, or overage where it is sold.")
        )
    sentence = f"{alert.used:,} of the {alert.included:,} {name} that your plan includes {where}.{then}"
    return Letter(f"{alert.organization.name} has used {alert.threshold} % of its {name}", (sentence, "Nothing stops before all are used."))


def _spike(alert: UsageAlert, name: str) -> Letter:
    hour = told(alert.hour, "j F Y, H:i") if alert.hour else ""
    usual = f"{alert.usual:,.0f}" if alert.usual is not None else "fewer"
    return Letter(
        f"{alert.organization.name} uses far more {name} than usual",
        (
            f"{alert.used:,} {name} were used in the hour from {hour} UTC; {usual} are usual in an hour of the last two weeks.",
            "If nobody can explain it, look at the usage by key: a key that leaked, or a loop in a client, can be revoked at once.",
        ),
    )
