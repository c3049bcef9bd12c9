"""Forms of the organization's settings and of the user's own account."""

from functools import lru_cache
from typing import Any

from django import forms
from django.conf import settings
from django.utils.text import capfirst
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.services import profiles

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
        self.fields["language"].choices = [("", _("Language of your browser")), *_languages()]  # type: ignore[attr-defined]
        self.fields["time_zone"].choices = time_zone_choices(chosen)  # type: ignore[attr-defined]

    @classmethod
    def of(cls, user: User) -> "ProfileForm":
        return cls(initial={"name": user.name, "language": user.language, "time_zone": user.time_zone})


def _languages() -> list[tuple[str, str]]:
    """Return the languages of texts, each by its own name, so that its speakers find it in any language."""
    return [(code, capfirst(get_language_info(code)["name_local"])) for code, _name in settings.LANGUAGES]


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
