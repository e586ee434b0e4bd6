"""Whom a few changed people may be: candidates by shared keys, scored in Python as a scan scores all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import orjson
from django.db import connection
from django.utils import timezone

from profiles.duplicates.homes import with_homes
from profiles.duplicates.keys import BLOCK
from profiles.duplicates.levels import COMPARISONS
from profiles.duplicates.model import Model, Rarity, Told, rounded, shipped
from profiles.duplicates.rows import Row, side_of
from profiles.duplicates.tiers import Classified, Side, classify
from profiles.duplicates.together import SHARED
from profiles.models import MatchBase, MatchCrowd, MatchRarity, MatchRow

# One changed person is compared with at most so many; with keys of crowds left out nobody has as many.
MOST = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """A pair that is something; ``a`` < ``b``."""

    a: int
    b: int
    score: float
    classified: Classified
    told: tuple[Told, ...]

    @property
    def evidence(self) -> str:
        """As stored: ``[[field, level, bits]]``, JSON."""
        return orjson.dumps([[one.field, one.level, rounded(one.weight)] for one in self.told]).decode()


@dataclass(frozen=True, slots=True)
class Base:
    """What is known about everybody: how many, how rare names are, and values that say nothing."""

    people: int
    rarity: Rarity
    emails: frozenset[str]
    phones: frozenset[str]

    def without_crowds(self, side: Side) -> Side:
        """A side without addresses and numbers that too many share."""
        traits = side.traits
        if traits.email in self.emails:
            traits = replace(traits, email=None, mailbox=None, domain=None)
        if traits.phone in self.phones:
            traits = replace(traits, phone=None)
        if traits.emails or traits.phones:
            traits = replace(
                traits,
                emails=tuple(one for one in traits.emails if one not in self.emails),
                phones=tuple(one for one in traits.phones if one not in self.phones),
            )
        return replace(side, traits=traits)


def read_base(sides: Iterable[Side]) -> Base:
    """What comparing these people needs to know. Three queries."""
    row = MatchBase.current()
    counted = [one for one in COMPARISONS if one.is_rarity_counted]
    sides = list(sides)
    names = {one.field: {getattr(side.traits, one.trait) for side in sides} - {None} for one in counted}
    bits: dict[str, dict[str, float]] = defaultdict(dict)
    wanted = {"", *SHARED, *(name for values in names.values() for name in values)}
    told = MatchRarity.objects.filter(field__in=[*names, "shared"], value__in=wanted).values_list(
        "field", "value", "bits"
    )
    for field, value, number in told:
        bits[field][value] = number
    values = {side.traits.email for side in sides} | {side.traits.phone for side in sides}
    values |= {one for side in sides for one in (*side.traits.emails, *side.traits.phones)}
    crowds: dict[str, set[str]] = {"email": set(), "phone": set()}
    shared = MatchCrowd.objects.filter(key__isnull=True, value__in=values - {None})
    for field, value in shared.values_list("field", "value"):
        crowds[field].add(value)
    return Base(row.people, Rarity(bits), frozenset(crowds["email"]), frozenset(crowds["phone"]))


def find(rows: Sequence[Row], *, also: Iterable[tuple[int, int]] = ()) -> list[Found]:
    """Every pair these people are part of. ``also``: pairs to compare whether they share a key or not.

    A key of more than ``BLOCK`` people is noted as a crowd and joins nobody. Some queries, however many rows.
    """
    sides = {row.id: row.side for row in rows}
    pairs = {(min(pair), max(pair)) for pair in (*_sharing(rows), *also)}
    missing = {one for pair in pairs for one in pair} - sides.keys()
    columns = [field.name for field in MatchRow._meta.concrete_fields if field.name != "keys"]
    for known in MatchRow.objects.filter(pk__in=missing).only(*columns):
        sides[known.pk] = side_of(known)
    base = read_base(sides.values())
    clean = {one: base.without_crowds(side) for one, side in sides.items()}
    homes = with_homes({one: side.traits for one, side in clean.items()})
    clean = {one: replace(side, traits=homes[one]) for one, side in clean.items()}
    model, today = shipped(), timezone.localdate()
    found = (
        compare(a, b, clean[a], clean[b], base=base, model=model, today=today)
        for a, b in sorted(pairs)
        if a in clean and b in clean
    )
    return [one for one in found if one is not None]


def compare(a: int, b: int, one: Side, other: Side, *, base: Base, model: Model, today: date) -> Found | None:
    """One pair; None when it is nothing."""
    scored = model.score(one.traits, other.traits, people=base.people, rarity=base.rarity)
    classified = classify(one, other, scored, model=model, today=today)
    return Found(a, b, scored.score, classified, tuple(scored.told)) if classified.tier else None


def _sharing(rows: Sequence[Row]) -> set[tuple[int, int]]:
    """Pairs of a changed person and whoever shares a key that is not a crowd's."""
    wanted = {row.id: set(row.keys) for row in rows}
    found: set[tuple[int, int]] = set()
    crowds = _crowds(wanted)
    for _ in range(3):
        hits, full = _hits({one: sorted(keys - crowds) for one, keys in wanted.items()})
        new = _note_crowds(hits, wanted, crowds)
        crowds |= new
        if not (new and full):
            break
    for one, others in hits.items():
        for other, keys in others:
            if not (wanted[one] & keys) <= crowds:
                found.add((one, other))
    return found


def _crowds(wanted: dict[int, set[int]]) -> set[int]:
    keys = list(set().union(*wanted.values())) if wanted else []
    return {key for key in MatchCrowd.objects.filter(key__in=keys).values_list("key", flat=True) if key}


def _hits(wanted: dict[int, list[int]]) -> tuple[dict[int, list[tuple[int, set[int]]]], bool]:
    """Who shares a key with each, and whether anybody has more than are read. One query."""
    told = [
        [one, orjson.dumps(keys).decode().replace("[", "{").replace("]", "}")]
        for one, keys in wanted.items()
        if keys
    ]
    hits: dict[int, list[tuple[int, set[int]]]] = defaultdict(list)
    if not told:
        return hits, False
    with connection.cursor() as cursor:
        # The index of keys is asked once for each; its statistics would make the planner read everything.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "SELECT q.id, m.profile_id, m.keys FROM unnest(%s::bigint[], %s::text[]) AS q (id, keys)"
            " CROSS JOIN LATERAL (SELECT profile_id, keys FROM profiles_matchrow"
            " WHERE keys && q.keys::bigint[] AND profile_id <> q.id LIMIT %s) m",
            [[one for one, _ in told], [keys for _, keys in told], MOST],
        )
        for one, other, keys in cursor.fetchall():
            hits[one].append((other, set(keys)))
        cursor.execute("SET LOCAL enable_seqscan = on")
    return hits, any(len(others) >= MOST for others in hits.values())


def _note_crowds(
    hits: dict[int, list[tuple[int, set[int]]]], wanted: dict[int, set[int]], known: set[int]
) -> set[int]:
    """Keys that turn out to be held by too many; remembered for the next change."""
    found: dict[int, int] = {}
    for one, others in hits.items():
        counts = Counter(key for _, keys in others for key in keys & wanted[one])
        found |= {key: count + 1 for key, count in counts.items() if count >= BLOCK and key not in known}
    if found:
        MatchCrowd.objects.bulk_create(
            [MatchCrowd(field="key", key=key, holders=count) for key, count in sorted(found.items())],
            ignore_conflicts=True,
        )
    return set(found)
