"""A password validator in addition to Django's own."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


class MaximumLengthValidator:
    """Refuses very long passwords, because hashing megabytes of text would allow a denial of service."""

    def __init__(self, max_length: int = 128) -> None:
        self.max_length = max_length

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > self.max_length:
            message = _("This password is too long. It must contain at most %(max_length)s characters.")
            raise ValidationError(message % {"max_length": self.max_length}, "password_too_long")

    def get_help_text(self) -> str:
        return _("Your password must contain at most %(max_length)s characters.") % {"max_length": self.max_length}
