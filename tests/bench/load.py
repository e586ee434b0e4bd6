"""Posts bodies over a few connections, as fast as they are answered or at a rate, and tells how long each took."""

from __future__ import annotations

import gc
import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

UNCOUNTED = 100


@contextmanager
def no_pauses_of_ours() -> Iterator[None]:
    """This process holds a test run's objects: looking through them stops all callers for a third of a second."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Client:
    def __init__(self, address: str, path: str, headers: dict[str, str], *, connections: int = 8) -> None:
        self.host, self.path, self.headers = urlsplit(address).netloc, path, headers
        self.connections = connections
        self.local = threading.local()
        self.opened: list[http.client.HTTPConnection] = []

    def post(self, body: bytes) -> None:
        asking = getattr(self.local, "asking", None)
        if asking is None:
            asking = self.local.asking = http.client.HTTPConnection(self.host, timeout=120)
            self.opened.append(asking)
        asking.request("POST", self.path, body=body, headers=self.headers)
        answer = asking.getresponse()
        content = answer.read()
        assert answer.status in (200, 201), (answer.status, content[:500])

    def flat_out(self, bodies: Sequence[bytes]) -> float:
        """Seconds until all are answered."""
        with no_pauses_of_ours(), ThreadPoolExecutor(self.connections) as pool:
            list(pool.map(self.post, bodies[: self.connections]))  # connections are up
            started = time.perf_counter()
            list(pool.map(self.post, bodies[self.connections :]))
            return (time.perf_counter() - started) * len(bodies) / (len(bodies) - self.connections)

    def at_rate(self, bodies: Sequence[bytes], per_second: float, stop: threading.Event) -> list[float]:
        """Seconds from when each was due to its answer, so that a stall counts for all it delays.

        The first ``UNCOUNTED`` are not counted: the server opens its connections and plans its statements with them.
        """
        taken: list[float] = []
        first_bodies, bodies = bodies[:UNCOUNTED], bodies[UNCOUNTED:]

        def run(first: int) -> None:
            for index in range(first, len(bodies), self.connections):
                if stop.is_set():
                    return
                due = begin + index / per_second
                time.sleep(max(0.0, due - time.perf_counter()))
                self.post(bodies[index])
                taken.append(time.perf_counter() - due)

        with no_pauses_of_ours(), ThreadPoolExecutor(self.connections) as pool:
            list(pool.map(self.post, first_bodies))
            begin = time.perf_counter() + 0.1
            list(pool.map(run, range(self.connections)))
        return taken

    def close(self) -> None:
        for asking in self.opened:
            asking.close()
