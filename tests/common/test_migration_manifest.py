"""Released migrations neither change nor disappear. A command lists new ones."""

import shutil
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from contextmcp.common import migration_manifest as manifest

ROOT = Path(settings.BASE_DIR)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Copy the repository's migrations into a temporary directory."""
    for name in manifest.present():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(settings, "BASE_DIR", tmp_path)
    monkeypatch.setattr(manifest, "_folder", lambda module: tmp_path / module.replace(".", "/"))
    return tmp_path


def lock(*arguments):
    out = StringIO()
    call_command("lock_migrations", *arguments, stdout=out)
    return out.getvalue()


def test_only_migrations_of_this_repository_are_listed():
    result = manifest.present()
    folders = {Path(name).parent.as_posix() for name in result}
    assert {"accounts/migrations", "billing/migrations", "billing/stripe/djstripe_migrations", "contextmcp/common/migrations"} <= folders
    assert set(result) == {
        path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py"
    }


def test_before_the_first_release_nothing_is_checked(copy):
    assert "nothing was released" in lock("--check")
    assert not (copy / manifest.MANIFEST).exists()


def test_sha256sum_can_check_the_manifest(copy):
    assert "added" in lock()
    assert "as they were released" in lock("--check")
    sums = subprocess.run(["sha256sum", "--check", "--quiet", manifest.MANIFEST], cwd=copy, capture_output=True, check=False)
    assert (sums.returncode, sums.stdout) == (0, b"")


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_changed_migration_is_reported(copy, arguments):
    lock()
    path = copy / "usage/migrations/0001_initial.py"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(CommandError, match=r"usage/migrations/0001_initial.py was changed after it was released"):
        lock(*arguments)


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_missing_migration_is_reported(copy, arguments):
    lock()
    next((copy / "billing/stripe/djstripe_migrations").glob("0*.py")).unlink()
    with pytest.raises(CommandError, match=r"billing/stripe/djstripe_migrations/0001_\w+.py was released and is missing"):
        lock(*arguments)


def test_the_command_adds_a_new_migration(copy):
    lock()
    before = (copy / manifest.MANIFEST).read_text().splitlines()
    (copy / "usage/migrations/0099_new.py").write_text("# A migration.\n")
    with pytest.raises(CommandError, match=r"usage/migrations/0099_new.py is not in migrations.sha256. Add it: make lock-migrations"):
        lock("--check")
    assert "1 added" in lock()
    assert "as they were released" in lock("--check")
    assert set(before) < set((copy / manifest.MANIFEST).read_text().splitlines())


def test_this_repository_matches_its_manifest():
    lock("--check")
