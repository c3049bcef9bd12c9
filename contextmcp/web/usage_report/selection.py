"""What a member wants to see, read from the query string of the page. Every choice is a link that can be shared."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, cast, get_args
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext_lazy as _

from . import periods

Group = Literal["total", "key", "member", "tool"]
GROUP_TITLES = {"total": _("Total"), "key": _("API key"), "member": _("Member"), "tool": _("MCP tool")}
HEADINGS = {
    "total": "%(feature)s",
    "key": _("%(feature)s by API key"),
    "member": _("%(feature)s by member"),
    "tool": _("%(feature)s by MCP tool"),
}
PERIOD_TITLES = {
    "day": _("24 hours"),
    "week": _("7 days"),
    "month": _("30 days"),
    "current": _("This billing period"),
    "last": _("Last billing period"),
    "custom": _("Custom"),
}
FIRST_DAY = date(2020, 1, 1)
MAX_DAYS = 3 * 366
_DATE = {"type": "date", "autocomplete": "off"}


class CustomPeriodForm(forms.Form):
    """The first and the last day (UTC) of a custom period."""

    since = forms.DateField(label=_("From"), widget=forms.DateInput(attrs=_DATE, format="%Y-%m-%d"))
    until = forms.DateField(label=_("To"), widget=forms.DateInput(attrs=_DATE, format="%Y-%m-%d"))

    def __init__(self, today: date, data: Any = None, **options: Any) -> None:
        super().__init__(data, **options)
        self.today = today
        for field in self.fields.values():
            field.widget.attrs |= {"min": FIRST_DAY.isoformat(), "max": today.isoformat()}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        since, until = data.get("since"), data.get("until")
        if since and not FIRST_DAY <= since <= self.today:
            self.add_error("since", _("Enter a day that is not in the future."))
        elif since and until and until < since:
            self.add_error("until", _("Enter a day that is not before the first one."))
        elif since and until and (until - since).days >= MAX_DAYS:
            self.add_error("until", _("Choose at most three years."))
        return data


@dataclass(frozen=True)
class Selection:
    """The choice of a member. `since` and `until` are set for the period "custom" only. An empty `feature` is the default one."""

    feature: str
    group: Group
    period: periods.Name
    since: date | None = None
    until: date | None = None

    def query(self, **changes: Any) -> str:
        """Return the query string of this selection, or of one that differs in `changes`."""
        changed = replace(self, **changes)
        values: dict[str, Any] = {"feature": changed.feature, "by": changed.group, "period": changed.period}
        if changed.period == "custom" and changed.since and changed.until:
            values |= {"since": changed.since.isoformat(), "until": changed.until.isoformat()}
        return urlencode({name: value for name, value in values.items() if value})


def parse_selection(parameters: Mapping[str, str], at: datetime, default_period: periods.Name) -> tuple[Selection, CustomPeriodForm]:
    """Return the selection, and the form of a custom period with what was typed. Unknown values are replaced by the defaults."""
    group = cast(Group, _known(parameters.get("by", ""), get_args(Group), "total"))
    period = cast(periods.Name, _known(parameters.get("period", ""), get_args(periods.Name), default_period))
    feature, today = parameters.get("feature", "")[:64], at.date()
    initial = {"since": today - timedelta(days=29), "until": today}
    if period != "custom":
        return Selection(feature, group, period), CustomPeriodForm(today, initial=initial)
    if "since" not in parameters and "until" not in parameters:
        return Selection(feature, group, period, **initial), CustomPeriodForm(today, initial=initial)
    form = CustomPeriodForm(today, parameters)
    days = {name: form.cleaned_data[name] for name in initial} if form.is_valid() else initial
    return Selection(feature, group, period, **days), form


def _known(value: str, values: tuple[str, ...], default: str) -> str:
    return value if value in values else default
