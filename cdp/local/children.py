"""Child processes that never outlive their parent, whatever kills it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: int) -> None:
    """Asks the kernel to send this process `death_signal` when its parent dies. Linux alone knows this.

    Elsewhere leftovers are found at the next start by their lock and pid files.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal))


def _preparation(death_signal: int, parent: int) -> Callable[[], None]:
    def prepare() -> None:
        # After the change of user, which would clear it.
        die_with_parent(death_signal)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return prepare


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | str = "/",
    death_signal: int = signal.SIGKILL,
    user: Mapping[str, Any] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a program in a session of its own, out of reach of the terminal's Ctrl-C, writing to `log`.

    It receives `death_signal` when the calling *thread* ends, so call this from a thread that stays.
    """
    output = log.open("ab") if log else None
    try:
        return subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,
            pass_fds=pass_fds,
            # One short call into libc between fork and exec; the starting processes have one thread.
            preexec_fn=_preparation(death_signal, os.getpid()),
            **(user or {}),
        )
    finally:
        if output:
            output.close()


def how_it_ended(code: int) -> str:
    """`code` of a Popen as words: "exited with code 1", "was killed by SIGKILL"."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"exited with code {code}"


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return ""
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - 16_384))
        return "\n".join(handle.read().decode(errors="replace").splitlines()[-lines:])
