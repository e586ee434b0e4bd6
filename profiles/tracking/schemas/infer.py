"""The newest events of a name → the properties they really have, compared by source, or adopted as a schema.

Every read is bounded.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from cdp.actors import Actor
from cdp.errors import NotFound
from cdp.limits import TooSlow, time_limit
from cdp.plurals import counted
from profiles.builtin_sources import builtin_source
from profiles.identity.field_names import fold_name
from profiles.masking import mask_json
from profiles.models import Event, EventName, EventSchema, Source
from profiles.tracking.parse.clock import parse_time
from profiles.tracking.schemas.builtin import SCHEMAS
from profiles.tracking.schemas.edit import SavedSchema, create_schema
from profiles.tracking.schemas.specs import MAX_NAME, MAX_PROPERTIES
from profiles.tracking.schemas.validator import LABELS, TYPES, Specs

# Events of a name that are looked at, in all and of one source.
READ = 4_000
READ_OF_SOURCE = 1_000
SAMPLES = 3
# Seen in so many of them, a property is one that belongs to the event.
_ALWAYS = 0.995
_ENOUGH = 20
# So many of its values decide a property's type; the others are what the schema is there to find.
_MOSTLY = 0.9
_MILLISECONDS = 2_000
_PREFIXES = ("product", "item", "article", "order", "cart")

# Other spellings of what the shipped schemas call things, by name.
_KNOWN: dict[str, str] = {
    fold_name(alias): name
    for _, specs in SCHEMAS.values()
    for name, spec in specs.items()
    for alias in (name, *spec.get("aliases", ()))
}


@dataclass(slots=True)
class ObservedProperty:
    """One property as it was seen. ``seen`` counts events that had a value, ``of`` all that were looked at."""

    name: str
    of: int = 0
    seen: int = 0
    types: Counter[str] = field(default_factory=Counter)
    samples: list[Any] = field(default_factory=list)
    looks_like: str = ""
    entries: dict[str, ObservedProperty] = field(default_factory=dict)
    entries_seen: int = 0

    @property
    def share(self) -> float:
        return self.seen / self.of if self.of else 0.0

    @property
    def share_text(self) -> str:
        """“all”, “97 %”, “< 1 %”."""
        if self.seen == self.of:
            return "all"
        percent = self.share * 100
        return "< 1 %" if percent < 1 else f"{min(99, round(percent))} %"

    @property
    def type(self) -> str:
        """What most of its values are; empty when they are mixed."""
        if not self.types:
            return ""
        common, number = self.types.most_common(1)[0]
        return common if number >= _MOSTLY * self.types.total() else ""

    @property
    def type_text(self) -> str:
        """“Number”, or “Number 60 %, Text 40 %”."""
        total = self.types.total()
        if len(self.types) < 2:
            return ", ".join(LABELS[kind] for kind in self.types)
        return ", ".join(
            f"{LABELS[kind]} {max(1, round(number * 100 / total))} %"
            for kind, number in self.types.most_common()
        )

    def add(self, value: Any) -> None:
        if value is None or value == "":
            return
        self.seen += 1
        kind = type_of(value)
        self.types[kind] += 1
        if kind == "array":
            self._add_entries(value)
        elif len(self.samples) < SAMPLES and kind != "object" and value not in self.samples:
            self.samples.append(value)

    def _add_entries(self, entries: list[Any]) -> None:
        for entry in entries[:50]:
            if isinstance(entry, dict):
                self.entries_seen += 1
                _add_all(self.entries, entry)

    def finish(self, of: int) -> None:
        self.of = of
        for inner in self.entries.values():
            inner.finish(self.entries_seen)


@dataclass(frozen=True, slots=True)
class ObservedEvent:
    """What the newest events of a name look like; ``sources`` says how many came from which."""

    name: str
    events: int
    properties: list[ObservedProperty]
    sources: list[tuple[Source, int]]
    since: datetime.datetime | None = None


def type_of(value: Any) -> str:
    """The type of a value as schemas call it; a text that is a time is ``datetime``."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "array"
    if isinstance(value, dict):
        return "object"
    is_time = value[4:5] == "-" and value[10:11] in ("T", " ") and parse_time(value) is not None
    return "datetime" if is_time else "string"


def _add_all(by_name: dict[str, ObservedProperty], properties: dict[str, Any]) -> None:
    for name, value in properties.items():
        if name not in by_name:
            if len(by_name) == MAX_PROPERTIES:
                continue
            by_name[name] = ObservedProperty(name)
        by_name[name].add(value)


_Row = tuple[int, dict[str, Any], datetime.datetime]  # source id, properties, when

# --- Reading --------------------------------------------------------------------------------------------


