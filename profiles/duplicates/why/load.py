"""Two profiles → their history as the tables have it: where each value is stored, and who wrote it. A fixed
number of queries.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db.models import Q

from cdp.sql import run
from profiles.duplicates.scoring.conditions import VETOES
from profiles.duplicates.scoring.tiers import tier_reason
from profiles.duplicates.why.findings import (
    ATTRIBUTE,
    CONTACT,
    HARD,
    PENDING,
    PROPERTY,
    SOFT,
    BrowserHandover,
    PairHistory,
    ProfileTraces,
    RecordedDecision,
    ValueOrigin,
    ValueTrace,
)
from profiles.duplicates.why.origins import Key, loaded, origins_of
from profiles.identity.presets import CONTACTS
from profiles.identity.types import identifier_types
from profiles.models import DuplicatePair, HeldMerge, Identifier, LinkInterval, Profile
from profiles.values.attributes import CUSTOM

# Of each profile this many of the newest events are searched, and this many of the matching ones are read.
EVENTS, READ = 2_000, 200
# What may be an identifier in the text of an event.
_LOOKS = r"@|phone|mobile|tel"
_MAX_PATTERNS = 200
# Of a list in an event so many items are read.
_MAX_ITEMS = 200

_EVENTS = """
    SELECT m.canonical_id, m.id, e.kind, n.name, e.occurred_at, s.name, s.door, s.id, e.properties,
        e.context -> 'traits', e.envelope
    FROM profiles_profile m CROSS JOIN LATERAL (
        SELECT * FROM (
            SELECT * FROM profiles_event WHERE profile_id = m.id ORDER BY occurred_at DESC, id DESC LIMIT %(events)s
        ) newest
        WHERE newest.properties::text ~* %(looks)s OR newest.context ->> 'traits' ~* %(looks)s
            OR newest.properties::text ILIKE ANY(%(values)b::text[])
            OR newest.envelope ->> 'user_id' = ANY(%(ids)b::text[])
        ORDER BY newest.occurred_at DESC LIMIT %(read)s
    ) e
    JOIN profiles_eventname n ON n.id = e.name_id JOIN profiles_source s ON s.id = e.source_id
    WHERE m.canonical_id = ANY(%(roots)b::bigint[])
    ORDER BY e.occurred_at DESC LIMIT 2000
"""


def read_pair_history(a: Profile, b: Profile, *, base_url: str = "") -> PairHistory:
    """Everything that can explain why two surviving profiles are separate. Seven queries."""
    types = identifier_types()
    sides = {a.pk: ProfileTraces(a), b.pk: ProfileTraces(b)}
    for trace in _identifiers(sides):
        sides[trace.root_id].traces.append(trace)
    for side in sides.values():
        side.traces += _attributes(side.root)
    for trace in _events(sides):
        sides[trace.root_id].traces.append(trace)
    _add_origins(sides)
    history = PairHistory(
        sides[a.pk],
        sides[b.pk],
        types,
        region=settings.CDP_PHONE_REGION,
        base_url=base_url or settings.CDP_URL.rstrip("/"),
    )
    history.handovers = [*_handovers(sides), *_held_merges(sides)]
    history.decisions = _decisions(sides)
    history.vetoes = {
        decision.veto: tier_reason(decision.rule, decision.veto)
        for decision in history.decisions
        if decision.veto in VETOES
    }
    return history


def _identifiers(sides: dict[int, ProfileTraces]) -> Iterable[ValueTrace]:
    rows = Identifier.objects.of_profiles(*sides).select_related("type", "source", "profile")
    for row in rows.defer("profile__search").order_by("type__priority", "pk"):
        soft = row.type.strength == row.type.Strength.SOFT
        stored = SOFT if soft else HARD
        if not row.resolves:
            stored = PENDING if row.is_pending else CONTACT
        yield ValueTrace(
            root_id=row.profile.canonical_id,
            member_id=row.profile_id,
            type=row.type.name,
            value=row.value,
            raw=row.raw or row.value,
            stored_as=stored,
            location=row.type.name,
            # Replaced by the journal's origin where there is one.
            origin=ValueOrigin(row.first_seen_at, row.source.name, row.source.channel, row.source_id),
            is_verified=row.is_verified,
        )


def _attributes(root: Profile) -> Iterable[ValueTrace]:
    """E-mail and phone, and every text or number among the custom attributes; their type is not known yet."""
    for name in CONTACTS:
        if value := getattr(root, name):
            yield ValueTrace(root.pk, root.pk, name, value, value, ATTRIBUTE, name)
    for name, value in root.attributes.items():
        for text in _texts(value):
            yield ValueTrace(root.pk, root.pk, "", text, text, ATTRIBUTE, CUSTOM + name)


def _texts(value: Any) -> list[str]:
    if isinstance(value, bool):
        return []
    if isinstance(value, (str, int)):
        return [str(value)] if str(value).strip() else []
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _events(sides: dict[int, ProfileTraces]) -> Iterable[ValueTrace]:
    """Texts in events that may be identifiers, the newest of equal ones first. One query."""
    wanted = {
        text
        for side in sides.values()
        for trace in side.stored_as(HARD, PENDING, CONTACT)
        for text in (trace.value, trace.raw)
    }
    patterns = sorted(wanted)[:_MAX_PATTERNS]
    rows = run(
        _EVENTS,
        {
            "roots": [*sides],
            "events": EVENTS,
            "read": READ,
            "looks": _LOOKS,
            "values": [f"%{_escaped(text)}%" for text in patterns if len(text) > 2],
            "ids": patterns,
        },
    )
    seen = set()
    for root, member, kind, name, at, source, door, source_id, *documents in rows:
        properties, traits, envelope = map(loaded, documents)
        envelope_ids = envelope or {}
        origin = ValueOrigin(
            at,
            source,
            door,
            source_id,
            cause="event",
            call=kind,
            event=name,
            user_id=str(envelope_ids.get("user_id") or ""),
            anonymous_id=str(envelope_ids.get("anonymous_id") or ""),
            sent=properties,
        )
        box = "traits" if kind in ("identify", "update", "group") else "properties"
        locations = [*_texts_in(properties, f"/{box}"), *_texts_in(traits, "/context/traits")]
        if origin.user_id in wanted:
            locations.append(("/userId", origin.user_id))
        for location, text in locations:
            if (key := (root, kind, name, location, text)) not in seen:
                seen.add(key)
                yield ValueTrace(root, member, "", text, text, PROPERTY, location, origin)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _texts_in(value: Any, location: str) -> list[tuple[str, str]]:
    """(pointer, text) of the texts and whole numbers in an object, at any depth."""
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in _texts_in(item, f"{location}/{name}")]
    if isinstance(value, list):
        return [leaf for item in value[:_MAX_ITEMS] for leaf in _texts_in(item, location)]
    return [(location, text) for text in _texts(value)]


# --- Who wrote it ---------------------------------------------------------------------------------------


def _add_origins(sides: dict[int, ProfileTraces]) -> None:
    """Set the journal's origin of identifiers and attributes, and of the profiles themselves. One query."""
    wanted = {_key(trace) for side in sides.values() for trace in side.traces if trace.stored_as != PROPERTY}
    origins = origins_of([*sides], wanted)
    for root_id, side in sides.items():
        side.created_by = origins.get((root_id, "", ""))
        side.traces = [_with_origin(trace, origins) for trace in side.traces]


