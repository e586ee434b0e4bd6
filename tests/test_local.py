"""The local house: servers that keep what they were given, and one supervisor that cleans up after itself."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cdp.local import run
from cdp.local.children import how_it_ended, spawn
from cdp.local.machine import MB, Machine, machine_tuning, throwaway_tuning
from cdp.local.paths import (
    PROJECT,
    AlreadyLocked,
    LocalError,
    OsUser,
    fits_a_socket,
    keep_secret,
    layout,
    locked,
    may_walk,
    postgres_user,
    throwaway_folder,
)
from cdp.local.postgres import processes_in
from cdp.local.servers import new_postgres, throwaway_postgres, throwaway_redis

GB = 1024 * MB


# --- places ------------------------------------------------------------------------------------------
def test_settings_fit_the_machine() -> None:
    small = machine_tuning(Machine(memory=GB, cores=1, free_disk=4 * GB, shared_memory=64 * MB))
    large = machine_tuning(Machine(memory=64 * GB, cores=16, free_disk=500 * GB, shared_memory=32 * GB))
    assert (small["shared_buffers"], large["shared_buffers"]) == ("128MB", "4096MB")
    assert (small["max_wal_size"], large["max_wal_size"]) == ("682MB", "8192MB")
    assert [each["autovacuum_vacuum_cost_delay"] for each in (small, large)] == ["10ms", "2ms"]
    assert (small["dynamic_shared_memory_type"], large["dynamic_shared_memory_type"]) == ("mmap", "posix")
    for settings in (small, large):
        assert (settings["fsync"], settings["synchronous_commit"], settings["max_connections"]) == (
            "on",
            "on",
            "200",
        )


def test_throwaway_servers_skip_the_disk_but_not_the_commit() -> None:
    settings = throwaway_tuning(Machine(memory=16 * GB, cores=4, free_disk=100 * GB, shared_memory=GB))
    assert (settings["fsync"], settings["synchronous_commit"]) == ("off", "on")


def test_sockets_move_when_the_path_is_too_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    assert not fits_a_socket(deep)
    paths = layout(deep)
    assert fits_a_socket(paths.postgres_sockets)
    assert layout(deep).postgres_sockets == paths.postgres_sockets  # the same one again, as recorded
    assert paths.postgres_sockets.parent.stat().st_mode & 0o077 in (0, 0o011)
    paths.postgres_sockets.parent.rmdir()  # the temp folder was cleaned up
    again = layout(deep).postgres_sockets
    assert again.parent.is_dir()
    again.parent.rmdir()


def test_a_folder_is_reached_through_every_step(tmp_path: Path) -> None:
    stranger = OsUser("stranger", 4_000_000, 4_000_000)
    inner = tmp_path / "home" / "var"
    inner.mkdir(parents=True)
    for step in (inner, *inner.parents):
        if step.stat().st_uid == os.geteuid() and str(step).startswith(str(tmp_path.parent.parent)):
            step.chmod(0o711)
    if may_walk(tmp_path, stranger):
        assert may_walk(inner, stranger)
    (tmp_path / "home").chmod(0o700)
    assert not may_walk(inner, stranger)
    assert may_walk(inner, OsUser("me", os.geteuid(), os.getegid()))


def test_root_hands_postgres_to_somebody_else(tmp_path: Path) -> None:
    user = postgres_user(tmp_path / "postgres")
    assert user.uid != 0
    assert bool(user.switch) is (os.geteuid() == 0)


def test_a_lock_names_the_process_that_has_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locked(lock, "process 42"), pytest.raises(AlreadyLocked, match="process 42"), locked(lock):
        pass
    with locked(lock):
        pass


def test_folders_of_killed_runs_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("cdp.local.paths.may_walk", lambda folder, user: True)
    left_over, somebody_elses = tmp_path / "cdp-test-dead", tmp_path / "cdp-test-nolock"
    for folder in (left_over, somebody_elses):
        folder.mkdir()
    (left_over / "lock").touch()
    with throwaway_folder() as first, throwaway_folder() as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not left_over.exists()
        assert somebody_elses.exists()
    assert not first.exists()


def test_a_secret_is_its_owners_alone(tmp_path: Path) -> None:
    keep_secret(tmp_path / "key", "s3cret")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        keep_secret(tmp_path / "key", "another")


def test_a_taken_port_gives_way_to_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    with run._listen(0) as first:
        taken = first.getsockname()[1]
        with run._listen(taken) as second:
            assert second.getsockname()[1] > taken
    assert f"port {taken} is taken; using " in capsys.readouterr().out


# --- servers -----------------------------------------------------------------------------------------
@pytest.mark.faults
def test_postgres_keeps_what_it_acknowledged() -> None:
    with throwaway_postgres() as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        server.kill()
        assert not server.running
        assert processes_in(server.cluster) == []
        server.start()
        server.restart("immediate")
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]
            row = connection.execute("SHOW listen_addresses").fetchone()
            assert row == ("",)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)


def test_a_postgres_that_repairs_itself_is_waited_for(tmp_path: Path) -> None:
    """After a crash in a large import it repeats gigabytes, which takes minutes; its log says how far it got."""
    server = new_postgres(tmp_path)
    server.cluster.mkdir(exist_ok=True)
    server.log.touch()
    server.process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, pathlib, sys, time\n"
            "log, pid_file = map(pathlib.Path, sys.argv[1:])\n"
            "for second in range(8):\n"
            "    time.sleep(0.5)\n"
            "    with log.open('a') as file: print('redo in progress', second, file=file)\n"
            "pid_file.write_text(f'{os.getpid()}\\n' + 'x\\n' * 6 + 'ready')\n"
            "time.sleep(60)\n",
            server.log,
            server.cluster / "postmaster.pid",
        ]
    )
    try:
        server.wait_until_ready(2)
        (server.cluster / "postmaster.pid").unlink()
        with pytest.raises(
            LocalError, match="is not ready and has logged nothing for 1 s. Read .*postgres.log"
        ):
            server.wait_until_ready(1)
    finally:
        server.process.kill()
        server.process.wait()


@pytest.mark.faults
def test_a_pid_file_naming_a_stranger_does_not_stop_postgres() -> None:
    """After a reboot the number in a stale pid file is often somebody else's process."""
    with throwaway_postgres() as server:
        server.kill()
        pid_file = server.cluster / "postmaster.pid"
        stale = pid_file.read_text()
        pid_file.write_text(re.sub(r"\A\d+", str(os.getpid()), stale))
        assert server.start().running


