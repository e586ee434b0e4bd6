"""The fixed cast of users, the actors and sources verbs take, and what every test starts from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from hypothesis import settings

from cdp.actors import Actor
from cdp.models import User
from profiles.builtin_sources import builtin_source
from tests.browser_path import browser_path

HOW_TO = (
    "These tests need Chromium. Install it (Debian: apt install chromium-headless-shell, or: python -m playwright install chromium),"
    " or set CHROMIUM to the path of one."
)
if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A busy machine is no failure: how long an example takes is not asserted.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")

# Playwright runs an event loop in this thread; Django's ORM in the same test is used between its steps.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


@pytest.fixture(autouse=True)
def _own_files(settings: Any, tmp_path: Any) -> None:
    """Uploads and working files of a test stay in its own folder: job 5 of one process is not job 5 of another."""
    settings.MEDIA_ROOT = tmp_path / "files"
    settings.CDP_DATA = tmp_path


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What is read every few seconds alone is read anew by each test; the menu's counts would cost its first page."""
    from cdp.admin import needs_attention
    from cdp.ttl_cache import forget_all

    forget_all()
    needs_attention.counts.keep({})


@pytest.fixture(autouse=True)
def _one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates begin anew with each test and no minute ends in it: the next one costs its first call a query more.

    Keys of different tests may have the same id; their counts must not add up.
    """
    from cdp import clock, sessions
    from cdp.api import key_use, throttling

    # Nor is the database asked for the time: its clock is this machine's.
    monkeypatch.setattr(clock, "_asked", (time.monotonic(), time.time()))
    monkeypatch.setattr(sessions, "SEEN_EVERY", timedelta(days=1))
    throttling._shares.clear()
    monkeypatch.setattr(throttling, "_now", lambda: (1, 60))
    # Written by whoever asks for it: else some call would cost a query more.
    key_use._counts.clear()
    monkeypatch.setattr(key_use, "_is_due", lambda: False)


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """``make_user("sam", "support")``: a staff login in the named role groups; password = the name."""

    def make(name: str, *roles: str, **fields: Any) -> User:
        user = User.objects.create_user(name, f"{name}@staff.example", name, is_staff=True, **fields)
        user.groups.set([Group.objects.get(name=role) for role in roles])
        return user

    return make


@pytest.fixture
def ada(make_user: Callable[..., User]) -> User:
    """The admin: superuser."""
    return make_user("ada", is_superuser=True)


@pytest.fixture
def mira(make_user: Callable[..., User]) -> User:
    """The marketer."""
    return make_user("mira", "marketer")


@pytest.fixture
def sam(make_user: Callable[..., User]) -> User:
    """Support staff."""
    return make_user("sam", "support")


@pytest.fixture
def vic(make_user: Callable[..., User]) -> User:
    """The viewer."""
    return make_user("vic", "viewer")


@pytest.fixture
def olga(make_user: Callable[..., User]) -> User:
    """Staff without any right."""
    return make_user("olga")


@pytest.fixture
def as_user() -> Callable[[User], Client]:
    """``as_user(sam)``: a client logged in as that user."""

    def login(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return login


@pytest.fixture
def by_staff(ada: User) -> dict[str, Any]:
    """``verb(**by_staff)``: the actor and source every verb asks for."""
    return {"actor": Actor.of_user(ada), "source": builtin_source("staff")}


@pytest.fixture
def by_system(db: None) -> dict[str, Any]:
    return {"actor": Actor.system(), "source": builtin_source("system")}


@pytest.fixture
def two_connections(transactional_db: None) -> Callable[..., list[Any]]:
    """``two_connections(f, g)``: run the callables at once, each on a connection of its own.

    Gives their results in order; an exception raised by a callable is its result.
    """
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from django.db import connections

    def run(*functions: Callable[[], Any]) -> list[Any]:
        barrier = Barrier(len(functions))

        def alone(function: Callable[[], Any]) -> Any:
            barrier.wait(30)
            try:
                return function()
            except Exception as error:  # noqa: BLE001  (the test looks at it)
                return error
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(functions)) as pool:
            return list(pool.map(alone, functions))

    return run


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests of a process: Playwright cannot be started in it twice."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        except Error:
            pytest.skip(HOW_TO)
        yield browser
        browser.close()
