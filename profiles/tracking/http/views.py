"""The tracking door: plain views, since DRF's machinery would cost more than storing an event.

A call goes: preflight, method, write key (in its header, before the body is read), rate, body, items, one
transaction, answer. Whatever the input, the answer is a 4xx with a sentence and never a 5xx; a database that
is away answers 503 with Retry-After. Redis is not needed by anything here.

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
from cdp.middleware import RETRY_SECONDS, client_address, is_unavailable
from profiles.tracking.http import batch as envelope
from profiles.tracking.http import body, responses
from profiles.tracking.http.responses import TurnedAway
from profiles.tracking.ingest import ingest
from profiles.tracking.ingest.event_sql import Collision
from profiles.tracking.parse.item_types import Item, Refusal
from profiles.tracking.sources import origins, write_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

    from profiles.tracking.parse.item_types import Entry, Result, Sender

log = logging.getLogger(__name__)

_POST = ("POST", "OPTIONS")
_GET = ("GET", "HEAD", "OPTIONS")
_TRUE = ("1", "true", "yes")
_NO_KEY = (
    "The call has no write key. Send it as the user name of Basic authentication, X-Write-Key or writeKey."
)
_UNKNOWN_KEY = "This write key is unknown or was revoked. A source's page shows its keys."
_UNAVAILABLE = "The database cannot be reached right now. Nothing was stored; send the call again."
_COLLIDED = "Another call was in the way. Nothing was stored; send the call again."


def door(*methods: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """What all views here have around them: CORS on every answer, OPTIONS, methods, HTTPS, errors as problems."""

    def around(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @wraps(view)
        def answer(request: HttpRequest, **parts: Any) -> HttpResponse:
            if request.method == "OPTIONS":
                return origins.let_through(request, origins.preflight(request, methods))
            try:
                _check_way_in(request, methods)
                response = view(request, **parts)
            except TurnedAway as error:
                response = responses.problem(error)
            except SuspiciousOperation as error:
                message = "The address or a header of this call is malformed."
                log.info("malformed tracking call: %s", type(error).__name__)
                response = responses.problem(TurnedAway(400, "malformed", message))
            except (OperationalError, InterfaceError, Collision) as error:
                response = responses.problem(_not_now(error))
            return origins.let_through(request, response)

        return answer

    return around


@door(*_POST)
def single(request: HttpRequest, kind: str) -> HttpResponse:
    """``/v1/track`` and its like: one call, of the path's kind. A batch sent here by mistake is read as one."""
    if kind not in envelope.KINDS:
        known = ", ".join(envelope.KINDS)
        raise TurnedAway(400, "unknown_type", f"“{kind[:40]}” is no kind of call. Known kinds: {known}.")
    return _take(request, kind=kind)


@door(*_POST)
def batch(request: HttpRequest) -> HttpResponse:
    """``/v1/batch``: items that each name their own type."""
    return _take(request)


@door(*_POST)
def history(request: HttpRequest) -> HttpResponse:
    """``/v1/import``: a batch of what happened in the past; it triggers nothing."""
    return _take(request, is_quiet=True)


@door(*_GET)
def project_settings(request: HttpRequest, write_key: str) -> HttpResponse:
    """What analytics-next and the Segment mobile SDKs load before anything else; it sends them back here."""
    if _sender_of(request, write_key) is None:
        raise TurnedAway(404, "unknown_write_key", _UNKNOWN_KEY)
    return responses.settings_answer(envelope.segment_settings(request, write_key))


@door(*_GET)
def source_config(request: HttpRequest) -> HttpResponse:
    """What the RudderStack SDKs load first: no destinations of their own, no statistics sent elsewhere."""
    write_key = _key_of_request(request)
    sender = _require(_sender_of(request, write_key), write_key)
    return responses.settings_answer(envelope.rudder_config(sender, write_key))


# --- Ways in --------------------------------------------------------------------------------------------


