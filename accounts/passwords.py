"""A password validator in addition to Django's own."""

from typing import Any

from django.core.exceptions import ValidationError


class MaximumLengthValidator:
    """Refuses very long passwords, because hashing megabytes of text would allow a denial of service."""

    def __init__(self, max_length: int = 128) -> None:
        self.max_length = max_length

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > self.max_length:
            raise ValidationError(f"This password is too long. It must contain at most {self.max_length} characters.", "password_too_long")

    def get_help_text(self) -> str:
        return f"Your password must contain at most {self.max_length} characters."
