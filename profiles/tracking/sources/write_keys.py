"""A write key → the source it belongs to, looked up by its digest and remembered for five seconds per process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from cdp import clock
from cdp.ttl_cache import Recent
from profiles.models import Source, WriteKey

if TYPE_CHECKING:
    from django.db.models import QuerySet

LONGEST = 128
_USED_AGAIN_AFTER = timedelta(hours=1)
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose write key a call came with: its source's settings, and whether the key is a public one."""

    key_id: int
    source: Source
    is_web: bool

    @classmethod
    def of(cls, key: WriteKey) -> Sender:
        return cls(key.pk, key.source, key.kind == WriteKey.Kind.WEB)


@dataclass(frozen=True, slots=True)
class _KnownKey:
    sender: Sender
    expires_at: datetime | None


# By digest. Begun anew every five seconds: after that a revoked key, or a changed setting, is obeyed everywhere.
_known: Recent[dict[str, _KnownKey]] = Recent(dict)


def digest_of(write_key: str) -> str:
    """How a write key is kept and looked up."""
    return hashlib.sha256(write_key.encode()).hexdigest()


def plain_key(text: str) -> str:
    """The write key of ``key:secret``, as Jitsu's clients demand it; any other text as it is."""
    return text.partition(":")[0].strip()


def is_possible(write_key: str) -> bool:
    """Whether this could be a write key at all; costs nothing."""
    return 0 < len(write_key) <= LONGEST and write_key.isascii() and write_key.isprintable()


def remembered(write_key: str) -> Sender | None:
    """The sender if this process looked it up within five seconds; never a query."""
    if not is_possible(write_key):
        return None
    known = _known().get(digest_of(write_key))
    if known is None or (known.expires_at is not None and known.expires_at <= clock.now()):
        return None
    return known.sender


def find_sender(write_key: str) -> Sender | None:
    """Who sends with this key; None for one that is unknown, revoked or expired.

    One query per key and five seconds in each process, and one UPDATE an hour for ``last_used_at``. Unknown
    keys are not remembered: whoever lets strangers ask counts them first.
    """
    if (sender := remembered(write_key)) is not None:
        return sender
    if not is_possible(write_key):
        return None
    digest = digest_of(write_key)
    key = live_keys().select_related("source", "source__main_type").filter(digest=digest).first()
    if key is None:
        return None
    _note_use(key)
    if len(_known()) >= _MAX_REMEMBERED:
        _known.forget()
    sender = Sender.of(key)
    _known()[digest] = _KnownKey(sender, key.expires_at)
    return sender


def live_keys() -> QuerySet[WriteKey]:
    """Keys that are neither revoked nor past the end a rotation gave them."""
    return WriteKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)


def forget_known_keys() -> None:
    """This process looks every key up anew."""
    _known.forget()


def _note_use(key: WriteKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at >= _USED_AGAIN_AFTER:
        hour = now.replace(minute=0, second=0, microsecond=0)
        WriteKey.objects.filter(pk=key.pk).update(last_used_at=hour)
