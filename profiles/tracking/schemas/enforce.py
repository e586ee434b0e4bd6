"""A track item → the item with its properties' usual names, and what in it breaks its event schema."""

from __future__ import annotations

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


def check_item(item: Item, *, source: Source) -> SchemaCheck:
    """What its schema says of a track item. At most one query, none within a few seconds.

    Other spellings of a property (aliases) are renamed whatever the mode; a schema's own mode goes before its
    source's.
    """
    known = known_schemas().get(item.name)
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
