"""`make run` beside another user of the machine, who reads no file, gets into no server and sees no secret."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cdp.local.paths import PROJECT, OsUser, may_walk, throwaway_folder
from cdp.local.servers import throwaway_postgres
from tests.test_local import Running, children_of, until, without_servers

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user"),
]
NOBODY = 65534
# Paths as JSON in, those it could read, list or connect to out.
TRY = """
import json, os, socket, stat, sys
got = []
for path in json.load(sys.stdin):
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            os.listdir(path)
        elif stat.S_ISSOCK(mode):
            socket.socket(socket.AF_UNIX).connect(path)
        elif stat.S_ISREG(mode):
            open(path, "rb").read(1)
        else:
            continue
    except OSError:
        continue
    got.append(path)
json.dump(got, sys.stdout)
"""


@pytest.fixture(autouse=True)
def python() -> list[str]:
    """A Python with our packages that every user may start: this one, or the system's of the same version."""
    names = (
        sys.executable,
        shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin"),
    )
    for name in names:
        if name and may_walk(Path(name).resolve().parent, OsUser("nobody", NOBODY, NOBODY)):
            packages = Path(psycopg.__file__).parent.parent
            return ["env", f"PYTHONPATH={packages}", "PYTHONDONTWRITEBYTECODE=1", name]
    pytest.skip(f"no other user may start {sys.executable}, and there is no other Python of its version")


def run_as(user: int, command: list[str], sent: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=sent,
        user=user,
        group=user,
        extra_groups=[],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )


def reached(python: list[str], paths: list[Path]) -> list[str]:
    """Which of the paths another user of the machine reads, lists or connects to."""
    done = run_as(NOBODY, [*python, "-c", TRY], json.dumps([str(path) for path in paths]))
    assert done.returncode == 0, done.stderr
    got: list[str] = json.loads(done.stdout)
    return got


@pytest.fixture(params=["root", "daemon"])
def user(request: pytest.FixtureRequest) -> pwd.struct_passwd:
    """Who runs the product."""
    return pwd.getpwnam(request.param)


@pytest.fixture
def data(user: pwd.struct_passwd) -> Iterator[Path]:
    with throwaway_folder() as folder:
        home = folder / "of-the-user"
        home.mkdir()
        home.chmod(0o755)  # as open as a shared machine's folders are
        os.chown(home, user.pw_uid, user.pw_gid)
        yield home / "data"


def start(python: list[str], data: Path, user: pwd.struct_passwd) -> Running:
    process = subprocess.Popen(
        [*python, "-m", "cdp.local"],
        env={**without_servers(), "CDP_DATA": str(data), "PORT": "0", "CDP_DEMO": "0", "HOME": "/"},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        umask=0o022,
    )
    output = ""
    assert process.stdout is not None
    for line in process.stdout:
        output += line
        if "Stop with" in line:
            return Running(process, output)
    raise AssertionError(f"It ended early with code {process.wait()}:\n{output}")


def manage(
    python: list[str], data: Path, user: pwd.struct_passwd, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*python, "manage.py", *arguments],
        env={**without_servers(), "CDP_DATA": str(data)},
        cwd=PROJECT,
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )


def upload(port: str, key: str) -> None:
    body = (
        '--x\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\nContent-Type: text/csv\r\n\r\n'
        "reference_id,email\nc1,canary@example.com\n\r\n--x--\r\n"
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/imports/",
        body.encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "multipart/form-data; boundary=x"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def descendants(pid: int) -> set[int]:
    children = children_of(pid)
    return children.union(*map(descendants, children)) if children else children


def test_another_user_reads_nothing_of_a_running_product(
    python: list[str], data: Path, user: pwd.struct_passwd
) -> None:
    running = start(python, data, user)
    try:
        (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)", running.output)
        created = manage(python, data, user, "apikey", "create", "shop")
        assert created.returncode == 0, created.stderr
        key = created.stdout.splitlines()[-1]
        upload(port, key)

        metrics = Path((data / "run" / "metrics-place").read_text().strip())
        assert metrics.parent == Path("/dev/shm")
        files = [data, *data.rglob("*"), metrics, *metrics.rglob("*")]
        stored = list((data / "files" / "imports").iterdir())
        assert "canary@example.com" in stored[0].read_text()
        assert {path.name for path in files} >= {
            "web.log",
            "redis.sock",
            ".s.PGSQL.5432",
            "environment",
            "PG_VERSION",
        }
        assert reached(python, files) == []
        # Not even where the folders above were opened: files by their own modes.
        passable = 0o011 if user.pw_uid == 0 else 0
        for path in files:
            mode = path.lstat().st_mode
            assert not mode & 0o077 & ~(passable if stat.S_ISDIR(mode) else 0), (path, oct(mode))

        secrets = [(data / name).read_text().strip() for name in ("secret-key", "admin-password")]
        commands = [
            Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in descendants(running.process.pid)
        ]
        logs = [path.read_text() for path in (data / "log").iterdir()]
        assert len(commands) > 8
        assert not [text for text in commands for secret in secrets if secret in text]
        assert not [text for text in logs for secret in (*secrets, key) if secret in text]

        doctor = json.loads(manage(python, data, user, "doctor", "--json").stdout)
        assert [it for it in doctor["findings"] if it["part"] == "Settings" and it["state"] != "ok"] == []
    finally:
        running.process.send_signal(signal.SIGTERM)
        running.process.communicate(timeout=120)
    until(lambda: not metrics.exists())


def test_postgres_knows_its_own_user_alone(python: list[str]) -> None:
    """By the kernel's word and not by folders only, so that an opened folder opens nothing."""
    with throwaway_postgres() as server:
        server.sockets.chmod(0o755)
        socket = server.sockets / ".s.PGSQL.5432"
        socket.chmod(0o777)
        connect = "import psycopg, sys; psycopg.connect(sys.argv[1])"
        for url in (server.url, server.app_url, server.url.replace("cdp@", "nobody@")):
            refused = run_as(NOBODY, [*python, "-c", connect, url])
            assert refused.returncode == 1
            assert "Peer authentication failed" in refused.stderr, refused.stderr
        with psycopg.connect(server.app_url) as connection:
            row = connection.execute(
                "SELECT current_user, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
                " FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert row == ("cdp_app", False)


def test_files_an_earlier_version_left_open_are_closed_at_the_next_start(tmp_path: Path) -> None:
    from cdp.local.paths import layout

    data = tmp_path / "data"
    for name in ("log", "scans", "files", "run"):
        (data / name).mkdir(parents=True)
        (data / name).chmod(0o755)
    layout(data)
    assert {name: (data / name).stat().st_mode & 0o777 for name in ("log", "scans", "files", "run")} == {
        "log": 0o700,
        "scans": 0o700,
        "files": 0o700,
        "run": 0o711 if os.geteuid() == 0 else 0o700,
    }
