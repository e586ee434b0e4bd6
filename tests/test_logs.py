"""Logs: JSON lines that tell what happened and never to whom."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st

from cdp.gunicorn_log import DiscreetLogger
from cdp.logs import ContextFilter, JsonFormatter, PlainFormatter, format_exception, request_id, scrub


def written(
    message: str, *args: object, error: BaseException | None = None, **extra: object
) -> dict[str, object]:
    """The JSON line a logging call would write."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    logger = logging.getLogger("cdp.test")
    record = logger.makeRecord(
        "cdp.test", logging.INFO, __file__, 1, message, args, exc_info, extra=dict(extra)
    )
    ContextFilter().filter(record)
    entry = JsonFormatter().format(record)
    assert "\n" not in entry
    return dict(json.loads(entry))


def database_error(statement: str, *values: object) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
    return caught.value


def test_a_line_names_time_level_logger_request_and_plain_extras() -> None:
    token = request_id.set("0123456789abcdef")
    entry = written("woke %d jobs", 3, kind="import", ms=1.5, request=object(), to=["ann@shop.example"])
    request_id.reset(token)
    assert entry["message"] == "woke 3 jobs"
    assert (entry["level"], entry["logger"], entry["request_id"]) == ("INFO", "cdp.test", "0123456789abcdef")
    assert (entry["kind"], entry["ms"]) == ("import", 1.5)
    assert str(entry["time"]).endswith("+00:00")
    assert not {"request", "to"} & set(entry)
    assert "request_id" not in written("outside a request")


def test_mail_addresses_are_masked_wherever_they_stand() -> None:
    entry = written(
        "mail to %s", "Ann.O'Hara+x@shop.example", path="/api/v1/profiles/email:ann%40shop.example/"
    )
    assert entry["message"] == "mail to [e-mail]"
    assert entry["path"] == "/api/v1/profiles/email:[e-mail]/"
    assert scrub("build 2@main failed at 12:30") == "build 2@main failed at 12:30"


@given(st.emails(), st.text())
def test_no_mail_address_survives(address: str, around: str) -> None:
    local = address.rpartition("@")[0]
    kept = scrub(f"{around} {address} {around}")
    assert f" {address} " not in f" {kept} "
    assert f"{local}@" not in kept.replace(around, "") or local == ""


@pytest.mark.django_db
def test_a_failing_row_never_reaches_the_log() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE person (id int PRIMARY KEY, name text CHECK (length(name) < 5))")
        cursor.execute("INSERT INTO person VALUES (1, 'ann')")
    error = database_error("INSERT INTO person VALUES (2, %s)", "Miriam\nDETAIL: Secretova")
    assert "Secretova" in str(error)  # PostgreSQL does say it

    entry = written("could not store: %s", error, error=error)
    text = json.dumps(entry)
    assert "Secretova" not in text
    assert "Miriam" not in text
    assert entry["message"] == (
        'could not store: 23514 new row for relation "person" violates check constraint "person_name_check" '
        "(constraint person_name_check)"
    )
    assert "IntegrityError: 23514 new row" in str(entry["exception"])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("SELECT %s::int", ["Miriam"]),
        ("SELECT %s::date", ["Miriam: 'x'"]),
        ("SELECT %s::jsonb", ['{"name": Miriam}']),
        ("SELECT (%s || '')::uuid", ["Miriam"]),
    ],
)
def test_a_value_postgres_could_not_read_is_withheld(statement: str, values: list[object]) -> None:
    error = database_error(statement, *values)
    assert "Miriam" in str(error)
    assert "Miriam" not in json.dumps(written("failed: %s", error, error=error))
    assert "Miriam" not in format_exception(error)


def test_a_traceback_keeps_its_frames_and_its_chain() -> None:
    def stumble() -> None:
        try:
            raise KeyError("ann@shop.example")
        except KeyError as error:
            raise ValueError("no such person") from error

    with pytest.raises(ValueError, match="no such person") as caught:
        stumble()
    text = format_exception(caught.value)
    assert "in stumble" in text
    assert text.index("KeyError: [e-mail]") < text.index("ValueError: no such person")


def test_the_terminal_is_as_discreet_as_the_log() -> None:
    try:
        raise IntegrityError("x") from psycopg.IntegrityError(
            "duplicate key\nDETAIL:  Key (email)=(Secretova)"
        )
    except IntegrityError:
        record = logging.LogRecord(
            "cdp", logging.ERROR, __file__, 1, "lost ann@shop.example", (), sys.exc_info()
        )
    text = PlainFormatter("%(levelname)s %(message)s").format(record)
    assert text.startswith("ERROR lost [e-mail]")
    assert "Secretova" not in text
    assert "duplicate key" in text


