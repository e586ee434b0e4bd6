"""What this installation has and was sent → what the builder suggests while a rule is written, with how often it was seen.

Every read is bounded and in time; what takes too long is not suggested. Counts are of the newest rows, and say so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import connection

from cdp.admin.query_timeout import within_patience
from cdp.plurals import counted
from cdp.ttl_cache import Recent
from profiles.models import Event, EventName, EventSchema
from profiles.tracking.schemas.infer import ObservedEvent, ObservedProperty, observe_event
from profiles.values.attributes import AttributeSpec
from segments.comparison import BOOLEAN, DATETIME, NUMBER, TEXT
from segments.form.fields import Option, Raw
from segments.vocabulary import Vocabulary

NEWEST = 20_000
MOST = 200
PATIENCE = 400
# An event's properties are read again after so many seconds.
KEPT_SECONDS = 60.0
_TYPES = {"number": NUMBER, "integer": NUMBER, "boolean": BOOLEAN, "datetime": DATETIME, "string": TEXT}
# Values of these name somebody, or nearly.
_IDENTIFYING = frozenset({"first_name", "last_name", "email", "phone", "street", "postcode", "birth_date"})

# (name, whether unmasked) → what its newest events look like.
_observed: Recent[dict[tuple[str, bool], ObservedEvent | None]] = Recent(dict, seconds=KEPT_SECONDS)


@dataclass
class Suggestions:
    """For one page; each part is read when it is asked for. ``can_view_pii``: whether values that name people are among them."""

    can_view_pii: bool = False
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    @property
    def zone(self) -> str:
        return str(settings.TIME_ZONE)

    # --- Names ------------------------------------------------------------------------------------------------

    @cached_property
    def attributes(self) -> list[Option]:
        return [Option(name, spec.label) for name, spec in self.vocabulary.attributes.items()]

    @cached_property
    def tags(self) -> list[Option]:
        return [Option(name, name) for name in sorted(self.vocabulary.tags.values(), key=str.lower)]

    @cached_property
    def identifier_types(self) -> list[Option]:
        return [Option(name, str(spec.row)) for name, spec in self.vocabulary.identifier_types.items()]

    @cached_property
    def sources(self) -> list[Option]:
        return [Option(str(pk), name) for pk, name in self.vocabulary.sources.items()]

    @cached_property
    def segments(self) -> list[Option]:
        """But for the one whose rule is written."""
        rows = sorted(self.vocabulary.segments.values(), key=lambda row: row.name.lower())
        return [Option(str(row.pk), row.name) for row in rows if row.pk != self.vocabulary.segment_id]

    @cached_property
    def channels(self) -> list[Option]:
        return [Option(word.name, word.label) for word in self.vocabulary.consent_lists.channels.active]

    @cached_property
    def purposes(self) -> list[Option]:
        return [Option(word.name, word.label) for word in self.vocabulary.consent_lists.purposes.active]

    # --- Events -----------------------------------------------------------------------------------------------

    @cached_property
    def events(self) -> list[Option]:
        """Names of events, the most frequent of late first. Three queries."""
        seen = within_patience(_event_counts, PATIENCE) or {}
        names = dict(EventName.objects.exclude(name__in=Event.Kind.values).values_list("pk", "name")[:MOST])
        counts = {name: seen.get(pk, 0) for pk, name in names.items()}
        for name in EventSchema.objects.values_list("name", flat=True):
            counts.setdefault(name, 0)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0].lower()))
        return [Option(name, name, _lately(number)) for name, number in ordered[:MOST]]

    def properties(self, event: str) -> list[Option]:
        """Properties that events of the name have, the most common first, then those of its schema alone."""
        observed = self._observe(event)
        found: dict[str, Option] = {}
        for one in observed.properties if observed else ():
            found.update(_options_of(one))
        for name in self._schema(event):
            found.setdefault(name, Option(name, name, "in the schema"))
        return list(found.values())[:MOST]

    def property_type(self, event: str, path: str) -> str:
        """The type of a property, by the schema, else as it is sent; empty where it is not known."""
        spec = self._schema(event).get(path)
        if spec and spec.get("type") in _TYPES:
            return _TYPES[spec["type"]]
        observed = self._find(event, path)
        return _TYPES.get(observed.type, "") if observed else ""

    def property_values(self, raw: Raw) -> list[Option]:
        """Values the property of a filter was seen with."""
        observed = self._find(str(raw.get("_event") or ""), str(raw.get("property") or ""))
        return [Option(str(sample), str(sample)) for sample in observed.samples] if observed else []

    def _find(self, event: str, path: str) -> ObservedProperty | None:
        observed = self._observe(event)
        name, _, inner = path.partition(".")
        for one in observed.properties if observed else ():
            if one.name == path:
                return one
            if one.name == name:
                return one.entries.get(inner.removeprefix("*."))
        return None

    def _observe(self, event: str) -> ObservedEvent | None:
        if not event or event == "*":
            return None
        kept, key = _observed(), (event, self.can_view_pii)
        if key not in kept:
            if len(kept) > MOST:
                kept.clear()
            kept[key] = within_patience(
                lambda: observe_event(event, can_view_pii=self.can_view_pii), PATIENCE
            )
        return kept[key]

    @cached_property
    def _schemas(self) -> dict[str, dict[str, Any]]:
        return dict(EventSchema.objects.values_list("name", "properties"))

    def _schema(self, event: str) -> dict[str, Any]:
        return self._schemas.get(event, {})

    # --- Values of people ---------------------------------------------------------------------------------------

    def attribute_values(self, spec: AttributeSpec | None) -> list[Option]:
        """Values of an attribute with how many of the newest people have them. One query; none for what names people."""
        if spec is None or not self._may_list(spec):
            return []
        counts = within_patience(lambda: _value_counts(spec), PATIENCE) or {}
        for value in spec.allowed:
            counts.setdefault(value, 0)
        return [Option(value, value, _people(number)) for value, number in counts.items() if value]

    def _may_list(self, spec: AttributeSpec) -> bool:
        if spec.is_custom:
            return self.can_view_pii or spec.sensitivity == "none"
        return spec.name not in _IDENTIFYING


def _options_of(one: ObservedProperty) -> dict[str, Option]:
    """The property, or what is in the entries of a list: ``products.*.sku``."""
    if one.entries:
        paths = [f"{one.name}.*.{inner.name}" for inner in one.entries.values()]
        return {path: Option(path, path, f"in {one.share_text}") for path in paths}
    return {one.name: Option(one.name, one.name, f"in {one.share_text}")}


def _lately(number: int) -> str:
    return f"{number:,} of the newest {NEWEST:,}" if number else "not seen of late"


def _people(number: int) -> str:
    return f"{counted(number, 'people')} of the newest" if number else ""


def _event_counts() -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name_id, count(*) FROM (SELECT name_id, kind FROM profiles_event ORDER BY id DESC LIMIT %s) e"
            " WHERE kind = 'track' GROUP BY 1",
            [NEWEST],
        )
        return dict(cursor.fetchall())


def _value_counts(spec: AttributeSpec) -> dict[str, int]:
    """Default attributes are columns of known names; the name of any other is a parameter."""
    column = f"p.{spec.name}" if not spec.is_custom else "segments_text(p.attributes -> %(name)s)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT value, count(*) FROM (SELECT {column} AS value FROM profiles_profile p WHERE p.status = 'live'"
            " ORDER BY p.id DESC LIMIT %(newest)s) v WHERE value <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50",
            {"name": spec.name, "newest": NEWEST},
        )
        return dict(cursor.fetchall())
