"""Sentences about access by the vendor's staff, and about their own work, which concerns no organization."""

from django.apps import apps

from contextmcp.web.activity.types import Kind

from .registry import Context, fixed, sentence


@sentence("impersonation.started", kind=Kind.SUPPORT)
def _started(context: Context) -> str:
    if context.after("allows_changes"):
        return context.say(f"began to act as {context.event.target}", f"support began to act as {context.event.target}")
    began = f"began to view the account as {context.event.target}"
    return context.say(began, f"support {began}")


@sentence("impersonation.ended", kind=Kind.SUPPORT)
def _ended(context: Context) -> str:
    because = f" ({context.after('because')})" if context.after("because") and context.for_staff else ""
    ended = f"ended the access as {context.event.target}{because}"
    return context.say(ended, f"support {ended}")


@sentence("staff.viewed", kind=Kind.INTERNAL, shown=False)
def _viewed(context: Context) -> str:
    page = _page(context.event.target)
    return context.say(f"viewed {page}", f"{page} was viewed")


def _page(target: str) -> str:
    """Return the words for a target such as "accounts.user:17"."""
    label, _, key = target.partition(":")
    try:
        name = apps.get_model(label)._meta.verbose_name
    except (LookupError, ValueError):
        return target
    return f"the page of the {name}" if label == "accounts.organization" else f"the page of the {name} {key}"


@sentence("staff.refused", kind=Kind.INTERNAL, shown=False)
def _refused(context: Context) -> str:
    return context.say(f"was refused {context.event.target}", f"{context.event.target} was refused")


_WORK = {
    "operator_alert.resolved": ("resolved the operator alert {target}", "The operator alert {target} was resolved"),
    "operator_alert.tested": ("sent a test alert", "A test alert was sent"),
    "alert_delivery.retried": ("retried the delivery of an alert", "The delivery of an alert was retried"),
    "catalog.published": ("published the catalog", "The catalog was published"),
    "revenue.exported": ("exported figures of revenue", "Figures of revenue were exported"),
    "email.retried": ("sent an email again", "An email was sent again"),
    "job.retried": ("retried the job {target}", "The job {target} was retried"),
    "job.canceled": ("canceled the job {target}", "The job {target} was canceled"),
    "saved_view.shared": ("shared a view of a list", "A view of a list was shared"),
    "saved_view.deleted": ("deleted a view of a list", "A view of a list was deleted"),
}
for _action, (_active, _passive) in _WORK.items():
    fixed(_action, _active, _passive, kind=Kind.INTERNAL, shown=False)