def _check_way_in(request: HttpRequest, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        allow = ", ".join(methods)
        message = f"{request.method} is not taken here. Use {methods[0]}."
        raise TurnedAway(405, "method_not_allowed", message, headers={"Allow": allow})
    # Not redirected as pages are: SDKs repeat a redirected POST as GET, and lose it.
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise TurnedAway(
            403, "https_required", "Write keys travel over HTTPS only. Use https:// in the address."
        )


def _key_of_request(request: HttpRequest) -> str:
    """The write key in headers or address, in the order of the contract; empty when it is in neither."""
    return (
        _basic_user(request.headers.get("Authorization", ""))
        or request.headers.get("X-Write-Key", "").strip()
        or request.GET.get("writeKey", "").strip()
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
    rate = throttling.count_stranger(client_address(request))
    if rate.is_over:
        raise _too_many(rate)
    return write_keys.find_sender(write_key)


def _require(sender: Sender | None, write_key: str) -> Sender:
    if sender is not None:
        return sender
    if not write_key:
        raise TurnedAway(401, "missing_write_key", _NO_KEY)
    raise TurnedAway(401, "unknown_write_key", _UNKNOWN_KEY)


def _admit(request: HttpRequest, write_key: str) -> Sender:
    """The sender, if key, page and rate allow it."""
    sender = _require(_sender_of(request, write_key), write_key)
    origin = origins.origin_of(request)
    if sender.is_web:
        allowed = sender.source.allowed_origins
        if allowed and not origins.is_allowed(origin, allowed):
            where = origin[:200] or "a call without Origin"
            message = f"This write key may not be used from {where}. Its source lists the addresses that may."
            raise TurnedAway(403, "origin_not_allowed", message)
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


def _too_many(rate: throttling.Rate) -> TurnedAway:
    wait = str(max(1, rate.reset))
    message = f"More than {rate.limit} calls within a minute. Wait {wait} seconds and send larger batches."
    return TurnedAway(429, "rate_limited", message, headers={"Retry-After": wait, "X-RateLimit-Reset": wait})


# --- Taking a call --------------------------------------------------------------------------------------


def _take(request: HttpRequest, *, kind: str | None = None, is_quiet: bool = False) -> HttpResponse:
    received_at = timezone.now()
    write_key = _key_of_request(request)
    sender = _admit(request, write_key) if write_key else None
    call = envelope.open_call(body.read_json(request), kind=kind)
    if sender is None:
        sender = _admit(request, call.write_key)
    is_strict = request.headers.get("X-Strict-Mode", "").lower() in _TRUE
    entries = [*envelope.read_entries(call, received_at=received_at)]
    results = _store(entries, sender=sender, is_strict=is_strict, is_quiet=is_quiet)
    with_receipts = not sender.is_web and request.GET.get("receipts", "").lower() in _TRUE
    return responses.taken(results, with_receipts=with_receipts)


def _store(entries: list[Entry], *, sender: Sender, is_strict: bool, is_quiet: bool) -> list[Result]:
    """Committed when this returns. An item whose values PostgreSQL refuses is found by halving, and refused."""
    if not entries:
        return []
    try:
        return ingest.receive(entries, sender=sender, is_strict=is_strict, is_quiet=is_quiet).results
    except ingest.StrictRefused as error:
        raise responses.strictly_refused(error.results, total=len(entries)) from error
    except (DataError, IntegrityError) as error:
        log.error("a value passed all checks and PostgreSQL refused it: %s", error)
        if is_strict:
            raise TurnedAway(400, "not_storable", _unstorable(entries)) from error
    if len(entries) > 1:
        middle = len(entries) // 2
        return [
            result
            for half in (entries[:middle], entries[middle:])
            for result in _store(half, sender=sender, is_strict=False, is_quiet=is_quiet)
        ]
    return ingest.receive([_as_refusal(entries[0])], sender=sender).results


def _unstorable(entries: list[Entry]) -> str:
    return f"A value in one of the {len(entries)} items cannot be stored; nothing was stored."


def _as_refusal(entry: Entry) -> Entry:
    """Without its payload: that is what could not be stored."""
    message = "A value of this item cannot be stored."
    if isinstance(entry, Item):
        return Refusal(entry.index, "not_storable", message, None, entry.kind, entry.name, entry.message_text)
    return Refusal(entry.index, "not_storable", message, None)


def _not_now(error: Exception) -> TurnedAway:
    """A collision too is a 503: SDKs drop what they get a 409 for."""
    if is_unavailable(error):
        log.error("database unavailable: %s", error)
        metrics.database_errors.labels("unavailable").inc()
        headers = {"Retry-After": str(RETRY_SECONDS)}
        return TurnedAway(503, "unavailable", _UNAVAILABLE, headers=headers)
    log.warning("tracking call not stored: %s", error)
    metrics.database_errors.labels("collision").inc()
    return TurnedAway(503, "collision", _COLLIDED, headers={"Retry-After": "1"})
