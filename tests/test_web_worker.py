"""Whose word about a client's address counts, and when a web process ends."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory

from cdp.middleware import client_address
from cdp.web_worker import BufferingWorker


def worker(**options: Any) -> tuple[BufferingWorker, list[dict[str, Any]]]:
    """One whose application keeps the environments that it gets."""
    got: list[dict[str, Any]] = []
    made = BufferingWorker.__new__(BufferingWorker)
    made.nr, made.max_requests, made.alive = 0, 3, True
    made.log = logging.getLogger("tests")
    made.cfg = SimpleNamespace(forwarded_allow_ips=["10.0.0.0/8", "::1"], **options)

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        got.append(environ)
        return []

    made.wsgi = application
    return made, got


@pytest.mark.parametrize(
    ("peer", "behind_proxy", "address", "proto"),
    [
        ("10.1.2.3", True, "203.0.113.5", "https"),
        ("::1", True, "203.0.113.5", "https"),
        ("localhost", True, "203.0.113.5", "https"),  # a Unix socket
        ("198.51.100.7", True, "198.51.100.7", None),
        ("fe80::1%eth0", True, "fe80::1%eth0", None),
        ("10.1.2.3", False, "10.1.2.3", None),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(
    settings: Any, peer: str, behind_proxy: bool, address: str, proto: str | None
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if behind_proxy else None
    made, got = worker()
    request = RequestFactory().get(
        "/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR="192.0.2.1, 203.0.113.5", HTTP_X_FORWARDED_PROTO="https"
    )
    made.answer(request.environ, lambda *_: None)
    assert client_address(request) == address
    assert got[0].get("HTTP_X_FORWARDED_PROTO") == proto


def test_a_process_ends_after_its_requests() -> None:
    made, got = worker()
    for alive in (True, True, False, False):
        made.answer(RequestFactory().get("/").environ, lambda *_: None)
        assert made.alive is alive
    assert len(got) == 4
