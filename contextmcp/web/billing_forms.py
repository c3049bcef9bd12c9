"""Forms of the billing pages."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.types import CancellationReason, OverageState
from contextmcp.common.money import decimal_amount

# Stripe's values of `cancellation_details.feedback`, with the texts that owners choose from.
FEEDBACK = [
    ("too_expensive", _("It's too expensive")),
    ("missing_features", _("A feature is missing")),
    ("switched_service", _("I'm switching to another product")),
    ("unused", _("I don't use it enough")),
    ("too_complex", _("It's too hard to use")),
    ("low_quality", _("The quality is lower than expected")),
    ("customer_service", _("I'm not happy with the support")),
    ("other", _("Another reason")),
]
INVOICE_STATUSES = [
    ("", pgettext_lazy("invoices", "All")),
    ("paid", _("Paid")),
    ("open", pgettext_lazy("invoice", "Open")),
    ("void", _("Void")),
    ("uncollectible", _("Uncollectible")),
]


class PlanForm(forms.Form):
    """The choice of a plan and an interval."""

    plan = forms.CharField(max_length=40)
    interval = forms.ChoiceField(choices=[("month", _("Monthly")), ("year", _("Yearly"))])


class CheckoutForm(PlanForm):
    promotion_code = forms.CharField(
        max_length=100, required=False, label=_("Promotion code"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class ChangeForm(PlanForm):
    proration_date = forms.DateTimeField(required=False)


class CancelForm(forms.Form):
    """Why the owner cancels. Both fields are optional."""

    feedback = forms.ChoiceField(required=False, choices=FEEDBACK, widget=forms.RadioSelect, label=_("Why do you want to cancel?"))
    comment = forms.CharField(
        required=False,
        max_length=500,
        label=_("Anything else we should know?"),
        widget=forms.Textarea(attrs={"rows": 3, "class": "prose"}),
    )

    def reason(self) -> CancellationReason:
        return CancellationReason(self.cleaned_data["feedback"], self.cleaned_data["comment"])


class OverageForm(forms.Form):
    cap = forms.DecimalField(
        label=_("Monthly limit"),
        min_value=Decimal("0.01"),
        max_value=Decimal(1_000_000),
        decimal_places=2,
        widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
    )

    @classmethod
    def of(cls, state: OverageState) -> "OverageForm":
        return cls(initial={"cap": decimal_amount(state.cap or 2000, state.currency)})

    @staticmethod
    def minor(cap: Decimal, currency: str) -> int:
        """Return the cap in minor units: 20.00 USD is 2000, 20 JPY is 20."""
        return int(cap / decimal_amount(1, currency))


class InvoiceFilterForm(forms.Form):
    """The filter of the list of invoices. `years` are those that have invoices."""

    status = forms.ChoiceField(required=False, choices=INVOICE_STATUSES, label=_("Status"))
    year = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label=_("Year"))

    def __init__(self, years: range, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", _("All years")), *((str(year), str(year)) for year in reversed(years))]
        self.fields["year"].choices = choices  # type: ignore[attr-defined]
