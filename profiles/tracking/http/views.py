"""Tracking requests → ingested items and a response. Plain views: DRF would cost more than storing an event.

The order: preflight, method, write key (in its header, before the body is read), rate, body, items, one
transaction, response. Whatever the input, the response is a 4xx with a sentence and never a 5xx; a database that
is away gives 503 with Retry-After. Redis is not needed by anything here.

A server key that a page sends (there is an Origin) is taken with the rights of a web key: everybody can read it
there, so it must not do more than a public one.
"""

from __future__ import annotations

import base64
import binascii
import logging
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from cdp import metrics
from cdp.api import throttling
from cdp.full_disk import full_disk
from cdp.middleware import NO_ROOM, RETRY_SECONDS, is_unavailable
from profiles.tracking.http import responses, sdk_settings
from profiles.tracking.http.batch import open_batch, read_entries
from profiles.tracking.http.body import read_json
from profiles.tracking.http.responses import RequestRefused
from profiles.tracking.ingest.event_sql import Collision
from profiles.tracking.ingest.ingest import StrictModeRefused, ingest_items
from profiles.tracking.parse.item_types import KINDS, Item, RefusedItem
from profiles.tracking.sources import origins, write_keys
from profiles.tracking.sources.write_keys import plain_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

    from profiles.tracking.parse.item_types import BatchEntry, ItemResult
    from profiles.tracking.sources.write_keys import Sender

log = logging.getLogger(__name__)

_POST = ("POST", "OPTIONS")
_GET = ("GET", "HEAD", "OPTIONS")
_TRUE = ("1", "true", "yes")
_NO_KEY = (
    "The call has no write key. Send it as the user name of Basic authentication, X-Write-Key or writeKey."
)
_UNKNOWN_KEY = "This write key is unknown or was revoked. A source's page shows its keys."
_UNAVAILABLE = "The database cannot be reached right now. Nothing was stored; send the call again."
_COLLIDED = "Another call changed the same data. Nothing was stored; send the call again."


