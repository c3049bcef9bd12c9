"""The filters that the pages of the timeline share."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms

from .types import Kind

# Days outside of this range have no history. Python or Postgres cannot represent the day before or after some of them.
_FIRST_DAY, _LAST_DAY = date(2000, 1, 1), date(2999, 12, 31)

_DATE = {"type": "date"}


class TimelineFilter(forms.Form):
    """The filters of a timeline, read from the URL. Fields that are not valid are not applied, and show their error.

    `until` is the last day (UTC) that is shown. Subclasses add `key` and `member`.
    """

    kind = forms.ChoiceField(required=False, label="Kind")
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs=_DATE, format="%Y-%m-%d"))
    until = forms.DateField(required=False, label="Until", widget=forms.DateInput(attrs=_DATE, format="%Y-%m-%d"))
    code = forms.CharField(required=False, label="Code", max_length=64)

    def __init__(self, kinds: Collection[Kind], data: Any) -> None:
        super().__init__(data or {})
        self._kinds = frozenset(kinds)
        choices = [(str(kind), kind.label) for kind in Kind if kind in self._kinds]
        self.fields["kind"].choices = [("", "All"), *choices]  # type: ignore[attr-defined]
        for field in self.fields.values():
            field.widget.attrs["autocomplete"] = "off"

    def clean_since(self) -> date | None:
        return _known_day(self.cleaned_data["since"])

    def clean_until(self) -> date | None:
        return _known_day(self.cleaned_data["until"])

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `timeline`."""
        self.is_valid()
        data = self.cleaned_data
        since, until = data.get("since"), data.get("until")
        return {
            "kinds": frozenset({Kind(data["kind"])}) if data.get("kind") else self._kinds,
            "since": _midnight(since) if since else None,
            "until": _midnight(until) + timedelta(days=1) if until else None,
            "code": data.get("code") or "",
        }

    @property
    def is_used(self) -> bool:
        """Return whether a filter is set."""
        return any(self.data.get(name) for name in self.fields)


def _known_day(day: date | None) -> date | None:
    if day and not _FIRST_DAY <= day <= _LAST_DAY:
        raise forms.ValidationError("Enter a day between 2000 and 2999.")
    return day


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time(), UTC)
