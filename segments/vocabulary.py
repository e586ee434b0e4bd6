"""What this installation has → the names a rule may use: attributes, tags, identifier types, events, sources, segments, lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from profiles.consent.lists import consent_lists
from profiles.consent.words import ConsentLists
from profiles.identity.types import TypeSpec, identifier_types
from profiles.models import EventName, EventSchema, Source, Tag
from profiles.values.attributes import AttributeSpec, attribute_specs
from segments.models import Segment


@dataclass
class Vocabulary:
    """Read once per rule, each part when it is asked for the first time. One query a part."""

    #: The segment whose rule is read, which may not be part of itself.
    segment_id: int | None = None
    _event_ids: dict[str, int | None] = field(default_factory=dict)

    @cached_property
    def attributes(self) -> Mapping[str, AttributeSpec]:
        """By the name a rule uses: ``city``, ``plan``."""
        return {spec.name: spec for spec in attribute_specs().values()}

    @cached_property
    def tags(self) -> dict[int, str]:
        return dict(Tag.objects.values_list("pk", "name"))

    @cached_property
    def tag_ids(self) -> dict[str, int]:
        """By name in small letters."""
        return {name.lower(): pk for pk, name in self.tags.items()}

    @cached_property
    def identifier_types(self) -> dict[str, TypeSpec]:
        return identifier_types()

    @cached_property
    def sources(self) -> dict[int, str]:
        return dict(Source.objects.values_list("pk", "name"))

    @cached_property
    def source_ids(self) -> dict[str, int]:
        """By name in small letters."""
        return {name.lower(): pk for pk, name in self.sources.items()}

    @cached_property
    def segments(self) -> dict[int, Segment]:
        return {segment.pk: segment for segment in Segment.objects.in_use()}

    @cached_property
    def consent_lists(self) -> ConsentLists:
        return consent_lists()

    @cached_property
    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Event name → its properties, as ``EventSchema`` describes them."""
        return dict(EventSchema.objects.values_list("name", "properties"))

    def property_type(self, event: str, path: Sequence[str]) -> str:
        """What the schema of the event says the property is (``number``); empty where it says nothing."""
        spec: Any = {"items": self.schemas.get(event, {})} if event else {}
        for name in path:
            if name != "*":
                spec = spec.get("items", {}).get(name, {})
        return str(spec.get("type", ""))

    def event_id(self, name: str) -> int | None:
        """The id of an event name, None for one that was never seen."""
        if name not in self._event_ids:
            self._event_ids[name] = EventName.objects.filter(name=name).values_list("pk", flat=True).first()
        return self._event_ids[name]

    def note_event(self, name: str) -> int:
        """The id of an event name, made where it was never seen: a rule may be there before its first event."""
        made, _ = EventName.objects.get_or_create(name=name)
        self._event_ids[name] = made.pk
        return made.pk