def _key(trace: ValueTrace) -> Key:
    if trace.stored_as == ATTRIBUTE:
        return (trace.location, trace.raw)
    return ("identifiers", f"{trace.type}:{trace.value}")


def _with_origin(trace: ValueTrace, origins: dict[tuple[int, str, str], ValueOrigin]) -> ValueTrace:
    if trace.stored_as == PROPERTY:
        return trace
    origin = origins.get((trace.root_id, *_key(trace)))
    return trace if origin is None else replace(trace, origin=origin)


# --- Handovers and decisions ----------------------------------------------------------------------------


def _handovers(sides: dict[int, ProfileTraces]) -> list[BrowserHandover]:
    """Soft identifiers that both profiles had in turn. One query."""
    rows = (
        LinkInterval.objects.filter(profile__canonical_id__in=sides)
        .order_by("pk")
        .values_list("type__name", "value", "profile__canonical_id", "started_at")
    )
    by_value: dict[tuple[str, str], list[tuple[int, datetime.datetime | None]]] = defaultdict(list)
    for name, value, root, start in rows[:2000]:
        by_value[name, value].append((root, start))
    handovers = []
    for (name, value), intervals in by_value.items():
        roots = list(dict.fromkeys(root for root, _ in intervals))
        if len(roots) == 2:
            at = next((start for root, start in intervals if root == roots[1] and start), None)
            handovers.append(BrowserHandover(name, value, "hands", roots[0], roots[1], at, profile_count=2))
    return handovers


def _held_merges(sides: dict[int, ProfileTraces]) -> list[BrowserHandover]:
    """Merges of the two that the circuit breaker holds. One query."""
    a, b = sides
    rows = HeldMerge.objects.filter(
        Q(profile__canonical_id=a, other__canonical_id=b) | Q(profile__canonical_id=b, other__canonical_id=a),
        state__in=[HeldMerge.State.OPEN, HeldMerge.State.SHARED],
    ).select_related("type", "source", "profile", "other")
    return [
        BrowserHandover(
            row.type.name,
            row.value,
            "held" if row.state == HeldMerge.State.OPEN else "shared",
            row.other.canonical_id,
            row.profile.canonical_id,
            row.last_at,
            row.source.name,
            row.people,
            row.pk,
        )
        for row in rows.defer("profile__search", "other__search")[:20]
    ]


def _decisions(sides: Sequence[int] | dict[int, ProfileTraces]) -> list[RecordedDecision]:
    """Verdicts and vetoes of the pair, the newest first. One query."""
    a, b = sides
    rows = DuplicatePair.objects.filter(
        Q(a__canonical_id=a, b__canonical_id=b) | Q(a__canonical_id=b, b__canonical_id=a)
    ).select_related("user", "key")
    return [
        RecordedDecision(
            row.verdict,
            row.user.get_username() if row.user else row.key.name if row.key else "somebody",
            row.decided_at,
            row.veto,
            row.rule,
            row.through_id,
        )
        for row in rows.order_by("-decided_at", "-pk")[:20]
    ]
