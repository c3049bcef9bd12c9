"""A translation that marks each text, to find texts that are not translated: what is visible outside of the marks must be data."""

import re
from collections.abc import Iterable
from gettext import NullTranslations
from html.parser import HTMLParser

import pytest
from django.utils.translation import trans_real

from entitlements.catalog import CATALOG

LANGUAGE = "de"
# Elements whose text is data or code, and attributes with text.
DATA_ELEMENTS = frozenset({"script", "style", "code", "pre", "option"})
TEXT_ATTRIBUTES = frozenset({"alt", "aria-label", "placeholder", "title", "data-copied", "data-failed"})
_MARKED = re.compile(r"⟦[^⟦⟧]*⟧")
_WORD = re.compile(r"[^\W\d_]{2,}")
# Words of German dates, times and amounts, which Babel formats, and of the footer's languages.
_FORMATS = frozenset(
    {"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"}
    | {"UTC", "MEZ", "MESZ", "English", "Deutsch", "Français"}
)


class _Marks(NullTranslations):
    def gettext(self, message: str) -> str:
        return f"⟦{message.rpartition(chr(4))[2]}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)

    def to_language(self) -> str:
        return LANGUAGE


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the German translation by one that encloses each text in marks."""
    monkeypatch.setitem(trans_real._translations, LANGUAGE, _Marks())  # type: ignore[attr-defined]


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.attributes: list[str] = []
        self._skipped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DATA_ELEMENTS:
            self._skipped.append(tag)
        self.attributes += [value or "" for name, value in attrs if name in TEXT_ATTRIBUTES]
        self.text += " "

    def handle_endtag(self, tag: str) -> None:
        if self._skipped and self._skipped[-1] == tag:
            self._skipped.pop()
        self.text += " "

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.text += data


def untranslated(text: str, data: Iterable[str]) -> list[str]:
    """Return the words of a plain text that are neither inside marks nor in `data`."""
    while _MARKED.search(text):
        text = _MARKED.sub(" ", text)
    known = sorted({*data, *_catalog_texts()}, key=len, reverse=True)
    text = re.sub("|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in known), " ", text)
    return [word for word in _WORD.findall(text) if word not in _FORMATS]


def untranslated_html(html: str, data: Iterable[str]) -> list[str]:
    """Return the untranslated words of a page: of its text, and of attributes that are read or shown."""
    texts = _Texts()
    texts.feed(html)
    data = list(data)
    return untranslated(texts.text, data) + [word for each in texts.attributes for word in untranslated(each, data)]


def _catalog_texts() -> set[str]:
    """Return the texts of the catalog, which are the vendor's data."""
    texts = {text for plan in CATALOG.plans for text in (plan.title, plan.summary)}
    for feature in CATALOG.features:
        texts |= {feature.title, feature.summary, feature.unit, feature.group, feature.question, feature.answer}
        texts |= {feature.singular_noun, feature.plural_noun}
    texts |= {text for translations in CATALOG.translations.values() for text in translations.values()}
    return texts - {""}
