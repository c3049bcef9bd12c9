"""Change the name and the billing email address of an organization."""

from typing import Any

from accounts.manager import AuthManager
from accounts.models import Organization
from contextmcp.common.errors import ValidationFailed

from .base import ActionForm, ConfirmedRequest, OrganizationAction, OrganizationFacts, Preview, Row
from .fields import email_field, text_field
from .organization_actions import GROUP


class DetailsForm(ActionForm):
    name = text_field("Name", max_length=100)
    email = email_field("Billing email", help_text="Invoices and receipts are sent to this address.")

    def prepare(self) -> None:
        self.fields["name"].initial = self.organization.name
        self.fields["email"].initial = self.organization.email


class ChangeDetails(OrganizationAction):
    name = "change-details"
    title = "Change name or billing email"
    group = GROUP
    permission = "accounts.change_organization"
    description = "Changes the name that members see and the address that receives invoices. Stripe's customer is updated too."
    form = DetailsForm

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        name = AuthManager.clean_name(data["name"])
        changes = (("Name", organization.name, name), ("Billing email", organization.email, data["email"]))
        rows = tuple(Row(label, before, after) for label, before, after in changes if before != after)
        if not rows:
            raise ValidationFailed.of_field("name", "Enter a new name or billing email.")
        linked = OrganizationFacts(organization).account is not None
        return Preview((*rows, Row("Customer at Stripe", "", "updated within a minute")) if linked else rows)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        AuthManager(organization).update(confirmed.actor, name=data["name"], email=data["email"], reason=confirmed.reason)
        return f"The details of {organization.name} were changed."
