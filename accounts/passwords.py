"""What a password may be, beyond Django's own validators."""

from typing import Any

from django.core.exceptions import ValidationError


class MaximumLengthValidator:
    """Refuse very long passwords: hashing megabytes of text is work that anybody could order."""

    def __init__(self, max_length: int = 128) -> None:
        self.max_length = max_length

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > self.max_length:
            raise ValidationError(f"This password is too long. It must contain at most {self.max_length} characters.", "password_too_long")

    def get_help_text(self) -> str:
        return f"Your password must contain at most {self.max_length} characters."
