"""Every error under /api/ → RFC 9457 problem+json: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, DataError, IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from cdp.api.json import escape
from cdp.errors import Refused
from cdp.full_disk import FILES, full_disk
from cdp.logs import request_id
from cdp.middleware import NO_ROOM, RETRY_SECONDS, is_collision, is_unavailable

MEDIA_TYPE = "application/problem+json"
_TIMED_OUT = "57014"
UNAVAILABLE = "The database cannot be reached right now. Nothing was changed; please try again in a moment."
NOTHING_HERE = "There is nothing at this address. GET /api/v1/docs/ lists what there is."
COLLIDED = "Somebody changed the same data at the same moment. Nothing was saved; please try again."


class Unprocessable(exceptions.APIException):
    status_code = 422
    default_code = "rule_forbids"


class Collision(exceptions.APIException):
    status_code = 409
    default_code = "conflict"


class TooLarge(exceptions.APIException):
    status_code = 413
    default_code = "too_large"


class HttpsRequired(exceptions.APIException):
    status_code = 403
    default_code = "https_required"
    default_detail = (
        "API keys travel over HTTPS only. Use https:// in the address, and a new key: this one was readable."
    )


class BadParameter(exceptions.APIException):
    """A query parameter that cannot be read."""

    status_code = 400
    default_code = "invalid"

    def __init__(self, parameter: str, message: str, value: str | None = None) -> None:
        super().__init__(message)
        self.problems = [{"parameter": parameter, "value": value, "message": message}]


def problem(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None lets an unknown exception through to Django's own 500 (and its log)."""
    if isinstance(exc, Refused):
        errors = [_located(item) for item in exc.problems]
        return _response(exc.status, exc.message, code=exc.code, errors=errors, extra=exc.extra)
    if isinstance(exc, exceptions.APIException):
        return _from_api_exception(exc)
    if isinstance(exc, Http404):
        return _response(404, str(exc) or NOTHING_HERE, code="not_found")
    if isinstance(exc, PermissionDenied):
        return _response(403, str(exc) or "You are not allowed to do this.", code="forbidden")
    if isinstance(exc, RequestDataTooBig):
        return _response(413, "The body is larger than this endpoint takes.", code="too_large")
    if isinstance(exc, SuspiciousOperation):
        return _response(400, "The request is malformed.", code="invalid")
    if disk := full_disk(exc):
        headers = {"Retry-After": str(RETRY_SECONDS)}
        return _response(
            507 if disk == FILES else 503, f"{disk} {NO_ROOM}", code="disk_full", headers=headers
        )
    return _from_database(exc)


def _from_api_exception(exc: exceptions.APIException) -> Response:
    headers = {}
    if (challenge := getattr(exc, "auth_header", None)) is not None:
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, int(-(-wait // 1))))
    errors = list(getattr(exc, "problems", []))
    if isinstance(exc, exceptions.ValidationError):
        errors = list(_flatten(exc.detail, ""))
        detail = errors[0]["message"] if len(errors) == 1 else f"{len(errors)} values are not valid."
        return _response(exc.status_code, detail, code="invalid", errors=errors, headers=headers)
    code = str(getattr(exc.detail, "code", exc.default_code))
    return _response(exc.status_code, str(exc.detail), code=code, errors=errors, headers=headers)


def _from_database(exc: Exception) -> Response | None:
    """Database errors a client can act on. PostgreSQL's own text carries personal data: it is never shown."""
    if is_unavailable(exc):
        return _response(503, UNAVAILABLE, code="unavailable", headers={"Retry-After": str(RETRY_SECONDS)})
    if is_collision(exc) or isinstance(exc, IntegrityError):
        return _response(409, COLLIDED, code="collision", headers={"Retry-After": "1"})
    if isinstance(exc, DataError):
        return _response(400, "A value of this request cannot be stored.", code="invalid")
    if isinstance(exc, DatabaseError) and getattr(exc.__cause__, "sqlstate", None) == _TIMED_OUT:
        text = "This took too long and was stopped. Narrow the filters, or try again when the system is less busy."
        return _response(503, text, code="timeout", headers={"Retry-After": "10"})
    return None


def _response(
    status: int,
    detail: str,
    *,
    code: str,
    errors: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> Response:
    data = body(status, detail, code=code, errors=errors, extra=extra)
    return Response(data, status=status, headers=headers, content_type=MEDIA_TYPE)


def body(
    status: int,
    detail: str,
    *,
    code: str,
    errors: list[dict[str, Any]] | None = None,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The members of one problem document; ``code`` is the stable word for programs."""
    return {
        "type": f"urn:cdp:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": errors or [],
        "request_id": request_id.get(),
        **(extra or {}),
    }


def _located(item: dict[str, Any]) -> dict[str, Any]:
    """Verbs name fields (``attributes.plan``); the API points into the body (``/attributes/plan``)."""
    if "field" not in item:
        return item
    rest = {key: value for key, value in item.items() if key != "field"}
    steps = "/".join(escape(step) for step in str(item["field"]).split("."))
    return {"pointer": f"/{steps}", **rest}


def _flatten(detail: Any, pointer: str) -> Iterator[dict[str, Any]]:
    if isinstance(detail, dict):
        for key, inner in detail.items():
            yield from _flatten(
                inner, pointer if key == "non_field_errors" else f"{pointer}/{escape(str(key))}"
            )
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            yield from _flatten(inner, f"{pointer}/{index}" if isinstance(inner, (dict, list)) else pointer)
    else:
        yield {"pointer": pointer, "message": str(detail)}


# --- Errors that Django answers before a view is reached (500: cdp.middleware.server_error) --------------


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400: a malformed host, cookie or header."""
    if is_api(request):
        return _plain(400, "The request is malformed.", code="invalid")
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404"""
    if is_api(request):
        return _plain(404, NOTHING_HERE, code="not_found")
    return defaults.page_not_found(request, exception)


def _plain(status: int, detail: str, *, code: str) -> HttpResponse:
    content = orjson.dumps(body(status, detail, code=code))
    return HttpResponse(content, status=status, content_type=MEDIA_TYPE)
