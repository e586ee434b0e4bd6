"""Log records → one JSON object per line, tied together by the request's id, without personal data.

What keeps people out of the log: paths are logged as routes, never with their values
(cdp.middleware, ``hide_path``, cdp.gunicorn_log); extras are logged only when they are plain scalars; e-mail addresses are masked in
every text; and PostgreSQL's error details, which quote the failing row, never get in.
"""

import json
import logging
import re
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import psycopg

# The id of the request being answered, or of the task being run; empty outside both.
request_id: ContextVar[str] = ContextVar("request_id", default="")
# Where the request came from, for the audit log; never written to the process log.
request_address: ContextVar[str] = ContextVar("request_address", default="")

_MAIL = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+", re.ASCII
)
# PostgreSQL's message ends with its details; a value in them may span lines, so all of the rest goes,
# up to where Python continues with the next exception of a chain.
_DETAIL = re.compile(
    r"^(?:DETAIL|CONTEXT|HINT|QUERY|STATEMENT|LINE \d+):.*?(?=^(?:The above|During handling of)|\Z)",
    re.MULTILINE | re.DOTALL,
)
_FAILING_ROW = re.compile(r"Failing row contains.*", re.DOTALL)
_WHILE_SERVING = re.compile(r"(?<=while serving ).*", re.DOTALL)
_REQUEST_LINE = re.compile(r"(?<![A-Z])([A-Z]{1,20}) \S+ (HTTP/[\d.]+)")
_QUOTED_VALUE = re.compile(r'(?<=: )".*"|(?<==)\(.*\)', re.DOTALL)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "taskName"}


def scrub(text: str) -> str:
    """The text without e-mail addresses and without PostgreSQL's details."""
    text = _DETAIL.sub("", text)
    text = _FAILING_ROW.sub("[row withheld]", text)
    return _MAIL.sub("[e-mail]", text).rstrip()


def database_message(error: BaseException) -> str | None:
    """A database error's message without values; None when it is not one.

    Works for psycopg's errors and for Django's, which wrap them.
    """
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if not isinstance(cause, psycopg.Error) or cause.diag.message_primary is None:
        return None
    message = _QUOTED_VALUE.sub("[value withheld]", cause.diag.message_primary)
    if constraint := cause.diag.constraint_name:
        message = f"{message} (constraint {constraint})"
    return scrub(f"{cause.sqlstate} {message}")


def format_exception(error: BaseException) -> str:
    """A traceback whose messages contain no personal data."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    parts = []
    for link in reversed(chain):
        message = database_message(link)
        frames = "".join(traceback.format_tb(link.__traceback__))
        parts.append(f"{frames}{type(link).__qualname__}: {message or scrub(str(link))}")
    return "\n".join(parts)


def hide_path(record: logging.LogRecord) -> None:
    """Puts the route in the place of the address in Django's own lines, such as "Not Found: /people/ann@…"."""
    if not hasattr(record, "request") or not isinstance(record.args, tuple):
        return
    match = getattr(record.request, "resolver_match", None)
    route = match.route if match else "(no route)"
    record.args = tuple(_without_path(part, route) if isinstance(part, str) else part for part in record.args)


def _without_path(text: str, route: str) -> str:
    if text.startswith("/"):
        return route
    return _REQUEST_LINE.sub(lambda match: f"{match[1]} {route} {match[2]}", text)


class ContextFilter(logging.Filter):
    """Puts the request's id on every record, and takes its path away."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        hide_path(record)
        return True


class ServingFilter(logging.Filter):
    """Takes the path out of waitress' lines, such as "Client disconnected while serving /people/ann@…"."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _WHILE_SERVING.sub("(path withheld)", str(record.msg))
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request id, and plain extras."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": scrub(self._message(record)),
        }
        if identifier := getattr(record, "request_id", ""):
            entry["request_id"] = identifier
        for name, value in vars(record).items():
            if name not in _STANDARD and isinstance(value, str | int | float | bool):
                entry[name] = scrub(value) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[1]:
            entry["exception"] = format_exception(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False)

    def _message(self, record: logging.LogRecord) -> str:
        """The message, a database error among its arguments without its values."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                (database_message(part) or str(part)) if isinstance(part, BaseException) else part
                for part in record.args
            )
        return record.getMessage()


class PlainFormatter(logging.Formatter):
    """For a developer's terminal: level, logger, message. As discreet as the JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))

    def formatException(self, ei: Any) -> str:
        return format_exception(ei[1])
