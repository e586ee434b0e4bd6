"""The data folder → where local servers put their files and sockets, and as which operating system user they run.

Two facts shape this module. PostgreSQL refuses to run as root, so root hands its cluster to an
unprivileged user, who must be able to walk down to it: a folder below a home of mode 0700 will not do.
And a unix socket's path may have 107 bytes at most.
"""

import fcntl
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
FIRST_PASSWORD = "admin-password"  # the file's name  # noqa: S105
SOCKET_PATH_LIMIT = 107
LONGEST_SOCKET_NAME = len("/.s.PGSQL.5432")


class LocalError(Exception):
    """A sentence for the person at the terminal: what is wrong and what to do."""


@dataclass(frozen=True)
class OsUser:
    """The user a server's process runs as; `switch` is empty when that is who we already are."""

    name: str
    uid: int
    gid: int

    @property
    def switch(self) -> dict[str, Any]:
        """Arguments for subprocess that drop root's privileges, or none."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def postgres_user(cluster: Path) -> OsUser:
    """Who may run the cluster: ourselves, or as root its owner, `postgres`, `bin` or `nobody`."""
    if os.geteuid() != 0:
        return OsUser(own_name(), os.geteuid(), os.getegid())
    owner = cluster.stat().st_uid if cluster.exists() else 0
    if owner:
        group = cluster.stat().st_gid
        return OsUser(str(owner), owner, group)
    # `bin` is on every system and, unlike `nobody`, no service runs as it: whoever does could read the cluster.
    for name in ("postgres", "bin", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return OsUser(name, entry.pw_uid, entry.pw_gid)
    raise LocalError(
        "PostgreSQL does not run as root, and none of the users postgres, bin and nobody exists here. "
        "Create one (useradd --system postgres), run as an ordinary user, or set DATABASE_URL."
    )


def own_name() -> str:
    """The name of the operating system user we run as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container started with a bare uid
        return str(os.geteuid())


def may_walk(folder: Path, user: OsUser) -> bool:
    """Whether this user can reach what lies in the folder: execute permission on every step of the way."""
    folder = folder.resolve()
    for step in (folder, *folder.parents):
        if not step.exists():
            continue  # will be created by us, open enough
        info = step.stat()
        bit = 0o100 if info.st_uid == user.uid else 0o010 if info.st_gid == user.gid else 0o001
        if not info.st_mode & bit:
            return False
    return True


def recorded_folder(record: Path, *, prefix: str, base: str) -> Path:
    """The private folder whose path stands in `record`; made anew when there is none any more.

    The folder's name is random, so nobody can take it before us in a shared folder.
    """
    if record.exists():
        folder = Path(record.read_text().strip())
        if folder.is_dir() and folder.stat().st_uid == os.geteuid():
            return folder
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(f"{folder}\n")
    return folder


def remove_recorded(record: Path) -> None:
    """The folder goes, with all in it, and the record of it."""
    if record.exists():
        shutil.rmtree(Path(record.read_text().strip()), ignore_errors=True)
        record.unlink()


def owned_folder(folder: Path, user: OsUser) -> Path:
    """The folder, there, of mode 0700 and the user's own."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0 and folder.stat().st_uid != user.uid:
        os.chown(folder, user.uid, user.gid)
    folder.chmod(0o700)
    return folder


def fits_a_socket(folder: Path) -> bool:
    return len(os.fsencode(folder)) + LONGEST_SOCKET_NAME <= SOCKET_PATH_LIMIT


@dataclass(frozen=True)
class Layout:
    """Every place one set of local servers uses."""

    data: Path
    cluster: Path
    postgres_sockets: Path
    programs: Path  # where server programs are copied when they cannot be reached where they are
    redis: Path
    redis_sockets: Path
    logs: Path
    run: Path


def layout(data: Path) -> Layout:
    """Lays out `data` (created, private). What cannot live there goes to a private folder recorded there."""
    data = data.resolve()
    root = os.geteuid() == 0
    _make_folders(data, 0o711 if root else 0o700)
    run, logs, programs = data / "run", data / "log", data / "programs"
    for folder in (run, logs, data / "redis", data / "tmp"):
        folder.mkdir(exist_ok=True)
    # Root's folder stays passable so that the unprivileged user reaches the cluster, its sockets and its programs: nobody
    # else reads or lists anything on the way. All else is closed, also what an earlier version left open.
    passable = {data, run, programs} if root else set()
    for folder in (data, *data.iterdir()):
        if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.geteuid():
            folder.chmod(0o711 if folder in passable else 0o700)
    home = data
    if root and not may_walk(data, postgres_user(data / "postgres")):
        home = recorded_folder(data / "postgres-place", prefix="cdp-", base="/var/tmp")  # noqa: S108  (mkdtemp)
        home.chmod(0o711)
    sockets = run if home == data else home
    if not fits_a_socket(sockets / "pg"):
        sockets = recorded_folder(data / "socket-place", prefix="cdp-", base="/tmp")  # noqa: S108  (mkdtemp)
        sockets.chmod(0o711)
    return Layout(
        data=data,
        cluster=home / "postgres",
        postgres_sockets=sockets / "pg",
        programs=home / "programs",
        redis=data / "redis",
        redis_sockets=sockets,
        logs=logs,
        run=run,
    )


def _make_folders(folder: Path, mode: int) -> None:
    """The folder with those above it that are missing, each of this mode whatever the process' mask."""
    for missing in reversed([step for step in (folder, *folder.parents) if not step.exists()]):
        missing.mkdir()
        missing.chmod(mode)


def read_secret(file: Path) -> str:
    """What ``keep_secret`` wrote. Raises LocalError where others may read it, too."""
    if file.stat().st_mode & 0o077:
        raise LocalError(f"Other users of this machine may read {file}. Run: chmod 600 {file}")
    return file.read_text().strip()


def keep_secret(file: Path, text: str) -> None:
    """Writes a secret that is readable by its owner alone from the first moment on."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as opened:
        opened.write(f"{text}\n")


class AlreadyLocked(Exception):
    """Another living process has the lock; its message is what that process wrote into it."""


@contextmanager
def locked(lock: Path, text: str = "") -> Iterator[Path]:
    """Locks a file for as long as this process lives; the kernel releases it even after kill -9."""
    with lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise AlreadyLocked(handle.read().strip()) from None
        lock.write_text(text)
        yield lock


@contextmanager
def throwaway_folder(prefix: str = "cdp-test-") -> Iterator[Path]:
    """A private folder in the shared folder for temporary files, gone afterwards; those of killed runs are swept first."""
    base = Path(tempfile.gettempdir())
    if os.geteuid() == 0 and not may_walk(base, OsUser("nobody", 65534, 65534)):
        base = Path("/var/tmp")  # noqa: S108  (mkdtemp)
    _sweep(base, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    with locked(folder / "lock"):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(base: Path, prefix: str) -> None:
    for folder in base.glob(f"{prefix}*"):
        try:
            if folder.stat().st_uid != os.geteuid() or not (folder / "lock").exists():
                continue
            with locked(folder / "lock"):
                shutil.rmtree(folder, ignore_errors=True)
        except (AlreadyLocked, FileNotFoundError):
            continue  # somebody is using it, or swept it before us
