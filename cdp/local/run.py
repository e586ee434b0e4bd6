"""`make run`: everything the product needs, in one terminal, until Ctrl-C."""

import errno
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path

from cdp.local import join_running, processes
from cdp.local.children import die_with_parent, tail
from cdp.local.machine import cores
from cdp.local.paths import (
    FIRST_PASSWORD,
    PROJECT,
    AlreadyLocked,
    Layout,
    LocalError,
    keep_secret,
    layout,
    locked,
    read_secret,
    recorded_folder,
    remove_recorded,
)
from cdp.local.postgres import APP_ROLE
from cdp.local.servers import Servers, durable_servers
from cdp.local.supervisor import Service, Supervisor

HOST = "127.0.0.1"
PORTS_TO_TRY = 100
READY_SECONDS = 60
ASK_AGAIN_SECONDS = 3
METRICS_RECORD = "metrics-place"
LOG_LIMIT = 10 * 1024 * 1024


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S}  {text}", flush=True)


def run() -> int:
    """Runs the product; 0 when it was asked to end, 1 when it could not start."""
    paths = layout(Path(os.environ.get("CDP_DATA") or PROJECT / "var"))
    try:
        with locked(paths.run / "lock", f"process {os.getpid()}"):
            return _run(paths)
    except AlreadyLocked as other:
        raise LocalError(
            f"It is already running in {paths.data} ({other}). "
            "Stop that one, or give this one a folder of its own: CDP_DATA=other make run"
        ) from None


def _run(paths: Layout) -> int:
    make = _parent_make()
    if make:
        die_with_parent(signal.SIGTERM)
    watched = watched_make(make)
    supervisor = Supervisor(say, also_end=lambda: watched is not None and _was_interrupted(watched))
    try:
        listening = _listen(int(os.environ.get("PORT") or 8000))
        servers = durable_servers(paths)
        environment = _environment(paths, servers, listening.getsockname()[1])
        _start_servers(supervisor, servers, paths)
        prepared = _prepare(supervisor, environment, paths, servers)
        if prepared is None:
            return 0
        # From its file and not by way of the log that preparing writes.
        password = read_secret(paths.data / FIRST_PASSWORD) if prepared["is_first_password"] else ""
        login = f"admin / {password or 'the password you gave it'}"
        with join_running.environment_file(environment, paths.data):
            _start_product(supervisor, environment, paths, listening)
            ready = _wait_until_ready(supervisor, listening.getsockname()[1])
            _introduce(paths, environment, login, ready)
            if ready:
                _watch_until_ready(supervisor, listening.getsockname()[1])
            supervisor.watch()
        return 0
    finally:
        if supervisor.services:
            say("stopping …")
        supervisor.stop()
        remove_recorded(paths.run / METRICS_RECORD)
        if supervisor.services:
            say("stopped")


# --- the parts, in order -----------------------------------------------------------------------------
def _listen(port: int) -> socket.socket:
    """A listening socket on the port, or on the next free one, with a message."""
    for candidate in range(port, min(port + PORTS_TO_TRY, 65536)):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, candidate))
            listening.listen(512)
        except OSError as problem:
            listening.close()
            if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        if candidate != port:
            say(f"port {port} is taken; using {candidate}")
        return listening
    raise LocalError(f"No free port from {port} on. Choose another: PORT=9000 make run")


def _environment(paths: Layout, servers: Servers, port: int) -> dict[str, str]:
    key = paths.data / "secret-key"
    if not key.exists():
        keep_secret(key, secrets.token_urlsafe(64))
    temporary = paths.data / "tmp"
    for left_over in temporary.iterdir():
        left_over.unlink() if left_over.is_file() else shutil.rmtree(left_over)
    defaults = {
        "SECRET_KEY": read_secret(key),
        "CDP_URL": f"http://{HOST}:{port}",
        "CDP_LOCAL": "1",
        "PROMETHEUS_MULTIPROC_DIR": str(_metrics_folder(paths)),
    }
    chosen = {name: os.environ.get(name) or value for name, value in defaults.items()}
    return chosen | {"CDP_DATA": str(paths.data), "TMPDIR": str(temporary)} | servers.environment


def _metrics_folder(paths: Layout) -> Path:
    """Empty; in memory where there is such a place, so that a full disk costs no figures."""
    memory = Path("/dev/shm")  # noqa: S108  (mkdtemp)
    if memory.is_dir() and os.access(memory, os.W_OK):
        folder = recorded_folder(paths.run / METRICS_RECORD, prefix="cdp-metrics-", base=str(memory))
    else:
        folder = paths.run / "metrics"
        folder.mkdir(exist_ok=True)
    for old in folder.glob("*.db"):  # counters start afresh with the processes
        old.unlink()
    return folder


def _start_servers(supervisor: Supervisor, servers: Servers, paths: Layout) -> None:
    _roll_logs(paths.logs)
    if postgres := servers.postgres:
        first = not (postgres.cluster / "PG_VERSION").exists()
        say("creating the PostgreSQL cluster …" if first else "starting PostgreSQL …")
        service = Service(
            "postgres",
            postgres.launch,
            postgres.log,
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            grace_seconds=30,
        )
        supervisor.start(service)
        postgres.start_database()
    if redis := servers.redis:
        supervisor.start(Service("redis", redis.launch, redis.log))
        redis.wait_until_ready()