# --- Paths ------------------------------------------------------------------------------------------------

CANARY = "canary-4711"
PATHS = (
    f"/api/v1/profiles/email:{CANARY}@example.com/",  # 401
    f"/api/v1/profiles/customer_id:{CANARY}/?q={CANARY}",
    f"/nowhere/{CANARY}@example.com/",  # 404 without a route
    f"/{CANARY}%0a/",
)


@pytest.mark.django_db
def test_paths_of_failed_requests_are_logged_as_routes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for path in PATHS:
            assert Client().get(path).status_code >= 400
        assert Client(enforce_csrf_checks=True).post(f"/admin/login/?next=/{CANARY}/", {}).status_code == 403
    messages = [(record.name, record.getMessage()) for record in caplog.records]
    assert ("django.request", "Unauthorized: api/v1/profiles/<ref:ref>/") in messages
    assert ("django.request", "Not Found: (no route)") in messages
    assert ("django.security.csrf", "Forbidden (CSRF cookie not set.): admin/login/") in messages
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert CANARY not in "\n".join([*lines, *(text for _, text in messages)])


def test_the_development_server_names_no_path() -> None:
    record = logging.makeLogRecord(
        {
            "name": "django.server",
            "msg": '"%s" %s %s',
            "args": (f"GET /people/{CANARY}?q=1 HTTP/1.1", "404", "9"),
            "request": object(),
        }
    )
    ContextFilter().filter(record)
    assert record.getMessage() == '"GET (no route) HTTP/1.1" 404 9'


def test_waitress_names_no_path(caplog: pytest.LogCaptureFixture) -> None:
    filters = logging.getLogger("waitress").filters
    # Once more each time logging is set up in a process.
    assert {type(one).__name__ for one in filters} == {"ServingFilter"}
    served = (
        f"Client disconnected while serving /people/{CANARY}\n{CANARY}"  # one text, as waitress writes it
    )
    with caplog.at_level("INFO", "waitress"):
        logging.getLogger("waitress").info(served)
        logging.getLogger("waitress").warning("1 thread(s) still running")
    assert caplog.messages == [
        "Client disconnected while serving (path withheld)",
        "1 thread(s) still running",
    ]


@pytest.fixture
def gunicorn_says(tmp_path: Path) -> Iterator[tuple[DiscreetLogger, Callable[[], str]]]:
    config = Config()
    for kind in ("errorlog", "accesslog"):
        config.set(kind, str(tmp_path / kind))
    config.set("access_log_format", '%(r)s %(U)s %(q)s "%(f)s" %({referer}i)s %({raw_uri}e)s %(s)s')
    logger = DiscreetLogger(config)
    yield logger, lambda: (tmp_path / "errorlog").read_text() + (tmp_path / "accesslog").read_text()
    for log in (logger.error_log, logger.access_log):
        for handler in [*log.handlers]:
            log.removeHandler(handler)
            handler.close()
        log.filters.clear()
        log.propagate = True


def test_gunicorn_names_no_path(gunicorn_says: tuple[DiscreetLogger, Callable[[], str]]) -> None:
    logger, messages = gunicorn_says
    path = PATHS[0]
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": f"{path}?q={CANARY}",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": path,
        "QUERY_STRING": f"q={CANARY}",
        "HTTP_REFERER": f"https://cdp.example/{CANARY}",
    }
    headers = [("REFERER", environ["HTTP_REFERER"])]
    answer = SimpleNamespace(status="404 Not Found", sent=1, headers=[])
    logger.access(answer, SimpleNamespace(headers=headers), environ, timedelta(seconds=1))
    logger.access(answer, SimpleNamespace(headers=[]), {**environ, "PATH_INFO": "/x/"}, timedelta(seconds=1))
    try:
        raise ValueError(f"{CANARY}@example.com")
    except ValueError:
        logger.exception("Error handling request %s %s", "GET", path)
    text = messages()
    assert "Error handling request GET (path withheld)\n" in text
    assert "ValueError: [e-mail]" in text
    route = "api/v1/profiles/<ref:ref>/"
    assert f'GET {route} HTTP/1.1 {route}  "-" - - 404\n' in text
    assert 'GET (no route) HTTP/1.1 (no route)  "-" - - 404\n' in text
    assert CANARY not in text