@pytest.mark.faults
def test_a_postgres_left_behind_is_ended_before_the_next() -> None:
    with throwaway_folder() as folder:
        first = new_postgres(folder).start()
        second = new_postgres(folder)
        second.start()
        assert first.process is not None
        first.process.wait(20)
        assert second.running
        second.stop("immediate")


@pytest.mark.faults
def test_redis_keeps_messages_over_a_kill_and_refuses_rather_than_forgets() -> None:
    with throwaway_redis(maxmemory="3mb") as server:
        with server.client() as client:
            client.rpush("celery", "one")
            client.config_set("appendfsync", "always")
            client.rpush("celery", "two")
            with pytest.raises(redis.ResponseError, match="used memory > 'maxmemory'"):
                for number in range(100):
                    client.set(f"filler:{number}", "x" * 100_000)
        server.kill()
        server.start()
        with server.client() as client:
            assert client.lrange("celery", 0, -1) == [b"one", b"two"]
        server.kill()
        server.wipe()
        server.start()
        with server.client() as client:
            assert client.dbsize() == 0


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    if sys.platform != "linux":
        return
    code = (
        "from cdp.local.children import spawn; import time; "
        "print(spawn(['sleep', '600']).pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=PROJECT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not alive(child))


def test_endings_are_described() -> None:
    assert how_it_ended(3) == "exited with code 3"
    killed = spawn(["sleep", "600"])
    killed.kill()
    assert how_it_ended(killed.wait()) == "was killed by SIGKILL"


# --- the supervisor ------------------------------------------------------------------------------------
SUPERVISED = """
import signal, sys
from pathlib import Path
from cdp.local.children import spawn
from cdp.local.supervisor import Service, Supervisor

log = Path(sys.argv[1])
supervisor = Supervisor(lambda text: print(text, flush=True))
# The stubborn one ignores SIGTERM and must be killed.
for name, command in (("first", "sleep 600"), ("stubborn", "trap '' TERM; while :; do sleep 1; done")):
    launch = lambda command=command: spawn(["sh", "-c", "exec " + command if "trap" not in command else command])
    supervisor.start(Service(name, launch, log, grace_seconds=0.5))
print(" ".join(str(service.process.pid) for service in supervisor.services), flush=True)
supervisor.watch()
supervisor.stop()
print("stopped", flush=True)
"""


def test_what_dies_is_reported_once_and_started_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, str(log)], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    assert supervisor.stdout is not None
    first, stubborn = map(int, supervisor.stdout.readline().split())
    os.kill(first, signal.SIGKILL)
    assert supervisor.stdout.readline() == (
        f"first was killed by SIGKILL; starting it again in 1 s (log: {log})\n"
    )
    until(lambda: len(children_of(supervisor.pid) - {first}) == 2)
    children = children_of(supervisor.pid)
    assert stubborn in children
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.communicate(timeout=60)[0] == "stopped\n"
    assert supervisor.returncode == 0
    assert not any(alive(child) for child in children)


