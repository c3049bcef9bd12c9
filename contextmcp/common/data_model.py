"""Generate docs/data-model.md from Django's model metadata: a Mermaid diagram of the tables of each app."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import models

DOCUMENT = Path("docs") / "data-model.md"
APPS = ("accounts", "entitlements", "usage", "billing", "common")
_INTRODUCTION = """# Data model

Each diagram shows the tables of one app, with the tables of other apps that they refer to. `make data-model` writes this file, and
`make check` fails if it is outdated. A column marked `PK` is the primary key, `FK` refers to another table, and `UK` is unique.
"""


def path() -> Path:
    """Return the path of the document."""
    return Path(settings.BASE_DIR) / DOCUMENT


def document() -> str:
    """Return the text of the document."""
    return "\n".join([_INTRODUCTION, *(_section(label) for label in APPS)])


def _section(label: str) -> str:
    config = apps.get_app_config(label)
    own = (model for model in config.get_models() if model._meta.managed and not model._meta.proxy)
    tables = sorted(own, key=lambda model: model.__name__)
    lines = [f"## {label}", ""]
    lines += [f"- **{model.__name__}**: {_summary(model)}" for model in tables]
    lines += ["", "```mermaid", "erDiagram"]
    for model in tables:
        lines += [f"    {model.__name__} {{", *(f"        {_column(field)}" for field in model._meta.concrete_fields), "    }"]
    lines += sorted(_relations(tables))
    return "\n".join([*lines, "```", ""])


def _summary(model: type[models.Model]) -> str:
    """Return the first sentence of the model's docstring."""
    text = " ".join((model.__doc__ or "").split())
    # Django gives a model without a docstring a list of its fields.
    return "" if text.startswith(f"{model.__name__}(") else text.partition(". ")[0].removesuffix(".") + "."


def _column(field: models.Field[object, object]) -> str:
    keys = [
        name
        for name, applies in (("PK", field.primary_key), ("FK", field.is_relation), ("UK", field.unique and not field.primary_key))
        if applies
    ]
    kind = type(field.target_field if isinstance(field, models.ForeignKey) else field).__name__.removesuffix("Field").lower()
    nullable = ' "nullable"' if field.null else ""
    return f"{kind} {field.column}{' ' + ', '.join(keys) if keys else ''}{nullable}"


def _relations(tables: Iterable[type[models.Model]]) -> Iterable[str]:
    for model in tables:
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey):
                parent = field.related_model.__name__ if isinstance(field.related_model, type) else str(field.related_model)
                many = "o|" if field.unique else "o{"
                one = "o|" if field.null else "||"
                yield f"    {parent} {one}--{many} {model.__name__} : {field.name}"