def tracking_view(*methods: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """What all views here have around them: CORS on every answer, OPTIONS, methods, HTTPS, errors as problems."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @wraps(view)
        def wrapped(request: HttpRequest, **parts: Any) -> HttpResponse:
            if request.method == "OPTIONS":
                return responses.add_cors_headers(request, responses.preflight(request, methods))
            try:
                _check_method_and_scheme(request, methods)
                response = view(request, **parts)
            except RequestRefused as error:
                response = responses.problem_response(error)
            except SuspiciousOperation as error:
                message = "The address or a header of this call is malformed."
                log.info("malformed tracking call: %s", type(error).__name__)
                response = responses.problem_response(RequestRefused(400, "malformed", message))
            except (OperationalError, InterfaceError, Collision) as error:
                response = responses.problem_response(_retry_later(error))
            return responses.add_cors_headers(request, response)

        return wrapped

    return decorate


@tracking_view(*_POST)
def receive_item(request: HttpRequest, kind: str) -> HttpResponse:
    """``/v1/track`` and its like: one call, of the path's kind. A batch sent here by mistake is read as one."""
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise RequestRefused(
            400, "unknown_type", f"“{kind[:40]}” is not a kind of call. Known kinds: {known}."
        )
    return _receive(request, kind=kind)


@tracking_view(*_POST)
def receive_batch(request: HttpRequest) -> HttpResponse:
    """``/v1/batch``: items that each name their own type."""
    return _receive(request)


@tracking_view(*_POST)
def receive_history(request: HttpRequest) -> HttpResponse:
    """``/v1/import``: a batch of what happened in the past; it triggers nothing."""
    return _receive(request, is_quiet=True)


@tracking_view(*_GET)
def project_settings(
    request: HttpRequest, write_key: str, integration: str = sdk_settings.SEGMENT
) -> HttpResponse:
    """What analytics-next, its kin and the Segment mobile SDKs load before anything else; it sends them back here."""
    if _sender_of(request, write_key) is None:
        raise RequestRefused(404, "unknown_write_key", _UNKNOWN_KEY)
    return responses.settings_response(sdk_settings.segment_settings(request, write_key, integration))


@tracking_view(*_GET)
def source_config(request: HttpRequest) -> HttpResponse:
    """What the RudderStack SDKs load first: no destinations of their own, no statistics sent elsewhere."""
    write_key = _key_of_request(request)
    sender = _require(_sender_of(request, write_key), write_key)
    return responses.settings_response(sdk_settings.rudder_config(sender, write_key))


# --- Ways in --------------------------------------------------------------------------------------------


def _check_method_and_scheme(request: HttpRequest, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        allow = ", ".join(methods)
        message = f"{request.method} is not allowed here. Use {methods[0]}."
        raise RequestRefused(405, "method_not_allowed", message, headers={"Allow": allow})
    # Not redirected as pages are: SDKs repeat a redirected POST as GET, and lose it.
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise RequestRefused(
            403, "https_required", "Write keys travel over HTTPS only. Use https:// in the address."
        )


def _key_of_request(request: HttpRequest) -> str:
    """The write key in headers or address, in the order of the contract; empty when it is in neither."""
    return plain_key(
        _basic_user(request.headers.get("Authorization", ""))
        or request.headers.get("X-Write-Key", "").strip()
        or (request.GET.get("writeKey") or request.GET.get("writekey") or "").strip()
    )


def _basic_user(header: str) -> str:
    """The user name of Basic authentication; empty for any other scheme and for what cannot be read."""
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        plain = base64.b64decode(encoded.strip() + "==").decode()
    except (binascii.Error, ValueError):
        return ""
    return plain.partition(":")[0].strip()


def _sender_of(request: HttpRequest, write_key: str) -> Sender | None:
    """Who sends. A key this process does not remember counts as a stranger's until it is found.

    So a flood of made-up keys stops reaching the database after some hundred a minute and address, while keys
    in use are never held up by it.
    """
    sender = write_keys.remembered(write_key)
    if sender is not None or not write_keys.is_possible(write_key):
        return sender
    rate = throttling.count_stranger(str(request.META.get("REMOTE_ADDR", "")))
    if rate.is_over:
        raise _too_many(rate)
    return write_keys.find_sender(write_key)


def _require(sender: Sender | None, write_key: str) -> Sender:
    if sender is not None:
        return sender
    if not write_key:
        raise RequestRefused(401, "missing_write_key", _NO_KEY)
    raise RequestRefused(401, "unknown_write_key", _UNKNOWN_KEY)


def _admit(request: HttpRequest, write_key: str) -> Sender:
    """The sender, if key, page and rate allow it."""
    sender = _require(_sender_of(request, write_key), write_key)
    origin = responses.origin_of(request)
    if sender.is_web:
        allowed = sender.source.allowed_origins
        if allowed and not origins.is_allowed(origin, allowed):
            where = origin[:200] or "a call without Origin"
            message = f"This write key may not be used from {where}. Its source's settings list the allowed web addresses."
            raise RequestRefused(403, "origin_not_allowed", message)
    elif origin:
        sender = replace(sender, is_web=True)
    _count(sender)
    return sender


def _count(sender: Sender) -> None:
    """One request of this key against TRACK_RATE_PER_MINUTE; a statement per hundredth of the limit."""
    limit = settings.TRACK_RATE_PER_MINUTE
    if limit:
        rate = throttling.count(f"writekey:{sender.key_id}", limit)
        if rate.is_over:
            raise _too_many(rate)


def _too_many(rate: throttling.Rate) -> RequestRefused:
    wait = str(max(1, rate.reset))
    message = f"More than {rate.limit} calls within a minute. Wait {wait} seconds and send larger batches."
    return RequestRefused(
        429, "rate_limited", message, headers={"Retry-After": wait, "X-RateLimit-Reset": wait}
    )


# --- Taking a call --------------------------------------------------------------------------------------


def _receive(request: HttpRequest, *, kind: str | None = None, is_quiet: bool = False) -> HttpResponse:
    received_at = timezone.now()
    write_key = _key_of_request(request)
    sender = _admit(request, write_key) if write_key else None
    request_batch = open_batch(read_json(request), kind=kind)
    if sender is None:
        sender = _admit(request, plain_key(request_batch.write_key))
    is_strict = request.headers.get("X-Strict-Mode", "").lower() in _TRUE
    entries = [*read_entries(request_batch, received_at=received_at)]
    results = _store(entries, sender=sender, is_strict=is_strict, is_quiet=is_quiet)
    with_receipts = not sender.is_web and request.GET.get("receipts", "").lower() in _TRUE
    return responses.batch_response(results, with_receipts=with_receipts)


def _store(entries: list[BatchEntry], *, sender: Sender, is_strict: bool, is_quiet: bool) -> list[ItemResult]:
    """Committed when this returns. An item whose values PostgreSQL refuses is found by halving, and refused."""
    if not entries:
        return []
    try:
        return ingest_items(entries, sender=sender, is_strict=is_strict, is_quiet=is_quiet).results
    except StrictModeRefused as error:
        raise responses.strict_refusal(error.results, total=len(entries)) from error
    except (DataError, IntegrityError) as error:
        log.error("a value passed all checks and PostgreSQL refused it: %s", error)
        if is_strict:
            raise RequestRefused(400, "not_storable", _unstorable(entries)) from error
    if len(entries) > 1:
        middle = len(entries) // 2
        return [
            result
            for half in (entries[:middle], entries[middle:])
            for result in _store(half, sender=sender, is_strict=False, is_quiet=is_quiet)
        ]
    return ingest_items([_as_refusal(entries[0])], sender=sender).results


def _unstorable(entries: list[BatchEntry]) -> str:
    return f"A value in one of the {len(entries)} items cannot be stored; nothing was stored."


def _as_refusal(entry: BatchEntry) -> BatchEntry:
    """Without its payload: that is what could not be stored."""
    message = "A value of this item cannot be stored."
    if isinstance(entry, Item):
        return RefusedItem(
            entry.index, "not_storable", message, None, entry.kind, entry.name, entry.message_text
        )
    return RefusedItem(entry.index, "not_storable", message, None)


def _retry_later(error: Exception) -> RequestRefused:
    """A collision too is a 503: SDKs drop what they get a 409 for."""
    if is_unavailable(error):
        log.error("database unavailable: %s", error)
        metrics.database_errors.labels("unavailable").inc()
        headers = {"Retry-After": str(RETRY_SECONDS)}
        if disk := full_disk(error):
            return RequestRefused(503, "disk_full", f"{disk} {NO_ROOM}", headers=headers)
        return RequestRefused(503, "unavailable", _UNAVAILABLE, headers=headers)
    log.warning("tracking call not stored: %s", error)
    metrics.database_errors.labels("collision").inc()
    return RequestRefused(503, "collision", _COLLIDED, headers={"Retry-After": "1"})