WATCHED = """
import sys
from cdp.local import run
from cdp.local.supervisor import Supervisor

answers = ["worker: none heard of for 30 s", "", "ok"]
run._ask_readiness = lambda port: answers.pop(0)
run.ASK_AGAIN_SECONDS = 0
supervisor = Supervisor(run.say)
run._watch_until_ready(supervisor, 1)
assert answers == [], answers
"""


def test_a_worker_that_is_slow_to_start_is_not_the_last_word() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], capture_output=True, text=True, cwd=PROJECT, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith("everything is up")


def without_servers() -> dict[str, str]:
    named = ("DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL", "CDP_DATA", "CDP_LOCAL", "SECRET_KEY")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in named and not name.startswith(("PYTEST", "COV", "DJANGO"))
    }


# --- the commands ----------------------------------------------------------------------------------------
def local(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`python -m cdp.local …` on nothing but what it brings along."""
    return subprocess.Popen(
        [sys.executable, "-m", "cdp.local", *arguments],
        env={**without_servers(), **environment},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.faults
def test_exec_gives_a_command_servers_and_takes_them_away() -> None:
    code = (
        "import os, sys, psycopg; "
        "psycopg.connect(os.environ['DATABASE_URL']).close(); "
        "print(os.environ['CDP_DATA'], os.environ['CELERY_BROKER_URL']); sys.exit(7)"
    )
    process = local("exec", "--", sys.executable, "-c", code)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 7, output
    data, broker = output.split()
    assert broker.startswith("redis+socket:///")
    assert not Path(data).parent.exists()


def test_exec_says_how_it_is_used() -> None:
    process = local("exec", "true")
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (
        2,
        "Usage: python -m cdp.local [exec [--durable] -- command …]\n",
    )


@pytest.fixture
def data() -> Iterator[Path]:
    with throwaway_folder() as folder:
        yield folder / "data"


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_run_serves_until_stopped_and_keeps_its_data(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        first = start_run(data, port)
        (address,) = re.findall(r"http://127\.0\.0\.1:(\d+)", first.output)
        served = int(address)
        assert f"port {port} is taken; using {served}" in first.output
        password = (data / "admin-password").read_text().strip()
        assert f"admin / {password}" in first.output
        assert readiness(served) == dict.fromkeys(("database", "migrations", "broker", "worker"), "ok")

        second = local(CDP_DATA=str(data), PORT=str(port))
        output, _ = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"It is already running in {data} (process {first.process.pid})." in output

    environment = data / "run" / "environment"
    assert environment.stat().st_mode & 0o777 == 0o600
    # A Python without our packages finds those that `make run` installed; no variable says where the database is.
    created = beside(data, "-S", "manage.py", "apikey", "create", "shop", "--scopes", "profiles:read")
    assert created.returncode == 0, created.stderr
    key = created.stdout.splitlines()[-1]
    assert ask(served, "/api/v1/profiles/", key) == 200
    assert ask(served, "/api/v1/profiles/", "wrong") == 401

    children = children_of(first.process.pid)
    assert len(children) == 6  # PostgreSQL, Redis, two workers, beat, web
    here = os.getpriority(os.PRIO_PROCESS, first.process.pid)
    niceness = sorted(os.getpriority(os.PRIO_PROCESS, pid) - here for pid in children)
    assert niceness == [0, 0, 0, 0, min(10, 19 - here), min(10, 19 - here)], "workers alone step back"
    web = web_processes(children)
    assert len(web) >= 2
    first.process.send_signal(signal.SIGTERM)
    assert first.process.communicate(timeout=120)[0].rstrip().endswith("stopped")
    assert first.process.returncode == 0
    assert not any(alive(child) for child in children | web)
    assert not environment.exists()
    late = beside(data, "manage.py", "apikey", "list")
    assert late.returncode == 1
    assert "start `make run` and repeat this beside it" in " ".join(late.stderr.split())

    again = start_run(data, served)
    assert f"admin / {password}" in again.output
    children = children_of(again.process.pid)
    web = web_processes(children)
    again.process.kill()
    again.process.wait()
    assert again.process.stdout is not None
    again.process.stdout.close()

    after_the_kill = start_run(data, served)
    assert f"admin / {password}" in after_the_kill.output
    assert not any(alive(child) for child in children)
    until(lambda: not any(alive(pid) for pid in web))
    after_the_kill.process.send_signal(signal.SIGINT)
    after_the_kill.process.communicate(timeout=120)
    assert after_the_kill.process.returncode == 0


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_make_in_the_background_is_not_taken_for_an_interrupted_one(handler: signal.Handlers) -> None:
    make = subprocess.Popen(
        ["make", "-sf", "-"],
        stdin=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
        start_new_session=True,
    )
    try:
        assert make.stdin is not None
        make.stdin.write(b"all:\n\t@sleep 60\n")
        make.stdin.close()
        until(lambda: bool(children_of(make.pid)))
        assert run.watched_make(make.pid) == (make.pid if handler == signal.SIG_DFL else None)
        assert run.watched_make(None) is None
    finally:
        os.killpg(make.pid, signal.SIGKILL)
        make.wait()


class Running:
    def __init__(self, process: subprocess.Popen[str], output: str) -> None:
        self.process, self.output = process, output


def start_run(data: Path, port: int) -> Running:
    """Starts it and reads what it says until it has introduced itself."""
    process = local(CDP_DATA=str(data), PORT=str(port), CDP_DEMO="0")
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if "Stop with" in line:
            return Running(process, output)
    raise AssertionError(f"It ended early with code {process.wait()}:\n{output}")


def beside(data: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """`python …` in another terminal."""
    return subprocess.run(
        [sys.executable, *command],
        env={**without_servers(), "CDP_DATA": str(data)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def ask(port: int, path: str, key: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
    status = connection.getresponse().status
    connection.close()
    return status


def readiness(port: int) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/readyz")
    checks: dict[str, str] = json.loads(connection.getresponse().read())["checks"]
    connection.close()
    return checks


def children_of(pid: int) -> set[int]:
    return {
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text().split()
        if alive(int(child))
    }


def web_processes(children: set[int]) -> set[int]:
    """Those that answer, of the one that starts them."""
    started = (pid for pid in children if b"gunicorn" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return {child for pid in started for child in children_of(pid)}


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for something another process does; its failure is the test's."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_foreign_folder_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postgres").mkdir()
    server = new_postgres(tmp_path)
    monkeypatch.setattr("cdp.local.postgres.os.geteuid", lambda: 4_000_000)
    with pytest.raises(
        LocalError, match="belongs to another user. Run as that user, or choose another folder"
    ):
        server.launch()
