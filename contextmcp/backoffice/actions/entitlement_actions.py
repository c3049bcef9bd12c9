"""Grant plans and overrides, and end them."""

from typing import Any

from django import forms

from accounts.models import Organization
from contextmcp.backoffice.wording import moment
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound
from entitlements.catalog import CATALOG
from entitlements.forms import MANUAL_SOURCES, MAX_VALUE_LENGTH, OverrideForm
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant, Override, PlanVersion
from entitlements.services import staff_preview
from entitlements.types import Source

from .base import ActionForm, ConfirmedRequest, OrganizationAction, OrganizationFacts, Preview, Row
from .fields import checkbox, choice_field, date_field, end_of_day, future_day, text_field
from .wording import SOURCES, entitlement_rows, plan_in_effect

GROUP = "Plan and limits"
# An organization has at most one override per feature and a few grants; the bound only protects the page.
_MAX_CHOICES = 100
_SOURCES = {
    Source.GIFT: "Gift (goodwill, promotion)",
    Source.STAFF: "Granted by staff (contract, partner)",
    Source.TRIAL: "Trial without a card",
}


class GrantForm(ActionForm):
    plan = choice_field("Plan")
    source = choice_field("Kind", choices=[(source.value, _SOURCES[source]) for source in MANUAL_SOURCES])
    until = date_field("Until", required=False, help_text="Last day (UTC). For no end date, leave this empty and select “No end”.")
    no_end = checkbox("No end")

    def prepare(self) -> None:
        plans = [plan for plan in EntitlementsManager.plans() if plan.name != CATALOG.free.name]
        choices = [(plan.name, f"{plan.title} v{plan.version}") for plan in plans]
        self.fields["plan"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        _clean_until(self, data)
        return data


class GrantPlan(OrganizationAction):
    name = "grant-plan"
    title = "Grant a plan"
    group = GROUP
    permission = "entitlements.add_grant"
    description = (
        "Grants the organization a plan without payment. A subscription is not changed and continues to be billed. If the organization "
        "has several plans, the highest one applies. If the same plan is both granted and paid, the paid one applies."
    )
    form = GrantForm
    beneficial = True
    sensitive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        version = EntitlementsManager.version(data["plan"])
        change = staff_preview.preview_grant(organization, version, data["source"], data["ends_at"])
        ends = Row("The grant ends", "", moment(data["ends_at"], "no end"))
        return Preview((*entitlement_rows(change), ends), tuple(_grant_warnings(change, version)))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        manager = EntitlementsManager(organization)
        version = manager.version(data["plan"])
        change = staff_preview.preview_grant(organization, version, data["source"], data["ends_at"])
        # A customer who pays for another plan keeps the usage months of the subscription, so that they do not start again.
        anchor = change.before.anchor if change.before.source is Source.SUBSCRIPTION else None
        options = {"reason": confirmed.reason, "ends_at": data["ends_at"], "anchor": anchor, "actor": confirmed.actor}
        manager.grant(version, data["source"], **options)
        return f"{version.terms.title} was granted. The plan in effect is {plan_in_effect(manager.entitlements())}."


def _grant_warnings(change: staff_preview.EntitlementChange, version: PlanVersion) -> list[str]:
    before, after = change.before, change.after
    warnings = []
    if (after.plan, after.source) == (before.plan, before.source):
        kind = f"{before.plan_title} ({SOURCES[before.source]})"
        warnings.append(f"{kind} takes precedence and stays in effect. The new grant applies only if that plan ends first.")
    if before.source is Source.SUBSCRIPTION:
        warnings.append(
            "The customer's subscription continues to be billed. To give free time to a paying customer, use free days, a discount or "
            "a credit."
        )
        if after.source is not Source.SUBSCRIPTION and any(each.overage_unit_amount for each in before.features.values()):
            warnings.append("While the grant is in effect, no overage is sold or billed.")
    return warnings


class EndGrantForm(ActionForm):
    grant = choice_field("Grant")

    def prepare(self) -> None:
        choices = [(str(grant.pk), _describe_grant(grant)) for grant in _manual_grants(self.organization)]
        self.fields["grant"].choices = choices  # type: ignore[attr-defined]


class EndGrant(OrganizationAction):
    name = "end-grant"
    title = "End a grant"
    group = GROUP
    permission = "entitlements.add_grant"
    description = "Ends a gift, trial or staff grant now. Plans from a subscription are not affected."
    form = EndGrantForm
    sensitive = True

    def unavailable(self, facts: OrganizationFacts) -> str:
        return super().unavailable(facts) or ("" if _manual_grants(facts.organization) else "No grant by staff is active or scheduled.")

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        grant = _grant(organization, data["grant"])
        change = staff_preview.preview_end_of_grant(organization, grant)
        return Preview((Row(_describe_grant(grant), moment(grant.ends_at, "no end"), "ends now"), *entitlement_rows(change)))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        manager = EntitlementsManager(organization)
        grant = manager.end_grant(_grant(organization, data["grant"]), confirmed.actor, reason=confirmed.reason)
        return f"{grant.plan_version.terms.title} was ended. The plan in effect is {plan_in_effect(manager.entitlements())}."


class OverrideLimitForm(ActionForm):
    feature = choice_field("Feature", choices=[(each.name, f"{each.title} ({each.kind})") for each in CATALOG.features])
    value = text_field(
        "Value",
        required=False,
        max_length=MAX_VALUE_LENGTH,
        help_text="A whole number. For a feature that is either included or not, enter true or false.",
    )
    unlimited = checkbox("Unlimited", help_text="Removes the limit. Leave the value empty.")
    until = date_field("Until", required=False, help_text="Last day (UTC). For no end date, leave this empty and select “No end”.")
    no_end = checkbox("No end")

    def clean_value(self) -> Any:
        try:
            return forms.JSONField(required=False).clean(self.cleaned_data["value"])
        except forms.ValidationError:
            raise forms.ValidationError("Enter a whole number, true, or false.") from None

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if "value" in data and "feature" in data and (error := OverrideForm.value_error(data)):
            self.add_error("value", error)
        _clean_until(self, data)
        return data


class OverrideLimit(OrganizationAction):
    name = "override-limit"
    title = "Override a limit"
    group = GROUP
    permission = "entitlements.add_override"
    description = "Replaces the plan's value of one feature for this organization. An existing override of the feature is ended."
    form = OverrideLimitForm
    beneficial = True
    sensitive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        change = staff_preview.preview_override(organization, data["feature"], data["value"], data["ends_at"])
        warnings = ("This limit already has this value.",) if not change.changed_features else ()
        return Preview((*entitlement_rows(change), Row("The override ends", "", moment(data["ends_at"], "no end"))), warnings)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        options = {"reason": confirmed.reason, "ends_at": data["ends_at"], "actor": confirmed.actor}
        EntitlementsManager(organization).override(data["feature"], data["value"], **options)
        return f"{CATALOG.feature_title(data['feature'])} was overridden until {moment(data['ends_at'], 'further notice')}."


class EndOverrideForm(ActionForm):
    override = choice_field("Override")

    def prepare(self) -> None:
        choices = [(str(each.pk), f"{CATALOG.feature_title(each.feature)}: {_value(each)}") for each in _overrides(self.organization)]
        self.fields["override"].choices = choices  # type: ignore[attr-defined]


class EndOverride(OrganizationAction):
    name = "end-override"
    title = "End an override"
    group = GROUP
    permission = "entitlements.add_override"
    description = "Ends an override now. The plan's value applies again."
    form = EndOverrideForm
    beneficial = True
    sensitive = True

    def unavailable(self, facts: OrganizationFacts) -> str:
        return super().unavailable(facts) or ("" if _overrides(facts.organization) else "No override is active.")

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        override = _override(organization, data["override"])
        return Preview(entitlement_rows(staff_preview.preview_end_of_override(organization, override)))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        override = _override(organization, data["override"])
        EntitlementsManager(organization).end_override(override, confirmed.actor, reason=confirmed.reason)
        return f"The override of {CATALOG.feature_title(override.feature)} was ended."


def _clean_until(form: ActionForm, data: dict[str, Any]) -> None:
    """Set `ends_at` from the fields `until` and `no_end`. No end is an explicit choice."""
    until, no_end = data.get("until"), data.get("no_end")
    if until and no_end:
        form.add_error("until", "Enter a date or select “No end”, but not both.")
    elif not until and not no_end and "until" not in form.errors:
        form.add_error("until", "Enter a last day or select “No end”.")
    elif until:
        try:
            data["ends_at"] = end_of_day(future_day(form.organization, until))
        except forms.ValidationError as error:
            form.add_error("until", error)
    data.setdefault("ends_at", None)


def _manual_grants(organization: Organization) -> list[Grant]:
    grants = organization.grants.current_or_future(at=now(organization)).filter(source__in=MANUAL_SOURCES)
    return list(grants.select_related("plan_version")[:_MAX_CHOICES])


def _describe_grant(grant: Grant) -> str:
    version = grant.plan_version
    return f"{version.terms.title} v{version.version} ({SOURCES[Source(grant.source)]}, until {moment(grant.ends_at, 'no end')})"


def _grant(organization: Organization, key: str) -> Grant:
    grant: Grant | None = (
        organization.grants.select_related("plan_version", "organization").filter(pk=key, source__in=MANUAL_SOURCES).first()
    )
    if grant is None:
        raise NotFound("This grant does not exist.")
    return grant


def _overrides(organization: Organization) -> list[Override]:
    return list(organization.overrides.current_or_future(at=now(organization))[:_MAX_CHOICES])


def _value(override: Override) -> str:
    value = "unlimited" if override.value is None else str(override.value).lower()
    return f"{value}, until {moment(override.ends_at, 'no end')}"


def _override(organization: Organization, key: str) -> Override:
    override: Override | None = organization.overrides.select_related("organization").filter(pk=key).first()
    if override is None:
        raise NotFound("This override does not exist.")
    return override
