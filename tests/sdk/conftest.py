"""Published SDKs, a product they send to, and what lies between them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from cdp.actors import Actor
from profiles.tracking.sources.sources import NewSource, create_source
from tests.sdk.relay import Relay, relay_to
from tests.sdk.served import keep_names, product, steady

HERE = Path(__file__).parent
NEEDS_NODE = "These tests need Node.js 20 or newer with npm (Debian: apt install nodejs npm)."
NEEDS_REGISTRY = (
    "npm could not install the SDKs of tests/sdk/package-lock.json; is a registry within reach? It said:"
)


@pytest.fixture(scope="session")
def npm_sdks() -> Path:
    """The folder of the npm SDKs, installed once per lock file into var/npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip(NEEDS_NODE)
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    home = settings.BASE_DIR / "var" / "npm"
    if not (home / digest).exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as folder:
            _install(Path(folder))
            # Another process may have been faster; what it installed is the same.
            with contextlib.suppress(OSError):
                (Path(folder) / "node_modules").rename(home / digest)
    return home / digest


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--loglevel=error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    if done.returncode != 0:
        pytest.skip(f"{NEEDS_REGISTRY} {done.stderr.strip()[:500]}")


@pytest.fixture(scope="session")
def served(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a product that runs for all tests here."""
    with product(tmp_path_factory.mktemp("product")) as address:
        yield address


@pytest.fixture
def relay(served: str, transactional_db: None) -> Iterator[Relay]:
    steady()
    with relay_to(served) as between:
        yield between
    keep_names()


@pytest.fixture
def source(transactional_db: None) -> NewSource:
    """A source whose key a server sends with."""
    return create_source(name="Shop", kind="server", actor=Actor.system())


@pytest.fixture
def web_source(transactional_db: None) -> NewSource:
    return create_source(name="Site", kind="web", actor=Actor.system())


@pytest.fixture
def run_child() -> Callable[..., Any]:
    """``run_child(["node", "x.cjs"], **env)``: runs it to its end; its failure is the test's."""

    def run(command: list[str], **env: str) -> str:
        done = subprocess.run(
            command,
            cwd=HERE,
            env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **env},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    return run
