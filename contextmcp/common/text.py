"""Texts for people: identifiers as words, and English texts that pages translate."""

from typing import Any

from django.utils.translation import gettext


def words(identifier: str) -> str:
    """Return an identifier as words: `past_due` becomes "past due"."""
    return identifier.replace("_", " ")


class Translatable(str):
    """An English text with values, which pages show in the reader's language. APIs and logs use it as the string that it is."""

    __slots__ = ("template", "values")
    template: str
    values: dict[str, Any]


def translatable(template: str, **values: Any) -> Translatable:
    """Return the English text of a template with named placeholders, such as "%(email)s is already a member."."""
    text = Translatable(template % values)
    text.template, text.values = template, values
    return text


def translated(text: str) -> str:
    """Return a text in the reader's language. Values that have translations themselves are translated too."""
    if not isinstance(text, Translatable):
        return gettext(text) if text else ""
    return gettext(text.template) % {name: translated(value) if isinstance(value, str) else value for name, value in text.values.items()}
