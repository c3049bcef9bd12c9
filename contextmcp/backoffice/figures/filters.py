"""The range of days and the currency that the home page and its files show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.revenue.selectors import Period

RANGES = {30: "30 days", 90: "90 days", 365: "12 months"}
DEFAULT_DAYS = 30
MAX_DAYS = 366 * 2


def _date_widget(label: str) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"type": "date", "aria-label": label})


class FigureForm(forms.Form):
    first = forms.DateField(required=False, label="From", widget=_date_widget("From"))
    last = forms.DateField(required=False, label="To", widget=_date_widget("To"))
    currency = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget(attrs={"aria-label": "Currency"}))

    def __init__(self, data: Any, currencies: list[str], newest: date) -> None:
        super().__init__(data)
        self.newest = newest
        self.fields["currency"].choices = [(code, code.upper()) for code in currencies]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Fill in the default range, and reject an invalid range."""
        values = {**(super().clean() or {})}
        last = values.get("last") or self.newest
        if not 2000 < last.year < 3000:
            raise forms.ValidationError("Enter days between 2001 and 2999.")
        first = values.get("first") or last - timedelta(days=DEFAULT_DAYS - 1)
        if first > last:
            raise forms.ValidationError("The start date must not be after the end date.")
        if (last - first).days >= MAX_DAYS or first.year < 2000:
            raise forms.ValidationError("Choose a range of at most two years.")
        return {**values, "first": first, "last": last}


@dataclass(frozen=True)
class Selection:
    """What to show. `form` has the errors of an invalid request, for which the default is shown."""

    period: Period
    currency: str
    currencies: list[str]
    form: FigureForm

    def query(self, **more: object) -> str:
        """Return the URL's query string of this selection."""
        values = {"first": self.period.first, "last": self.period.last, "currency": self.currency, **more}
        return urlencode({name: value for name, value in values.items() if value})

    def ranges(self) -> list[tuple[str, str, bool]]:
        """Return each preset range: its title, its query string, and whether it is selected."""
        newest = self.form.newest
        choices = []
        for days, title in RANGES.items():
            period = Period(newest - timedelta(days=days - 1), newest)
            choices.append((title, self.query(first=period.first, last=period.last), period == self.period))
        return choices


def select(request: HttpRequest, currencies: list[str], newest: date) -> Selection:
    """Return the selection of the request's query parameters `first`, `last` and `currency`."""
    form = FigureForm(request.GET, currencies, newest)
    values = form.cleaned_data if form.is_valid() else {}
    last = values.get("last", newest)
    first = values.get("first", last - timedelta(days=DEFAULT_DAYS - 1))
    currency = values.get("currency") or (currencies[0] if currencies else "")
    shown = FigureForm({"first": first, "last": last, "currency": currency}, currencies, newest)
    return Selection(Period(first, last), currency, currencies, form if form.errors else shown)
