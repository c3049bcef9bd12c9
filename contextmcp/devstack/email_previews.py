"""`python -m contextmcp.devstack.email_previews`: print all emails of the product as JSON, rendered with sample data in each language.

The sample data is written in a transaction of the development database that is rolled back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from django.conf import settings
from django.db import transaction

from contextmcp.common.emails import EmailContent, render_message
from contextmcp.common.locale import localized

TIME_ZONES = {"en": "America/New_York", "de": "Europe/Berlin", "fr": "Europe/Paris"}
Content = Callable[[], EmailContent | None]


@dataclass(frozen=True)
class Preview:
    """One email in one language."""

    name: str
    language: str
    subject: str
    text: str
    html: str


def previews(languages: tuple[str, ...] | None = None) -> list[Preview]:
    """Return all emails in these languages, by default in all that the product has."""
    codes = languages or tuple(code for code, _ in settings.LANGUAGES)
    with transaction.atomic():
        result = [_preview(name, content, language) for name, content in samples() for language in codes]
        transaction.set_rollback(True)
    return result


def _preview(name: str, content: Content, language: str) -> Preview:
    with localized(language, TIME_ZONES.get(language, "")):
        email = content()
        assert email is not None, f"The sample data of {name} does not meet the conditions of the email."
        message = render_message(email, "ada@example.com")
        return Preview(name, language, str(message.subject), str(message.body), str(message.alternatives[0][0]))


def samples() -> Iterator[tuple[str, Content]]:
    """Yield the name and the content of each email. The rows that they are about are created."""
    # The apps are loaded when this runs, and not when the module is imported.
    from contextmcp.devstack import email_samples  # noqa: PLC0415

    yield from email_samples.account()
    yield from email_samples.organization()
    yield from email_samples.billing()
    yield from email_samples.usage()


def main() -> None:
    """Print the emails as JSON."""
    import django  # noqa: PLC0415

    django.setup()
    print(json.dumps([asdict(each) for each in previews()]))


if __name__ == "__main__":
    main()
