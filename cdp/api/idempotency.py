"""A write and its Idempotency-Key → one transaction, repeated after a collision, answered once per key.

The saved answer of an ``Idempotency-Key`` is committed by the same transaction as the write itself. So
there is no moment in which a killed process leaves a write without its answer, or a key "in flight" for
ever; what is in flight has an advisory lock, which PostgreSQL releases when the process dies.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, transaction
from django.db.models.functions import Now
from django.http import HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

from cdp.api.dry_run import rehearse
from cdp.api.parameters import flag
from cdp.api.problems import Collision, Unprocessable
from cdp.locks import try_take_name
from cdp.middleware import is_collision
from cdp.models import IdempotencyKey
from cdp.uploads import content_digest

if TYPE_CHECKING:
    from rest_framework.request import Request

    from cdp.actors import Actor

ATTEMPTS = 3
KEPT = timedelta(hours=25)
# May be answered otherwise when sent again: the caller and its number of calls are no part of the write.
_NOT_SAVED = frozenset({401, 403, 429})
_SAVED_HEADERS = ("Location", "ETag", "Content-Disposition")
IN_FLIGHT = (
    "A request with this Idempotency-Key is being worked on. Send it again in a moment for its answer."
)
KEY_REUSED = "This Idempotency-Key was already used for another request. Use a new key, or send exactly the same request."
BAD_KEY = "An Idempotency-Key has 1 to 255 visible ASCII characters."


@dataclass(frozen=True, slots=True)
class Write:
    """One writing call. ``run`` is its handler; ``to_problem`` makes a response of what the handler raises, or raises
    again what it does not know; ``render`` gives a response its bytes.
    """

    request: Request
    actor: Actor
    run: Callable[[], Any]
    to_problem: Callable[[Exception], Any]
    render: Callable[[Any], Any]

    def carry_out(self) -> Any:
        """The handler's answer; raises what the handler raises."""
        if flag(self.request, "dry_run"):
            answer, effects = rehearse(self.run, actor=self.actor)
            return _as_rehearsal(answer, effects)
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return run_in_transaction(self.run)
        if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
            raise exceptions.ParseError(BAD_KEY)
        return self._once(key)

    def _once(self, key: str) -> Any:
        owner = self.actor.label
        with transaction.atomic():
            if not _lock(owner, key):
                raise Collision(IN_FLIGHT)
            saved = IdempotencyKey.objects.filter(owner=owner, key=key).first()
            request_digest = fingerprint(self.request)
            if saved is not None:
                if saved.fingerprint != request_digest:
                    raise Unprocessable(KEY_REUSED)
                return _replay(saved)
            response = self._answer_or_problem()
            if response.status_code >= 500:
                transaction.set_rollback(True)
            elif response.status_code not in _NOT_SAVED and not response.streaming:
                _save(owner, key, request_digest, self.render(response))
        return response

    def _answer_or_problem(self) -> Any:
        """The handler's answer or its refusal; its own writes are undone by a savepoint when it refuses.

        Database errors go out: they say nothing lasting about the request, so they are not saved.
        """
        try:
            return run_in_transaction(self.run)
        except DatabaseError:
            raise
        except Exception as refusal:  # noqa: BLE001
            # Unknown exceptions are raised again in here and roll everything back.
            return self.to_problem(refusal)


def run_in_transaction(run: Callable[[], Any]) -> Any:
    """Run and commit; a deadlock or serialization failure is tried again, at most three times in all."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return run()
        except DatabaseError as error:
            if attempt == ATTEMPTS or not is_collision(error):
                raise
            # Two that collided must not meet again at once.
            time.sleep(random.uniform(0.005, 0.03) * attempt)  # noqa: S311
    raise AssertionError("unreachable")


def _as_rehearsal(answer: Any, effects: list[dict[str, Any]]) -> Response:
    """The same answer with ``dry_run``; a 204 becomes a 200 with the effects as its body."""
    data = getattr(answer, "data", None)
    if not isinstance(data, dict):
        data = {} if data is None else {"results": data}
    status = 200 if answer.status_code == 204 else answer.status_code
    return Response({**data, "dry_run": True, "effects": data.get("effects", effects)}, status=status)


def _lock(owner: str, key: str) -> bool:
    """Lock (owner, key) until this transaction ends; False when another connection has the lock."""
    return try_take_name(f"idempotency {owner} {key}")


def fingerprint(request: Request) -> str:
    """SHA-256 of method, path, query and body; of an upload, of its fields and the hash of each file."""
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    if (request.content_type or "").startswith("multipart/"):
        form: Any = request.data
        for name, values in sorted(form.lists()):
            for value in values:
                text = content_digest(value) if isinstance(value, UploadedFile) else str(value)
                digest.update(f"\n{name}={text}".encode())
    else:
        digest.update(request._request.body)
    return digest.hexdigest()


def with_secrets(response: Response, *fields: str) -> Response:
    """The response, whose ``fields`` are shown this once: a repeated call gets the same answer with them empty."""
    response.secret_fields = fields  # type: ignore[attr-defined]
    return response


def _without_secrets(response: Any) -> bytes:
    content = bytes(response.content)
    if fields := getattr(response, "secret_fields", ()):
        return orjson.dumps({**orjson.loads(content), **dict.fromkeys(fields, "")})
    return content


def _save(owner: str, key: str, request_digest: str, response: Any) -> None:
    headers = {name: response[name] for name in _SAVED_HEADERS if response.has_header(name)}
    headers["Content-Type"] = response.get("Content-Type", "application/json")
    IdempotencyKey.objects.create(
        owner=owner,
        key=key,
        fingerprint=request_digest,
        status=response.status_code,
        headers=headers,
        body=_without_secrets(response),
    )


def _replay(saved: IdempotencyKey) -> HttpResponse:
    response = HttpResponse(bytes(saved.body or b""), status=saved.status, headers=saved.headers)
    response["Idempotent-Replayed"] = "true"
    return response


def expire_idempotency_keys() -> int:
    """Forget saved answers older than 25 hours (24 are promised); the number forgotten. For cdp.tasks.expire."""
    deleted, _ = IdempotencyKey.objects.filter(created_at__lt=Now() - KEPT).delete()
    return deleted
