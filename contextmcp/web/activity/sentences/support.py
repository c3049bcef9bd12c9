"""Sentences about access by the vendor's staff, and about internal work that concerns no organization."""

from django.apps import apps

from contextmcp.web.activity.types import Kind

from .registry import Context, fixed, sentence


@sentence("impersonation.started", kind=Kind.SUPPORT)
def _started(context: Context) -> str:
    if context.after("allows_changes"):
        return context.by_actor(f"started acting as {context.event.target}", f"support started acting as {context.event.target}")
    began = f"started viewing the account as {context.event.target}"
    return context.by_actor(began, f"support {began}")


@sentence("impersonation.ended", kind=Kind.SUPPORT)
def _ended(context: Context) -> str:
    because = f" ({context.after('because')})" if context.after("because") and context.for_staff else ""
    ended = f"stopped viewing the account as {context.event.target}{because}"
    return context.by_actor(ended, f"support {ended}")


@sentence("staff.viewed", kind=Kind.INTERNAL, shown=False)
def _viewed(context: Context) -> str:
    page = _page(context.event.target)
    return context.by_actor(f"viewed {page}", f"{page} was viewed")


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
    return context.by_actor(f"was denied access to {context.event.target}", f"access to {context.event.target} was denied")


_WORK = {
    "operator_alert.resolved": ("resolved the operator alert {target}", "The operator alert {target} was resolved"),
    "operator_alert.tested": ("sent a test alert", "A test alert was sent"),
    "alert_delivery.retried": ("retried the delivery of an alert", "The delivery of an alert was retried"),
    "billing.reconciliation_started": (
        "started reconciling all organizations with Stripe",
        "The reconciliation of all organizations with Stripe was started",
    ),
    "plan_migration.started": ("started moving subscribers to {target}", "Moving subscribers to {target} was started"),
    "plan_migration.stopped": ("stopped moving subscribers to {target}", "Moving subscribers to {target} was stopped"),
    "plan_migration.resumed": ("resumed moving subscribers to {target}", "Moving subscribers to {target} was resumed"),
    "catalog.published": ("published the catalog", "The catalog was published"),
    "revenue.exported": ("exported revenue figures", "Revenue figures were exported"),
    "email.resent": ("sent an email again", "An email was sent again"),
    "email.retried": ("sent an email again", "An email was sent again"),
    "job.retried": ("retried the job {target}", "The job {target} was retried"),
    "job.canceled": ("canceled the job {target}", "The job {target} was canceled"),
    "saved_view.shared": ("shared a list view", "A list view was shared"),
    "saved_view.deleted": ("deleted a list view", "A list view was deleted"),
}
for _action, (_active, _passive) in _WORK.items():
    fixed(_action, _active, _passive, kind=Kind.INTERNAL, shown=False)
