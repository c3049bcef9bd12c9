"""Correct the counted usage of a quota."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms

from accounts.models import Organization
from contextmcp.backoffice.wording import day
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from usage.ingest.event_parsing import MAX_EVENT_AGE
from usage.selectors import overage_setting
from usage.staff_corrections import Correction, PeriodUsage, correct_usage, quotas, usage_at
from usage.types import MAX_AMOUNT

from .base import ActionForm, ConfirmedRequest, OrganizationAction, OrganizationFacts, Preview, Row
from .fields import choice_field, date_field, integer_field

_CHANGES = {
    "reduce": "Reduce: remove units that were counted but not used",
    "credit": "Credit: allow additional units in this usage month",
    "add": "Add: count units that were used but not counted",
}


class CorrectionForm(ActionForm):
    feature = choice_field("Feature")
    change = choice_field("Change", choices=list(_CHANGES.items()))
    amount = integer_field("Units", min_value=1, max_value=MAX_AMOUNT)
    on = date_field("Day of use", required=False, help_text="Determines the usage month. Leave empty for the current month.")

    def prepare(self) -> None:
        features = EntitlementsManager(self.organization).entitlements().features
        included = [name for name in quotas() if name in features and features[name].enabled]
        self.fields["feature"].choices = [(name, CATALOG.feature_title(name)) for name in included]  # type: ignore[attr-defined]

    def clean_on(self) -> datetime | None:
        chosen, present = self.cleaned_data["on"], now(self.organization)
        if not chosen or chosen == present.date():
            return None
        at = datetime.combine(chosen, time(12), UTC)
        if not present - MAX_EVENT_AGE < at <= present:
            raise forms.ValidationError(f"Enter a date within the last {MAX_EVENT_AGE.days} days.")
        return at


class CorrectUsage(OrganizationAction):
    name = "correct-usage"
    title = "Correct usage"
    group = "Plan and limits"
    permission = "usage.correct_usage"
    description = (
        "Corrects the counted usage of a quota. The correction appears in the usage history and changes the remaining units of the month."
    )
    form = CorrectionForm
    beneficial = True
    sensitive = True

    def unavailable(self, facts: OrganizationFacts) -> str:
        return super().unavailable(facts) or ("" if quotas() else "The plan has no monthly quotas.")

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        correction = _correction(data)
        before = usage_at(organization, correction.feature, correction.at)
        after = before.after(correction)
        rows = (
            Row("Usage month", f"{day(before.start)} to {day(before.end)}", "not changed"),
            Row(f"{CATALOG.feature_title(correction.feature)} used", f"{before.used:,}", f"{after.used:,}"),
            Row("Included", _included(before), _included(after)),
        )
        warnings = []
        if correction.change == "reduce" and correction.amount > max(before.used, 0):
            warnings.append("You can subtract at most the counted usage. To allow more units, choose Credit.")
        if after.included is not None and after.used > after.included:
            warnings.append(f"The customer remains {after.used - after.included:,} over the included amount.")
        setting = overage_setting(organization, correction.feature)
        if setting and setting.enabled:
            warnings.append("Overage is enabled. An invoice that was already created for this usage is not changed; refund it separately.")
        return Preview(rows, tuple(warnings))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        after = correct_usage(organization, _correction(data), confirmed.actor, confirmed.reason, confirmed.id)
        return f"{CATALOG.feature_title(data['feature'])}: {after.used:,} used of {_included(after)}."


def _correction(data: dict[str, Any]) -> Correction:
    return Correction(data["feature"], data["change"], data["amount"], data["on"])


def _included(usage: PeriodUsage) -> str:
    if usage.included is None:
        return "unlimited"
    credited = f" ({usage.credited:,} credited)" if usage.credited else ""
    return f"{usage.included:,}{credited}"
