"""Item results, or why a call is refused → the HTTP response, readable by any page that asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from django.http import HttpResponse

from cdp.api.problems import MEDIA_TYPE, body
from profiles.tracking.parse.item_types import APPLIED, CONFLICT, DUPLICATE, MERGED, SUPPRESSED
from profiles.tracking.parse.problem_codes import kept_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.http import HttpRequest

    from profiles.tracking.parse.item_types import ItemResult

_EXPOSED_HEADERS = "Retry-After, X-RateLimit-Reset, X-Request-ID"
_ALLOWED_HEADERS = "authorization, content-type, content-encoding, x-write-key, x-strict-mode"
_PREFLIGHT_SECONDS = 86_400
_ON_A_PROFILE = (APPLIED, MERGED, CONFLICT)


class RequestRefused(Exception):
    """A call that is not taken at all; nothing of it was stored.

    ``code`` is a stable word for programs, ``message`` a sentence. Both are strings on every error:
    SDKs read them, and retry for ever what they cannot read.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.extra = extra or {}


def problem_response(error: RequestRefused) -> HttpResponse:
    """RFC 9457, plus ``code`` and ``message``."""
    content = body(
        error.status, error.message, code=error.code, extra={"message": error.message, **error.extra}
    )
    return _json(content, status=error.status, content_type=MEDIA_TYPE, headers=error.headers)


def batch_response(results: Sequence[ItemResult], *, with_receipts: bool) -> HttpResponse:
    """200: what became of the items. Without receipts it is the same for known and unknown people.

    People who were erased are dropped and counted as accepted: a public key must not learn who they are.
    """
    content: dict[str, Any] = {"success": True, **counts(results)}
    if with_receipts:
        content["receipts"] = [_receipt(result) for result in results]
    return _json(content, status=200, content_type="application/json")


def counts(results: Sequence[ItemResult]) -> dict[str, Any]:
    """``received`` is the sum of the three others; ``errors`` names each rejected item."""
    rejected = [result for result in results if result.is_rejected]
    duplicates = sum(result.outcome == DUPLICATE for result in results)
    return {
        "received": len(results),
        "accepted": len(results) - duplicates - len(rejected),
        "duplicates": duplicates,
        "rejected": len(rejected),
        "errors": [
            {
                "index": result.index,
                "messageId": result.message_id,
                "code": result.code or result.outcome,
                "message": result.message,
            }
            for result in rejected
        ],
    }


def strict_refusal(refused: Sequence[ItemResult], *, total: int) -> RequestRefused:
    """X-Strict-Mode: one item that cannot be taken turns the whole call of ``total`` items away."""
    message = f"{len(refused)} of {total} items are not valid, and X-Strict-Mode is on: nothing was stored."
    extra = {
        "success": False,
        "received": total,
        "accepted": 0,
        "duplicates": 0,
        "rejected": len(refused),
        "errors": counts(refused)["errors"],
    }
    return RequestRefused(400, "strict_refused", message, extra=extra)


def settings_response(content: dict[str, Any]) -> HttpResponse:
    """What an SDK asks for when it starts. A minute in caches: a page asks again with every view."""
    return _json(
        content,
        status=200,
        content_type="application/json",
        headers={"Cache-Control": "public, max-age=60"},
    )


def _receipt(result: ItemResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "index": result.index,
        "messageId": result.message_id,
        "outcome": result.outcome,
    }
    if result.outcome in _ON_A_PROFILE and result.profile_id is not None:
        row["profile_id"] = result.profile_id
    elif result.outcome not in (*_ON_A_PROFILE, DUPLICATE, SUPPRESSED):
        row["code"] = result.code or result.outcome
    row["problems"] = [
        {
            **{name: problem.get(name, "") for name in ("pointer", "code", "message")},
            "kept": kept_as(problem.get("code", ""), is_rejected=result.is_rejected),
        }
        for problem in result.problems
    ]
    return row


def _json(
    content: dict[str, Any], *, status: int, content_type: str, headers: dict[str, str] | None = None
) -> HttpResponse:
    return HttpResponse(orjson.dumps(content), status=status, content_type=content_type, headers=headers)


# --- CORS -----------------------------------------------------------------------------------------------
# Write keys travel in the request and no cookie counts here, so any page may read its response: origin and asked
# headers are reflected, on errors too (a page that cannot read a 400 retries it for ever).


def origin_of(request: HttpRequest) -> str:
    """The page's origin; empty when no browser sent this."""
    return request.headers.get("Origin", "")


def preflight(request: HttpRequest, methods: Iterable[str]) -> HttpResponse:
    """The response to OPTIONS, before anybody's key is looked at."""
    asked = request.headers.get("Access-Control-Request-Headers") or _ALLOWED_HEADERS
    allow = ", ".join(methods)
    return HttpResponse(
        status=204,
        headers={
            "Allow": allow,
            "Access-Control-Allow-Methods": allow,
            "Access-Control-Allow-Headers": asked,
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        },
    )


def add_cors_headers(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Put the reflected origin on a response. ``credentials`` because sendBeacon always asks with them."""
    response["Vary"] = "Origin, Access-Control-Request-Headers"
    if origin := origin_of(request):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Credentials"] = "true"
        response["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
    return response
