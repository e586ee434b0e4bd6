"""Identifiers that wait for their owner's confirmation → the list of them, and what share is confirmed in the end."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from cdp.errors import Invalid
from profiles.identity.presets import CONTACTS
from profiles.models import Identifier, IdentifierType, Profile, Source

DAYS = 30
# Counting stops here: beyond it a page says “more than”.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class ConfirmedShare:
    """Of the identifiers that came in the last ``DAYS`` days at sources that ask for confirmation. Counted to ``COUNTED``."""

    waiting: int
    confirmed: int

    @property
    def percent(self) -> int | None:
        """How many of a hundred were confirmed; None when none came."""
        total = self.waiting + self.confirmed
        return round(100 * self.confirmed / total) if total else None

    @property
    def is_capped(self) -> bool:
        return max(self.waiting, self.confirmed) >= COUNTED


def list_unconfirmed(*, type_name: str = "", source: str = "") -> QuerySet[Identifier]:
    """Identifiers of living profiles that wait, with all that a row shows; ``root_id`` is the surviving profile.

    ``source`` is a source's name or id. Raises Invalid for a type or source that is not there. By id, newest first, it is
    a bounded read (partial index ``identifier_pending``).
    """
    rows = Identifier.objects.filter(is_pending=True, profile__canonical__status=Profile.Status.LIVE)
    if type_name:
        rows = rows.filter(type_id=_type_id(type_name))
    if source:
        rows = rows.filter(source_id=_source_id(source))
    rows = rows.select_related("type", "source", "profile__canonical")
    return rows.annotate(root_id=F("profile__canonical_id"))


def confirmed_share() -> ConfirmedShare:
    """Three queries (partial index ``identifier_opt_in``)."""
    sources = list(Source.objects.filter(needs_confirmation=True).values_list("pk", flat=True))
    since = timezone.now() - datetime.timedelta(days=DAYS)
    came = Identifier.objects.filter(
        Q(is_pending=True) | Q(is_verified=True), source_id__in=sources, first_seen_at__gte=since
    ).order_by()
    contacts = came.filter(type__name__in=CONTACTS)
    waiting = contacts.filter(is_pending=True)[:COUNTED].count()
    confirmed = contacts.filter(is_pending=False, is_verified=True)[:COUNTED].count()
    return ConfirmedShare(waiting, confirmed)


def _type_id(name: str) -> int:
    types = dict(IdentifierType.objects.values_list("name", "pk"))
    if name not in types:
        message = f"“{name[:60]}” is not an identifier type. Known types: {', '.join(types)}."
        raise Invalid([{"field": "type", "value": name[:100], "message": message}])
    return int(types[name])


def _source_id(text: str) -> int:
    match = Source.objects.filter(name__iexact=text).values_list("pk", flat=True).first()
    if match is None and text.isascii() and text.isdigit() and len(text) < 6:
        match = Source.objects.filter(pk=int(text)).values_list("pk", flat=True).first()
    if match is None:
        message = f"There is no source “{text[:60]}”."
        raise Invalid([{"field": "source", "value": text[:100], "message": message}])
    return match
