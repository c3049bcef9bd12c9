"""Forms of the organization's settings and of the user's own account."""

from functools import lru_cache
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.services import profiles
from contextmcp.common.url_policy import MAX_URL_LENGTH
from usage.webhooks import outbox
from usage.webhooks.outbox import EVENT_TYPES

from .notification_topics import TOPICS

# What the events are about, by type.
EVENTS = {
    outbox.THRESHOLD: _("50, 80 or 100 percent of a limit is used."),
    outbox.SPIKE: _("Far more is used in an hour than usual."),
    outbox.SUBSCRIPTION: _("The plan or the subscription changed."),
}
SECRET_OVERLAPS = [("0", _("Immediately")), ("3600", _("In 1 hour")), ("86400", _("In 24 hours")), ("604800", _("In 7 days"))]
# Other names of IANA are links to these, or zones for special purposes.
_REGIONS = {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}


class ProfileForm(forms.Form):
    name = forms.CharField(
        max_length=profiles.MAX_NAME_LENGTH,
        required=False,
        label=_("Name"),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text=_("Members of your organizations see it instead of your email address."),
    )
    language = forms.ChoiceField(required=False, label=_("Language"))
    time_zone = forms.ChoiceField(
        required=False, label=_("Time zone"), help_text=_("Used for dates and times on pages and in emails to you.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = self["time_zone"].value() or ""
        self.fields["language"].choices = [("", _("Language of your browser")), *settings.LANGUAGES]  # type: ignore[attr-defined]
        self.fields["time_zone"].choices = time_zone_choices(chosen)  # type: ignore[attr-defined]

    @classmethod
    def of(cls, user: User) -> "ProfileForm":
        return cls(initial={"name": user.name, "language": user.language, "time_zone": user.time_zone})


class DeleteAccountForm(forms.Form):
    email = forms.EmailField(label=_("Your email address"), widget=forms.EmailInput(attrs={"autocomplete": "off"}))


class EndpointForm(forms.Form):
    url = forms.CharField(
        max_length=MAX_URL_LENGTH,
        strip=True,
        label=_("URL"),
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/hooks", "autocomplete": "off"}),
        help_text=_("An https:// address on the public internet."),
    )
    description = forms.CharField(max_length=200, required=False, label=_("Description"), help_text=_("For your own use. Optional."))
    event_types = forms.MultipleChoiceField(
        label=_("Events"),
        choices=[(name, name) for name in EVENT_TYPES],
        initial=list(EVENT_TYPES),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Select at least one event.")},
    )

    def event_rows(self) -> list[tuple[Any, Any]]:
        """Return the checkboxes with the descriptions of their events."""
        return [(box, EVENTS[box.data["value"]]) for box in self["event_types"].subwidgets]


class RotateSecretForm(forms.Form):
    overlap = forms.ChoiceField(label=_("Old secret expires"), choices=SECRET_OVERLAPS, initial="86400")


class NotificationForm(forms.Form):
    topics = forms.MultipleChoiceField(required=False, choices=[(topic.name, topic.title) for topic in TOPICS])


def time_zone_choices(chosen: str) -> list[Any]:
    """Return the choices of a time zone, grouped by region, with `chosen` even if it is not the usual name of its zone."""
    groups = _zones_by_region()
    if chosen in profiles.time_zones() and not any(chosen == name for _region, names in groups for name, _label in names):
        groups = (*groups, ("", [(chosen, chosen)]))
    return [("", "UTC"), *groups]


@lru_cache(maxsize=1)
def _zones_by_region() -> tuple[tuple[str, list[tuple[str, str]]], ...]:
    regions: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(profiles.time_zones()):
        region, _separator, place = name.partition("/")
        if region in _REGIONS:
            regions.setdefault(region, []).append((name, place.replace("_", " ").replace("/", ", ")))
    return tuple(regions.items())