def _newest(name: str) -> list[_Row]:
    """(source id, properties, time) of the newest track calls of the name. Two queries."""
    name_id = EventName.objects.filter(name=name).values_list("pk", flat=True).first()
    if name_id is None:
        return []
    rows = Event.objects.filter(name_id=name_id, kind=Event.Kind.TRACK).order_by("-occurred_at")
    read_of_source: Counter[int] = Counter()
    newest = []
    for row in rows.values_list("source_id", "properties", "occurred_at")[:READ]:
        read_of_source[row[0]] += 1
        if read_of_source[row[0]] <= READ_OF_SOURCE and isinstance(row[1], dict):
            newest.append(row)
    return newest


def _observed_properties(rows: Iterable[_Row], *, can_view_pii: bool = True) -> dict[str, ObservedProperty]:
    by_name: dict[str, ObservedProperty] = {}
    event_count = 0
    for _, properties, _ in rows:
        event_count += 1
        _add_all(by_name, properties)
    for observed in by_name.values():
        observed.finish(event_count)
        if not can_view_pii:
            observed.samples = [mask_json(sample, observed.name) for sample in observed.samples]
    return by_name


def observe_event(name: str, *, specs: Specs | None = None, can_view_pii: bool = False) -> ObservedEvent:
    """What the newest events of a name look like, most common properties first.

    Up to 1,000 events of each source. ``specs`` are the properties known already, for telling aliases;
    ``sees``: samples unmasked. Three queries at most.
    """
    return _observed_event(name, _newest(name), specs or {}, can_view_pii=can_view_pii)


def observe_and_compare(
    name: str, *, specs: Specs | None = None, can_view_pii: bool
) -> tuple[ObservedEvent, SourceComparison]:
    """The same, and how browsers and servers differ in it. Three queries at most."""
    rows = _newest(name)
    event = _observed_event(name, rows, specs or {}, can_view_pii=can_view_pii)
    return event, _compare_sources(rows, {source.pk for source, _ in event.sources if _is_web(source)})


def _is_web(source: Source) -> bool:
    return source.channel == Source.Channel.WEB


def _observed_event(name: str, rows: Sequence[_Row], specs: Specs, *, can_view_pii: bool) -> ObservedEvent:
    by_name = _observed_properties(rows, can_view_pii=can_view_pii)
    _mark_aliases(by_name, specs)
    events_by_source = Counter(row[0] for row in rows)
    sources = Source.objects.in_bulk(list(events_by_source)) if events_by_source else {}
    return ObservedEvent(
        name,
        len(rows),
        sorted(by_name.values(), key=lambda observed: (-observed.seen, observed.name)),
        [(sources[pk], event_count) for pk, event_count in events_by_source.most_common() if pk in sources],
        min((row[2] for row in rows), default=None),
    )


def _mark_aliases(by_name: dict[str, ObservedProperty], specs: Specs) -> None:
    """Which properties are other spellings of one that is known or seen more often."""
    known = {fold_name(name): name for name in specs}
    listed = {alias for spec in specs.values() for alias in spec.get("aliases", ())}
    by_use = sorted(by_name.values(), key=lambda observed: (-observed.seen, observed.name))
    usual_spelling = {fold_name(observed.name): observed.name for observed in reversed(by_use)}
    for observed in by_use:
        if observed.name in specs or observed.name in listed:
            continue
        observed.looks_like = _looks_like(observed, known, usual_spelling)


def _looks_like(observed: ObservedProperty, known: dict[str, str], usual_spelling: dict[str, str]) -> str:
    folded = fold_name(observed.name)
    usual = _KNOWN.get(folded, "")
    if not known:
        # Of spellings that differ in case and separators alone, the one that is sent most.
        spelled = usual or (usual_spelling[folded] if folded else "")
        return spelled if spelled != observed.name else ""
    for spelling in (fold_name(usual), folded, *(folded.removeprefix(prefix) for prefix in _PREFIXES)):
        # A product's id or name is not the event's.
        if spelling in known and spelling not in ("id", "name"):
            return known[spelling]
    return ""


# --- What has no schema ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Undescribed:
    """An event name that is sent and has no schema. ``events`` of the newest 20,000 receipts."""

    name: str
    events: int
    last_at: datetime.datetime


def undescribed(limit: int = 50) -> list[Undescribed] | None:
    """Event names among the newest calls that have no schema, the most frequent first. One query.

    None where finding out takes too long.
    """
    sql = """
        SELECT newest.name, count(*), max(newest.received_at)
        FROM (
            SELECT name, kind, outcome, received_at FROM profiles_receipt ORDER BY id DESC LIMIT 20000
        ) newest
        WHERE newest.kind = 'track' AND newest.name <> '' AND newest.outcome IN ('applied', 'merged', 'conflict')
            AND NOT EXISTS (SELECT 1 FROM profiles_eventschema s WHERE s.name = newest.name)
        GROUP BY newest.name ORDER BY count(*) DESC, newest.name LIMIT %s
    """
    try:
        with time_limit(_MILLISECONDS), connection.cursor() as cursor:
            cursor.execute(sql, [limit])
            return [Undescribed(*row) for row in cursor.fetchall()]
    except TooSlow:
        return None


