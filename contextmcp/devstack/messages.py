"""`python -m contextmcp.devstack.messages`: extract the texts of pages and emails into `locale`, and compile the translations.

It needs Babel and Django only, not the tools of GNU gettext. Entries are sorted by text and have no line numbers, so that a change of code
changes few lines. With `--check`, nothing is written; the exit status is 1 if a translation is missing, fuzzy or has other placeholders
than its text, or if a file is not up to date.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

REPOSITORY = Path(__file__).resolve().parents[2]
LANGUAGES = ("de", "fr")
FOLDERS = ("accounts", "billing", "entitlements", "usage", "contextmcp")
# Pages of staff, which are in English.
ENGLISH_TEMPLATES = frozenset({"admin", "backoffice", "unfold"})
# The functions of django.utils.translation, and `translatable` of contextmcp.common.text.
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "translatable": None,
}
_HEADER = "# Translations of the product's pages and emails. `make messages` updates this file."
_LITERAL = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_CALL = re.compile(rf"\b(n?p?gettext|_)\(({_LITERAL}(?:\s*,\s*{_LITERAL})*)")
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[^ (]|\{\w*\}")

# A text, or its singular and plural, and its context.
Text = tuple[str | tuple[str, str], str | None]


def in_module(source: bytes) -> Iterator[Text]:
    """Yield the texts of a Python module."""
    # Reading the tokens of all modules would take seconds.
    if b"translat" in source:
        for _, identifier, _, context in extract("python", io.BytesIO(source), KEYWORDS):
            yield identifier if isinstance(identifier, str) else (identifier[0], identifier[1]), context


def in_template(source: str) -> Iterator[Text]:
    """Yield the texts of a Django template."""
    # The result of `templatize` is not a valid module: it contains calls of gettext, and letters for everything else.
    for function, arguments in _CALL.findall(templatize(source)):
        texts = list(ast.literal_eval(f"[{arguments}]"))
        context = texts.pop(0) if "p" in function else None
        yield (texts[0], texts[1]) if function.startswith("n") else texts[0], context


def read_texts(root: Path = REPOSITORY) -> Catalog:
    """Return the texts of the Python modules and templates below `root`."""
    catalog = Catalog(project="ContextMCP", charset="utf-8", header_comment=_HEADER)

    def add(path: Path, texts: Iterator[Text]) -> None:
        for identifier, context in texts:
            catalog.add(identifier, locations=[(path.relative_to(root).as_posix(), 0)], context=context)

    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            add(path, in_module(path.read_bytes()))
    for path in sorted((root / "templates").rglob("*.*")):
        if path.relative_to(root / "templates").parts[0] not in ENGLISH_TEMPLATES:
            add(path, in_template(path.read_text()))
    return catalog


def po_file(language: str, root: Path = REPOSITORY) -> Path:
    return root / "locale" / language / "LC_MESSAGES" / "django.po"


def read_translations(path: Path, language: str) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language, charset="utf-8")


def updated(path: Path, language: str, texts: Catalog) -> Catalog:
    """Return the translations in `path` of the present texts. New texts have none, and those that no longer exist are dropped."""
    known = read_translations(path, language) if path.exists() else Catalog()
    result = Catalog(locale=language, charset="utf-8", header_comment=_HEADER)
    # The default header contains the present time and addresses, which would change with each update.
    for message in texts:
        if message.id:
            present = known.get(message.id[0] if message.pluralizable else message.id, message.context)
            kept = present is not None and present.pluralizable == message.pluralizable
            result.add(
                message.id,
                present.string if present and kept else ("",) * result.num_plurals if message.pluralizable else "",
                locations=sorted(set(message.locations)),
                flags=present.flags if present and kept else (),
                user_comments=present.user_comments if present else (),
                context=message.context,
            )
    return result


def as_po(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    write_po(file, catalog, width=140, sort_output=True, include_lineno=False, omit_header=True)
    header = "\n".join(
        (
            _HEADER,
            'msgid ""',
            'msgstr ""',
            f'"Language: {catalog.locale_identifier}\\n"',
            '"Content-Type: text/plain; charset=utf-8\\n"',
            '"Content-Transfer-Encoding: 8bit\\n"',
            f'"Plural-Forms: {catalog.plural_forms}\\n"',
            "\n",
        )
    )
    return header.encode() + file.getvalue()


def as_mo(path: Path, language: str) -> bytes:
    file = io.BytesIO()
    catalog = read_translations(path, language)
    # Babel writes the present time into the header, and the compiled file must depend on the texts only.
    catalog.creation_date = catalog.revision_date = datetime(2000, 1, 1, tzinfo=UTC)
    write_mo(file, catalog)
    return file.getvalue()


def faults(root: Path = REPOSITORY) -> list[str]:
    """Return a sentence for each translation that is not complete, and for each file that is not up to date."""
    texts, found = read_texts(root), []
    for language in LANGUAGES:
        path = po_file(language, root)
        name = path.relative_to(root)
        catalog = updated(path, language, texts)
        if not path.exists() or path.read_bytes() != as_po(catalog):
            found.append(f"{name} is not up to date: run `make messages`.")
        elif not path.with_suffix(".mo").exists() or path.with_suffix(".mo").read_bytes() != as_mo(path, language):
            found.append(f"{name.with_suffix('.mo')} is not up to date: run `make messages`.")
        found += [f"{name}: {fault}" for message in catalog if message.id for fault in _faults_of(message)]
    return found


def _faults_of(message: Message) -> Iterator[str]:
    texts, strings = _forms(message.id), _forms(message.string)
    if not all(strings):
        yield f"{texts[0]!r} has no translation."
        return
    if message.fuzzy:
        yield f"{texts[0]!r} is marked as fuzzy."
    expected = set(_PLACEHOLDER.findall(texts[-1]))
    for string in strings:
        placeholders = set(_PLACEHOLDER.findall(string))
        # A singular may omit the number: "a member".
        if placeholders != expected and not (message.pluralizable and placeholders < expected):
            yield f"{texts[0]!r} has the placeholders {sorted(expected)}, its translation {sorted(placeholders)}."


def _forms(text: object) -> list[str]:
    """Return the singular and plural forms, or the only form."""
    return [str(form or "") for form in text] if isinstance(text, list | tuple) else [str(text or "")]


def update(root: Path = REPOSITORY) -> None:
    """Write the files of all languages."""
    texts = read_texts(root)
    for language in LANGUAGES:
        path = po_file(language, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_po(updated(path, language, texts)))
        path.with_suffix(".mo").write_bytes(as_mo(path, language))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if translations are missing")
    arguments = parser.parse_args()
    if not arguments.check:
        update()
    found = faults()
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
