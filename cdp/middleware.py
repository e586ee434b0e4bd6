"""A request → the same with an id, a log line and a count; 503 while the database is away, 507 where a disk is full."""

import logging
import re
import sys
import time
import uuid
from collections.abc import Callable

import psycopg
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from cdp import metrics
from cdp.client_address import set_client_address
from cdp.full_disk import BODY_LOST, FILES, full_disk, no_room
from cdp.logs import request_address, request_id

log = logging.getLogger("cdp.request")

GetResponse = Callable[[HttpRequest], HttpResponseBase]
RETRY_SECONDS = 5
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,36}")
# Paths whose callers are programs.
PROGRAM_PATHS = re.compile(r"/(api|v1|beacon|sourceConfig|healthz|readyz|metrics|csp-report)\b")


class RequestContext:
    """Gives the request an id (the caller's, where it sent a sane one), logs and counts it.

    The id is in every log line, on audit rows, and comes back as ``X-Request-ID``. What is logged of
    the address is its route, since a path may contain an e-mail address.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        set_client_address(request)
        given = request.headers.get("X-Request-ID", "")
        identifier = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(identifier)
        address_token = request_address.set(str(request.META.get("REMOTE_ADDR", "")))
        started = time.perf_counter()
        try:
            response = self.get_response(request)
            seconds = time.perf_counter() - started
            route = request.resolver_match.route if request.resolver_match else "(none)"
            method = request.method if request.method in metrics.METHODS else "other"
            metrics.requests.labels(method, route, response.status_code).inc()
            metrics.request_seconds.labels(method, route).observe(seconds)
            log.info(
                "answered",
                extra={
                    "method": method,
                    "route": route,
                    "status": response.status_code,
                    "ms": round(seconds * 1000, 1),
                    **_refused(request, response.status_code),
                },
            )
            response["X-Request-ID"] = identifier
            return response
        finally:
            request_id.reset(token)
            request_address.reset(address_token)


def _refused(request: HttpRequest, status: int) -> dict[str, str]:
    """``{"actor": "user:3"}`` where whoever came in may not do this; what is allowed is in the audit log and the looks.

    Asks nothing of the database: only who was looked up for the answer is named.
    """
    if status not in (403, 404):
        return {}
    key, user = getattr(request, "auth", None), getattr(request, "_cached_user", None)
    pk = getattr(key or user, "pk", None)
    return {} if pk is None else {"actor": f"{'key' if key else 'user'}:{pk}"}


class NoStore:
    """Nothing that may show a person stays in a browser's or a proxy's cache, unless the view says so."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.setdefault("Cache-Control", "no-store")
        return response


# --- without a database ------------------------------------------------------------------------------
# Behind the sentence that names the disk.
NO_ROOM = "Nothing was stored or changed. Try again once there is room on it."
# SQLSTATEs that mean "not now": no connection, shutting down, out of connections, memory or disk.
_NOT_NOW = ("08", "53", "57P0", "58")
# Two transactions met: deadlock, serialization failure, lock not available.
_MET = ("40001", "40P01", "55P03")


def _sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a database error; "" when it has none, as when no connection came about."""
    if not isinstance(error, DatabaseError | InterfaceError | psycopg.Error):
        return None
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return cause.sqlstate or ""
    return None


def is_unavailable(error: BaseException) -> bool:
    """Whether the database could not be reached, went away, or has no room. The request may come later."""
    state = _sqlstate(error)
    return state is not None and (not state or state.startswith(_NOT_NOW))


def is_collision(error: BaseException) -> bool:
    """Whether another change was in the way. Nothing was saved; the request may come again at once."""
    state = _sqlstate(error)
    return state is not None and state in _MET


class UnavailableDatabase:
    """Answers 507 without room for the request, 503 with Retry-After while the database is away, 409 when two changes met."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.META.get(BODY_LOST) and (response := answer_to(request, no_room())):
            return response
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return answer_to(request, error)


def answer_to(request: HttpRequest, error: BaseException) -> HttpResponse | None:
    """The response to a full disk, and to a database that is away or in the way; None for every other error."""
    if disk := full_disk(error):
        log.error("%s", disk)
        if disk != FILES:
            metrics.database_errors.labels("disk_full").inc()
        status = 507 if disk == FILES else 503
        response = _answer(request, status, "disk_full", "A disk is full", f"{disk} {NO_ROOM}")
        response["Retry-After"] = str(RETRY_SECONDS)
        return response
    if is_unavailable(error):
        log.error("database unavailable: %s", error)
        metrics.database_errors.labels("unavailable").inc()
        response = _answer(
            request,
            503,
            "unavailable",
            "The database does not answer",
            "The database cannot be reached right now. Nothing was changed; please try again in a moment.",
        )
        response["Retry-After"] = str(RETRY_SECONDS)
        return response
    if is_collision(error):
        log.warning("two changes met: %s", error)
        metrics.database_errors.labels("collision").inc()
        return _answer(
            request,
            409,
            "collision",
            "Two changes met",
            "Somebody changed the same data at the same moment. Nothing was saved; please try again.",
        )
    return None


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: also reached by errors outside views, such as a session that cannot be read."""
    error = sys.exc_info()[1]
    answer = answer_to(request, error) if error else None
    return answer or _answer(
        request,
        500,
        "error",
        "Something went wrong",
        "This was an error of the system and has been logged. Nothing was saved in part; please try again.",
    )


def _answer(request: HttpRequest, status: int, code: str, title: str, detail: str) -> HttpResponse:
    """Problem JSON for programs, a page for people; neither needs the database."""
    if PROGRAM_PATHS.match(request.path):
        body = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            "code": code,
            "errors": [],
            "message": detail,
            "request_id": request_id.get(),
        }
        return JsonResponse(body, status=status, content_type="application/problem+json")
    page = render_to_string(
        "problem.html", {"title": title, "detail": detail, "status": status, "request_id": request_id.get()}
    )
    return HttpResponse(page, status=status)
