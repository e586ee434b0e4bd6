"""Event schemas at the door (T5): items with their properties' usual names, and what breaks their schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import orjson

from cdp.ttl_cache import Recent
from profiles.models import EventSchema, Source
from profiles.tracking.parse.item_types import Item, ItemProblem
from profiles.tracking.schemas.validator import CompiledSchema, compile_schema


# Made for every item of a call. Nobody changes one; freezing it would take three times as long.
@dataclass(slots=True)
class SchemaCheck:
    """``mode`` is what becomes of an item that breaks its schema: warn, quarantine or reject; "" for nothing."""

    item: Item
    mode: str = ""
    problems: tuple[ItemProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class _KnownSchema:
    mode: str
    compiled_schema: CompiledSchema


def _read_schemas() -> dict[str, _KnownSchema]:
    rows = EventSchema.objects.values_list("name", "mode", "properties")
    return {
        name: _KnownSchema(mode, _compile_cached(name, orjson.dumps(specs))) for name, mode, specs in rows
    }


@lru_cache(maxsize=1000)
def _compile_cached(name: str, specs: bytes) -> CompiledSchema:
    return compile_schema(name, orjson.loads(specs))


known_schemas = Recent(_read_schemas)


def check_items(items: Sequence[Item], *, source: Source) -> list[SchemaCheck]:
    """What each item's schema says of it, in order. At most one query, none within a few seconds.

    Only track calls have schemas. Other spellings of a property (aliases) are renamed whatever the mode; a
    schema's own mode goes before its source's.
    """
    known = known_schemas() if any(item.kind == "track" for item in items) else {}
    return [
        _check_item(item, known.get(item.name) if item.kind == "track" else None, source) for item in items
    ]


def _check_item(item: Item, known: _KnownSchema | None, source: Source) -> SchemaCheck:
    if known is None:
        return SchemaCheck(item)
    properties = known.compiled_schema.renamed(item.properties)
    if properties is not item.properties:
        item = replace(item, properties=properties)
    mode = known.mode or source.schema_mode
    if mode == Source.SchemaMode.OBSERVE:
        return SchemaCheck(item)
    problems = known.compiled_schema.problems(properties)
    return SchemaCheck(item, mode, problems) if problems else SchemaCheck(item)