def _prepare(
    supervisor: Supervisor, environment: dict[str, str], paths: Layout, servers: Servers
) -> dict[str, bool] | None:
    """Migrations, demo people, login, static files. None when somebody pressed Ctrl-C meanwhile."""
    first = not (paths.run / "prepared").exists()
    say("preparing the database …" + (" the first time takes a moment" if first else ""))
    log = paths.logs / "prepare.log"
    log.unlink(missing_ok=True)
    postgres = servers.postgres
    as_owner = {"DATABASE_URL": postgres.url, "CDP_APP_ROLE": APP_ROLE} if postgres else {}
    process = processes.start_prepare(env=environment | as_owner, log=log)
    while process.poll() is None:
        if supervisor.ending or supervisor.also_end():
            process.terminate()
            process.wait()
            return None
        supervisor.sleep(0.5)
    if process.returncode:
        raise LocalError(f"The database could not be prepared. The end of {log}:\n{tail(log, 25)}")
    answer: dict[str, bool] = json.loads(tail(log, 1))
    (paths.run / "prepared").touch()
    return answer


def _start_product(
    supervisor: Supervisor, environment: dict[str, str], paths: Layout, listening: socket.socket
) -> None:
    logs = paths.logs
    # Stopped in the opposite order: web, beat, workers.
    # Two workers, so that what people start never waits for the night's comparison of everybody, and the other way
    # round; both by `nice` (see processes.NICE), behind the web processes.
    for name, queue, concurrency in (("worker", "jobs", cores()), ("housekeeping", "housekeeping", 2)):
        log = logs / f"{name}.log"
        launch = partial(
            processes.start_worker, env=environment, log=log, name=name, queues=queue, concurrency=concurrency
        )
        stop_signals = (signal.SIGTERM, signal.SIGQUIT)
        supervisor.start(Service(name, launch, log, stop_signals=stop_signals, grace_seconds=15))
    supervisor.start(
        Service(
            "beat",
            lambda: processes.start_beat(env=environment, log=logs / "beat.log", schedule=paths.run / "beat"),
            logs / "beat.log",
        )
    )
    supervisor.start(
        Service(
            "web",
            lambda: processes.start_web(env=environment, log=logs / "web.log", listening=listening.fileno()),
            logs / "web.log",
            stop_signals=(signal.SIGTERM, signal.SIGQUIT),
        )
    )


def _wait_until_ready(supervisor: Supervisor, port: int) -> str:
    """/readyz's last answer: "" when all is well, else what is missing."""
    deadline = time.monotonic() + READY_SECONDS
    answer = "the web process does not answer"
    while time.monotonic() < deadline and not supervisor.ending:
        answer = _ask_readiness(port) or answer
        if answer == "ok":
            return ""
        supervisor.sleep(0.3)
    return answer


def _watch_until_ready(supervisor: Supervisor, port: int) -> None:
    """On a busy machine a worker may take minutes: say when everything is up, so that the last line is not a warning."""
    next_at = 0.0

    def is_ready() -> bool:
        nonlocal next_at
        if time.monotonic() < next_at:
            return False
        next_at = time.monotonic() + ASK_AGAIN_SECONDS
        return _ask_readiness(port) == "ok"

    supervisor.watch(until=is_ready)
    if not supervisor.ending:
        say("everything is up")


def _ask_readiness(port: int) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        body = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()
    wrong = [f"{name}: {state}" for name, state in body.get("checks", {}).items() if state != "ok"]
    return "; ".join(wrong) or "ok"


def _introduce(paths: Layout, environment: dict[str, str], login: str, missing: str) -> None:
    databases = "" if paths.cluster.parent == paths.data else f" (PostgreSQL in {paths.cluster})"
    print(
        f"\n  Customer data platform   {environment['CDP_URL']}\n"
        f"  Log in as                {login}\n"
        f"  Data                     {paths.data}{databases}\n"
        f"  Logs                     {paths.logs}\n"
        f"  Stop with                Ctrl-C\n",
        flush=True,
    )
    if missing:
        say(f"still starting: {missing}")


def _roll_logs(logs: Path) -> None:
    for log in logs.glob("*.log"):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))


# --- make, our parent --------------------------------------------------------------------------------
def _parent_make() -> int | None:
    """The process id of the make that runs us."""
    try:
        name = Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        return None
    return os.getppid() if name in ("make", "gmake") else None


def watched_make(make: int | None) -> int | None:
    """The make whose interruption can be seen: one started in the background of a script ignores SIGINT from the start."""
    return make if make is not None and not _was_interrupted(make) else None


def _was_interrupted(make: int) -> bool:
    """Whether make alone was sent SIGINT, as `kill -INT` does and a terminal does not.

    GNU make then waits for us without passing the signal on; all one can see is that it no longer
    catches SIGINT.
    """
    try:
        status = Path(f"/proc/{make}/status").read_text()
    except OSError:
        return True  # make is gone
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return not int(caught, 16) & (1 << (signal.SIGINT - 1))


def main() -> int:
    try:
        return run()
    except LocalError as problem:
        print(f"\n{problem}", file=sys.stderr, flush=True)
        return 1
