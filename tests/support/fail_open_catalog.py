"""A catalog in which sessions and best practices fail open. In the default catalog no feature does."""

from pathlib import Path

from django.conf import settings

from entitlements.catalog import Catalog
from entitlements.catalog_file import read_catalog

LOOSE = ("sessions", "best_practices")


def fail_open_catalog(folder: Path) -> tuple[Path, Catalog]:
    """Write the catalog into the folder. Its path is a value for CATALOG_FILE."""
    text, path = settings.CATALOG_FILE.read_text(), folder / "fail_open.toml"
    for name in LOOSE:
        text = text.replace(f'name = "{name}"\n', f'name = "{name}"\nfailure_mode = "fail_open"\n')
    path.write_text(text)
    return path, read_catalog(path)
