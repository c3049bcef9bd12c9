"""Actions on all organizations, executed by background jobs: move subscribers to another plan version, and reconcile."""

from typing import Any

from billing import reconciliation
from billing.models import PlanPrice, ReconciliationRun
from billing.stripe.gateway.client import is_configured
from billing.subscriptions import bulk_migration, plan_migration
from contextmcp.backoffice.errors import ActionNotPossible
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url
from contextmcp.common.money import format_amount
from entitlements.models import PlanVersion

from .base import ActionForm, ConfirmedRequest, OrganizationFacts, Preview, Row, SystemAction
from .fields import checkbox, choice_field
from .stripe_action import NOT_CONFIGURED

_ALL = ""


class MoveForm(ActionForm):
    to_version = choice_field("To version")
    from_version = choice_field("Subscribers of", required=False)

    def prepare(self) -> None:
        versions = list(PlanVersion.objects.order_by("plan", "-version"))
        choices = [(str(each.pk), f"{each.terms.title} v{each.version}") for each in versions]
        self.fields["to_version"].choices = choices  # type: ignore[attr-defined]
        self.fields["from_version"].choices = [(_ALL, "All other versions of this plan"), *choices]  # type: ignore[attr-defined]
        self.versions = {str(each.pk): each for each in versions}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        target, source = self.versions.get(data.get("to_version", "")), self.versions.get(data.get("from_version", ""))
        if target and source and (target.plan != source.plan or target == source):
            self.add_error("from_version", "Choose another version of the same plan.")
        return data | {"target": target, "source": source}


class MovePlanVersion(SystemAction):
    name = "move-plan-version"
    title = "Move subscribers to a plan version"
    group = "Plans"
    permission = "billing.add_planmigration"
    description = (
        "Moves subscribers to another version of their plan, one by one in the background. Nothing is charged or credited for the current "
        "period; the new price applies from the next period, the new limits at once."
    )
    form = MoveForm
    sensitive = True

    def unavailable(self, facts: OrganizationFacts) -> str:
        return "" if is_configured() else NOT_CONFIGURED

    def preview(self, organization: Any, data: dict[str, Any]) -> Preview:
        target, groups = data["target"], bulk_migration.candidates(data["target"], data["source"])
        if not groups:
            raise ActionNotPossible("No subscribers are on another version of this plan.")
        rows: list[Row] = []
        skipped = 0
        for group in groups:
            label = f"{group.changeable:,} subscriber{'' if group.changeable == 1 else 's'}, per {group.interval}"
            rows.append(Row(label, _terms(group.version, group.interval), _terms(target, group.interval)))
            skipped += group.count - group.changeable
        for version in dict.fromkeys(group.version for group in groups):
            rows += [Row(f"{version}: {name}", old, new) for name, old, new in plan_migration.differences(version, target)]
        warnings = []
        if skipped:
            warnings.append(
                f"{skipped:,} more cannot be moved now and are skipped: a payment is overdue, or a plan change is scheduled or pending."
            )
        return Preview(tuple(rows), tuple(warnings))

    def perform(self, organization: Any, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        bulk_migration.start(confirmed.id, data["target"], data["source"], confirmed.actor, confirmed.reason)
        return f"The move to {data['target']} was queued. Its page shows the progress."

    def result_url(self, organization: Any) -> str:
        return list_url("billing.planmigration")


class ReconcileAllForm(ActionForm):
    dry_run = checkbox("Dry run", help_text="Record differences without repairing them.")


class ReconcileAll(SystemAction):
    name = "reconcile-all"
    title = "Reconcile all organizations with Stripe"
    group = "Billing"
    permission = "billing.add_reconciliationrun"
    description = (
        "Compares all customers, subscriptions, invoices and metered usage with Stripe in the background. This also runs every night."
    )
    form = ReconcileAllForm

    def unavailable(self, facts: OrganizationFacts) -> str:
        return "" if is_configured() else NOT_CONFIGURED

    def preview(self, organization: Any, data: dict[str, Any]) -> Preview:
        last = ReconciliationRun.objects.filter(organization=None, finished_at__isnull=False).first()
        before = moment(last.started_at) if last else "never"
        return Preview(
            (
                Row("Last complete run", before, "a new one"),
                Row("Differences", "", "recorded only" if data["dry_run"] else "recorded and repaired"),
            )
        )

    def perform(self, organization: Any, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        run = reconciliation.start_for_all(confirmed.actor, confirmed.reason, dry_run=data["dry_run"])
        return f"Run {run.pk} was queued. The list shows its progress."

    def result_url(self, organization: Any) -> str:
        return list_url("billing.reconciliationrun")


def _terms(version: PlanVersion, interval: str) -> str:
    price = PlanPrice.objects.filter(plan_version=version, interval=interval).order_by("-current", "-pk").first()
    return f"{version}, {format_amount(price.amount, price.currency) if price else 'no price'}"
