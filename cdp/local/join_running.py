"""The environment of `make run` → commands beside it: `manage.py apikey create …` works on what is served there."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdp.local.paths import PROJECT, LocalError, keep_secret

# Variables `make run` may have been started with, beside those it sets itself.
_ALSO = ("DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL", "DEFAULT_FROM_EMAIL", "ALLOWED_HOSTS")
# Of the served processes alone.
_NOT = ("PROMETHEUS_MULTIPROC_DIR",)


def _file(data: Path) -> Path:
    return data / "run" / "environment"


@contextmanager
def environment_file(environment: dict[str, str], data: Path) -> Iterator[None]:
    """While within, commands beside this process find its environment; readable by its owner alone."""
    own = {name: text for name, text in os.environ.items() if name in _ALSO or name.startswith("CDP_")}
    chosen = {name: text for name, text in (own | environment).items() if name not in _NOT}
    file = _file(data)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)  # of one that was killed
    keep_secret(fresh, json.dumps(chosen))
    fresh.replace(file)  # nobody reads half of it
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def join() -> None:
    """Take over the environment of the `make run` of this folder, where there is one and ours names no secret key."""
    if os.environ.get("SECRET_KEY"):
        return
    file = _file(Path(os.environ.get("CDP_DATA") or PROJECT / "var"))
    try:
        environment = json.loads(file.read_text())
    except FileNotFoundError:
        return
    except PermissionError:
        raise LocalError(f"{file} belongs to another user. Run this as whoever runs make run.") from None
    for name, text in environment.items():
        os.environ.setdefault(name, text)
