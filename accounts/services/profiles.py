"""Change a user's name, language and time zone."""

from functools import lru_cache
from zoneinfo import available_timezones

from django.conf import settings
from django.utils.translation import gettext_noop as _

from accounts import audit
from accounts.models import User
from contextmcp.common.errors import ValidationFailed
from contextmcp.common.logs import mask
from contextmcp.common.text import translatable

MAX_NAME_LENGTH = 150


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """Return the names of all IANA time zones that this system knows. Reading them takes tens of milliseconds."""
    return frozenset(available_timezones() - {"localtime"})


def update_profile(user: User, *, name: str, language: str, time_zone: str) -> None:
    """Set the name, the language and the time zone. An empty language is the browser's, and an empty time zone UTC.

    Raises:
        ValidationFailed: the name is not printable or too long, or the language or time zone is unknown.
    """
    name = mask(" ".join(name.split()))
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise ValidationFailed.of_field("name", translatable("Enter at most %(limit)d printable characters.", limit=MAX_NAME_LENGTH))
    if language and language not in dict(settings.LANGUAGES):
        raise ValidationFailed.of_field("language", _("Choose a language of the list."))
    if time_zone and time_zone not in time_zones():
        raise ValidationFailed.of_field("timeZone", _("Choose a time zone of the list."))
    before = {"name": user.name, "language": user.language, "time_zone": user.time_zone}
    after = {"name": name, "language": language, "time_zone": time_zone}
    if after == before:
        return
    user.name, user.language, user.time_zone = name, language, time_zone
    user.save(update_fields=["name", "language", "time_zone"])
    audit.record("user.profile_changed", organization=None, actor=user, target=user.email, before=before, after=after)