# --- Adopting -------------------------------------------------------------------------------------------


def suggested_specs(event: ObservedEvent) -> Specs:
    """A schema as events are: types most values have, required what (nearly) all have, spellings united."""
    by_name = {observed.name: observed for observed in event.properties if len(observed.name) <= MAX_NAME}
    specs: Specs = {}
    aliases: dict[str, list[str]] = {}
    for observed in by_name.values():
        if observed.looks_like:
            aliases.setdefault(observed.looks_like, []).append(observed.name)
    for name, observed in by_name.items():
        if not observed.looks_like and name == name.strip() and name:
            specs[name] = _spec(observed)
    for target, spellings in aliases.items():
        # The usual name may itself never have been sent.
        spec = specs.setdefault(target, _spec(max((by_name[observed] for observed in spellings), key=_often)))
        taken = {alias for described in specs.values() for alias in described.get("aliases", ())}
        spec["aliases"] = [
            observed for observed in spellings if observed not in specs and observed not in taken
        ]
        parts = [by_name[observed] for observed in (target, *spellings) if observed in by_name]
        if event.events >= _ENOUGH and sum(observed.seen for observed in parts) >= _ALWAYS * event.events:
            spec["required"] = True
    return specs


def _often(observed: ObservedProperty) -> int:
    return observed.seen


def _spec(observed: ObservedProperty) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": observed.type} if observed.type in TYPES else {}
    if observed.of >= _ENOUGH and observed.share >= _ALWAYS:
        spec["required"] = True
    if observed.type == "array" and observed.entries:
        spec["items"] = {
            inner.name: _spec_of_entry(inner)
            for inner in observed.entries.values()
            if inner.name == inner.name.strip() and 0 < len(inner.name) <= MAX_NAME
        }
    return spec


def _spec_of_entry(inner: ObservedProperty) -> dict[str, Any]:
    spec = _spec(inner)
    spec.pop("items", None)
    return spec


def adopt_schema(*, name: str, actor: Actor, source: Source | None = None) -> SavedSchema:
    """Make a schema of what events of the name look like now; it follows its sources' modes.

    Raises NotFound where none was seen, Conflict where they have a schema.
    """
    event = observe_event(name)
    if not event.events:
        raise NotFound(f"No event “{name}” was seen yet.")
    return create_schema(
        name=name,
        properties=suggested_specs(event),
        description=f"Adopted from {counted(event.events, 'events')}.",
        actor=actor,
        source=source or builtin_source("staff"),
    )


# --- Browser against server -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PropertyComparison:
    """One property on both sides; ``result`` is same, types, share, web or server (sent there alone)."""

    name: str
    web: ObservedProperty | None
    server: ObservedProperty | None
    result: str
    text: str


@dataclass(frozen=True, slots=True)
class SourceComparison:
    web: int
    server: int
    rows: list[PropertyComparison]

    @property
    def is_possible(self) -> bool:
        return bool(self.web and self.server)

    @property
    def differences(self) -> int:
        return sum(row.result != "same" for row in self.rows)


def _compare_sources(rows: Sequence[_Row], web_ids: set[int]) -> SourceComparison:
    web_rows = [row for row in rows if row[0] in web_ids]
    server_rows = [row for row in rows if row[0] not in web_ids]
    web, server = _observed_properties(web_rows), _observed_properties(server_rows)
    names = sorted(
        {*web, *server},
        key=lambda property_name: (-_seen(web, property_name) - _seen(server, property_name), property_name),
    )
    compared = [
        _compare_property(property_name, web.get(property_name), server.get(property_name))
        for property_name in names
    ]
    return SourceComparison(len(web_rows), len(server_rows), compared)


def _seen(side: dict[str, ObservedProperty], name: str) -> float:
    return side[name].share if name in side else 0.0


def _compare_property(
    name: str, web: ObservedProperty | None, server: ObservedProperty | None
) -> PropertyComparison:
    if web is None or not web.seen:
        return PropertyComparison(name, None, server, "server", "Only the server sends it.")
    if server is None or not server.seen:
        return PropertyComparison(name, web, None, "web", "Only the browser sends it.")
    if web.type != server.type:
        text = f"The browser sends {_type_name(web)}, the server {_type_name(server)}."
        return PropertyComparison(name, web, server, "types", text)
    if abs(web.share - server.share) > 0.1:
        return PropertyComparison(name, web, server, "share", "One of them leaves it out more often.")
    return PropertyComparison(name, web, server, "same", "")


def _type_name(observed: ObservedProperty) -> str:
    return TYPES[observed.type] if observed.type else "different types"


def schema_of(name: str) -> EventSchema | None:
    return EventSchema.objects.filter(name=name).first()


def names_of(sources: Sequence[tuple[Source, int]]) -> str:
    """“Shop website (1,000), Order system (12)”."""
    return ", ".join(f"{source.name} ({number:,})" for source, number in sources)
