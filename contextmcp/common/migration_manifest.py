"""The manifest of released migrations: one line for each, its SHA-256 and its path, as `sha256sum` writes and checks them.

A released migration may have been applied. If it is changed or removed, newly installed and upgraded databases differ. `make check`
compares the migrations with the manifest and fails in this case.
"""

from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db.migrations.loader import MigrationLoader

MANIFEST = "migrations.sha256"


def present(root: Path | None = None) -> dict[str, str]:
    """Return path and SHA-256 of each migration in this repository, including those for another package's models."""
    root = root or Path(settings.BASE_DIR)
    digests = {}
    for config in apps.get_app_configs():
        name, _ = MigrationLoader.migrations_module(config.label)
        if name is None or not (folder := _folder(name)) or not folder.is_relative_to(root) or ".venv" in folder.parts:
            continue
        for path in folder.glob("*.py"):
            if not path.name.startswith("_"):
                digests[path.relative_to(root).as_posix()] = sha256(path.read_bytes()).hexdigest()
    return dict(sorted(digests.items()))


def _folder(module: str) -> Path | None:
    try:
        file = import_module(module).__file__
    except ModuleNotFoundError:
        return None
    return Path(file).parent if file else None


def read(path: Path) -> dict[str, str] | None:
    """Return path and SHA-256 of each released migration, or None if there is no manifest (before the first release)."""
    if not path.exists():
        return None
    pairs = (line.split(maxsplit=1) for line in path.read_text().splitlines() if line.strip())
    return {name.strip(): digest for digest, name in pairs}


def write(path: Path, migrations: Mapping[str, str]) -> None:
    path.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(migrations.items())))


def problems(released: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Return one sentence for each released migration that was changed or is missing."""
    changed = [f"{name} was changed after it was released. Restore it, and add another migration." for name in _changed(released, present)]
    return [*(f"{name} was released and is missing. Restore it." for name in released if name not in present), *changed]


def unlisted(released: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Return the migrations that the manifest does not name yet."""
    return [name for name in present if name not in released]


def _changed(released: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    return [name for name, digest in released.items() if present.get(name, digest) != digest]
