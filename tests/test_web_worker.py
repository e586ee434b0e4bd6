"""When a web process ends."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

from django.test import RequestFactory

from cdp.web_worker import BufferingWorker


def worker(**options: Any) -> tuple[BufferingWorker, list[dict[str, Any]]]:
    """One whose application keeps the environments that it gets."""
    got: list[dict[str, Any]] = []
    made = BufferingWorker.__new__(BufferingWorker)
    made.nr, made.max_requests, made.alive = 0, 3, True
    made.log = logging.getLogger("tests")
    made.cfg = SimpleNamespace(**options)

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        got.append(environ)
        return []

    made.wsgi = application
    return made, got


def test_a_process_ends_after_its_requests() -> None:
    made, got = worker()
    for alive in (True, True, False, False):
        made.answer(RequestFactory().get("/").environ, lambda *_: None)
        assert made.alive is alive
    assert len(got) == 4
