"""Whoever sends too much, or may not send at all, hears so: from the product as it is served, over a real socket."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cdp import drain_body
from tests.sdk.served import product

MIB = 1024 * 1024


@pytest.fixture
def address(tmp_path: Path, transactional_db: None) -> Iterator[tuple[str, int]]:
    with product(tmp_path / "product") as url:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        yield parts.hostname, parts.port


def post(address: tuple[str, int], path: str, size: int, **headers: str) -> tuple[int, str]:
    """The whole body is sent before anybody looks for an answer, as most clients do."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request("POST", path, body=b" " * size, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_refused_call_is_answered_whatever_it_goes_on_to_send(address: tuple[str, int]) -> None:
    for keep in ("keep-alive", "close"):
        status, answer = post(address, "/v1/batch", 6 * MIB, Connection=keep, **{"X-Write-Key": "wrong"})
        assert (status, "unknown_write_key" in answer) == (401, True)
        assert post(address, "/api/v1/imports/", 20 * MIB, Connection=keep)[0] == 401
    status, answer = post(address, "/v1/batch", 6 * MIB)
    assert (status, '"code":"body_too_large"' in answer) == (413, True)
    # The next call on the same connection begins where this one ended.
    connection = http.client.HTTPConnection(*address, timeout=60)
    for _ in range(2):
        connection.request("POST", "/v1/batch", body=b" " * 5 * MIB)
        answer = connection.getresponse()
        assert (answer.status, "body_too_large" in answer.read().decode()) == (413, True)
    connection.close()


def test_chunks_without_an_end_in_sight_are_answered(address: tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*address, timeout=60)
    connection.request(
        "POST",
        "/v1/batch",
        body=iter([b" " * MIB] * 8),
        encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )
    answer = connection.getresponse()
    assert (answer.status, "body_too_large" in answer.read().decode()) == (413, True)
    connection.close()


def test_who_sends_without_end_is_cut_off_and_others_are_served(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=60) as endless:
        head = f"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * drain_body.MOST}\r\n\r\n"
        endless.sendall(head.encode())
        with pytest.raises(OSError):
            for _ in range(2 * drain_body.MOST // MIB):
                endless.sendall(b" " * MIB)
    assert post(address, "/v1/batch", 10)[0] == 400
