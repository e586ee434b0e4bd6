"""Keeps a list of processes alive: starts them in order, restarts what dies, stops them in reverse order."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cdp.local.children import how_it_ended

BACK_OFF = (1, 2, 4, 8, 16, 30)
STEADY_SECONDS = 60  # alive this long, a process has earned a quick restart again
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Service:
    """One process to keep alive.

    `launch` starts it and returns without waiting; `stop_signals` are sent one after the other, each
    given `grace_seconds` seconds, before SIGKILL.
    """

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    log: Path
    stop_signals: tuple[int, ...] = (signal.SIGTERM,)
    grace_seconds: float = 10
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0
    deaths: int = 0
    due_at: float | None = field(default=None)  # when to start it again

    def start(self) -> None:
        self.started_at, self.due_at = time.monotonic(), None
        self.process = self.launch()


class Supervisor:
    """Runs in the main thread: `watch` returns when the person (or the system) asks it to end."""

    def __init__(self, say: Callable[[str], None], *, also_end: Callable[[], bool] = lambda: False) -> None:
        self.say = say
        self.services: list[Service] = []
        self.ending = 0  # how often we were asked to
        self.also_end = also_end
        self._signal_read, self._signal_write = os.pipe()
        for end in (self._signal_read, self._signal_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._signal_write, warn_on_full_buffer=False)
        for number in ENDING_SIGNALS:
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # only to end a sleep

    def _end(self, number: int, frame: object) -> None:
        self.ending += 1

    def start(self, service: Service) -> None:
        self.services.append(service)
        service.start()

    def sleep(self, seconds: float) -> None:
        """Sleeps until a child dies or a signal asks to end, at most so long."""
        select.select([self._signal_read], [], [], max(0.0, seconds))
        try:
            os.read(self._signal_read, 4096)
        except BlockingIOError:
            return

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Keeps everything alive until it is asked to end, or ``until`` says so (asked every second or more often)."""
        while not self.ending and not self.also_end() and not until():
            now = time.monotonic()
            for service in self.services:
                self._tend(service, now)
            due = [service.due_at for service in self.services if service.due_at is not None]
            self.sleep(min([1.0, *(at - now for at in due)]))

    def _tend(self, service: Service, now: float) -> None:
        if service.due_at is not None:
            if now >= service.due_at:
                self._restart(service)
            return
        code = service.process.poll() if service.process else None
        if code is not None:
            self._schedule(service, how_it_ended(code))

    def _schedule(self, service: Service, ending: str) -> None:
        now = time.monotonic()
        if now - service.started_at > STEADY_SECONDS:
            service.deaths = 0
        pause = BACK_OFF[min(service.deaths, len(BACK_OFF) - 1)]
        service.deaths += 1
        service.due_at = now + pause
        self.say(f"{service.name} {ending}; starting it again in {pause} s (log: {service.log})")

    def _restart(self, service: Service) -> None:
        try:
            service.start()
        except Exception as problem:  # noqa: BLE001  (whatever keeps it from starting, the others go on)
            self._schedule(service, f"could not be started ({problem})")

    def stop(self) -> None:
        """Stops everything, last started first. Asked to end once more meanwhile, it stops asking nicely."""
        asked = self.ending
        for service in reversed(self.services):
            self._stop(service, lambda: self.ending > asked)

    def _stop(self, service: Service, hurried: Callable[[], bool]) -> None:
        if service.process is None:
            return
        for number in (*service.stop_signals, signal.SIGKILL):
            if service.process.poll() is not None:
                return
            service.process.send_signal(number)
            sent = time.monotonic()
            while service.process.poll() is None:
                left = sent + (1 if hurried() else service.grace_seconds) - time.monotonic()
                if left <= 0:
                    break
                self.sleep(min(left, 0.5))
        service.process.wait()
