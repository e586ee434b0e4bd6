"""Around every request: an id, a count, nothing cached, and an honest answer without a database."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from cdp import health
from cdp.logs import request_id
from cdp.middleware import is_collision, is_unavailable

handler500 = "cdp.middleware.server_error"


def ok(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request_id.get())


def cached(request: HttpRequest) -> HttpResponse:
    return HttpResponse("static", headers={"Cache-Control": "public, max-age=60"})


def broken(request: HttpRequest, what: str) -> HttpResponse:
    raise ERRORS[what]


def database_error(kind: type[Exception], cause: Exception) -> Exception:
    error = kind(str(cause))
    error.__cause__ = cause
    return error


ERRORS: dict[str, Exception] = {
    "no-connection": database_error(OperationalError, psycopg.OperationalError("connection refused")),
    "shutdown": database_error(OperationalError, psycopg.errors.AdminShutdown("terminating connection")),
    "too-many": database_error(OperationalError, psycopg.errors.TooManyConnections("too many clients")),
    "closed": database_error(InterfaceError, psycopg.InterfaceError("connection already closed")),
    "deadlock": database_error(OperationalError, psycopg.errors.DeadlockDetected("deadlock detected")),
    "serialization": database_error(
        OperationalError, psycopg.errors.SerializationFailure("could not serialize")
    ),
    "timeout": database_error(OperationalError, psycopg.errors.QueryCanceled("statement timeout")),
    "table": database_error(ProgrammingError, psycopg.errors.UndefinedTable("no such table")),
    "bug": ValueError("ann@shop.example"),
}
UNAVAILABLE = ["no-connection", "shutdown", "too-many", "closed"]
COLLISION = ["deadlock", "serialization"]
OURS = ["timeout", "table", "bug"]

urlpatterns = [
    path("people/<str:who>/", lambda request, who: ok(request)),
    path("cached/", cached),
    path("broken/<str:what>/", broken),
    path("api/broken/<str:what>/", broken),
    path("metrics", health.metrics_page),
]


@pytest.fixture
def client() -> Iterator[Client]:
    with override_settings(ROOT_URLCONF=__name__):
        yield Client(raise_request_exception=False)


def test_every_request_has_an_id_that_comes_back(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cdp.request"):
        response = client.get("/people/ann@shop.example/?q=miriam")
    identifier = response["X-Request-ID"]
    assert len(identifier) == 32
    assert response.content.decode() == identifier
    assert request_id.get() == ""

    (record,) = [record for record in caplog.records if record.name == "cdp.request"]
    logged = vars(record)
    assert (logged["route"], logged["method"], logged["status"]) == ("people/<str:who>/", "GET", 200)
    assert "ann@" not in str(vars(record))
    assert "miriam" not in str(vars(record))


@pytest.mark.parametrize(
    ("given", "kept"), [("shop-7f3a9c21", True), ("short", False), ("x" * 37, False), ("a b c d e f", False)]
)
def test_a_callers_own_id_is_kept_when_it_is_sane(client: Client, given: str, kept: bool) -> None:
    response = client.get("/people/1/", headers={"X-Request-ID": given})
    assert (response["X-Request-ID"] == given) is kept


def test_nothing_is_stored_by_caches_unless_the_view_says_so(client: Client) -> None:
    assert client.get("/people/1/")["Cache-Control"] == "no-store"
    assert client.get("/nowhere/")["Cache-Control"] == "no-store"
    assert client.get("/cached/")["Cache-Control"] == "public, max-age=60"


@pytest.mark.parametrize("address", ["/static/cdp/page.js", "/people/1/", "/broken/bug/"])
def test_every_answer_carries_the_headers_browsers_obey(client: Client, address: str) -> None:
    answer = client.get(address)
    assert b"".join(answer)  # a file stays open until it was read
    policy = answer["Content-Security-Policy"]
    for directive in ("default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert directive in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


def test_nothing_echoes_a_request(client: Client) -> None:
    """TRACE would show scripts the cookies they may not read."""
    answer = client.trace("/people/1/", headers={"Cookie": "sessionid=s3cret"})
    assert b"s3cret" not in answer.content


@pytest.mark.parametrize("what", UNAVAILABLE)
def test_without_a_database_people_get_a_page_and_programs_a_problem(client: Client, what: str) -> None:
    page = client.get(f"/broken/{what}/")
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    text = page.content.decode()
    assert "The database does not answer" in text
    assert "Nothing was changed; please try again in a moment." in text
    assert page["X-Request-ID"] in text
    assert "Traceback" not in text
    assert str(ERRORS[what]) not in text

    problem = client.post(f"/api/broken/{what}/")
    assert (problem.status_code, problem["Retry-After"]) == (503, "5")
    assert problem["Content-Type"] == "application/problem+json"
    body = json.loads(problem.content)
    assert (body["status"], body["code"]) == (503, "unavailable")
    assert body["detail"] == body["message"]


@pytest.mark.parametrize("what", COLLISION)
def test_two_changes_that_met_are_a_conflict(client: Client, what: str) -> None:
    page, problem = client.get(f"/broken/{what}/"), client.get(f"/api/broken/{what}/")
    assert (page.status_code, problem.status_code) == (409, 409)
    assert "Nothing was saved; please try again." in page.content.decode()
    assert json.loads(problem.content)["code"] == "collision"
    assert not page.has_header("Retry-After")


@pytest.mark.parametrize("what", OURS)
def test_our_own_faults_are_said_to_be_ours_and_show_no_values(client: Client, what: str) -> None:
    page, problem = client.get(f"/broken/{what}/"), client.get(f"/api/broken/{what}/")
    assert (page.status_code, problem.status_code) == (500, 500)
    assert "This was an error of the system and has been logged." in page.content.decode()
    assert str(ERRORS[what]) not in page.content.decode() + problem.content.decode()
    assert json.loads(problem.content)["code"] == "error"


def test_an_error_outside_the_view_is_answered_the_same(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that cannot be saved raises in a middleware, where no process_exception reaches."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise ERRORS["no-connection"]

    monkeypatch.setattr("django.contrib.messages.middleware.MessageMiddleware.process_request", fail)
    assert client.get("/people/1/").status_code == 503


def test_errors_are_told_apart() -> None:
    assert [name for name, error in ERRORS.items() if is_unavailable(error)] == UNAVAILABLE
    assert [name for name, error in ERRORS.items() if is_collision(error)] == COLLISION
    assert not is_unavailable(DatabaseError("of no known cause"))


def test_requests_are_counted_by_route(client: Client, db: None) -> None:
    before = counted(client)
    client.get("/people/7/")
    client.get("/people/8/")
    assert counted(client) == before + 2


def counted(client: Client) -> float:
    name = 'cdp_http_requests_total{method="GET",route="people/<str:who>/",status="200"} '
    lines = client.get("/metrics").content.decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)
