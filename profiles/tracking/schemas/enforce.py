"""Event schemas at the door (T5): items with their properties' usual names, and what breaks their schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import orjson

from cdp.ttl_cache import Recent
from profiles.models import EventSchema, Source
from profiles.tracking.parse.item_types import Item, Problem
from profiles.tracking.schemas.validator import Contract, compiled


# Made for every item of a call. Nobody changes one; freezing it would take three times as long.
@dataclass(slots=True)
class Verdict:
    """``mode`` is what becomes of an item that breaks its schema: warn, quarantine or reject; "" for nothing."""

    item: Item
    mode: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    mode: str
    contract: Contract


def _read() -> dict[str, _Known]:
    rows = EventSchema.objects.values_list("name", "mode", "properties")
    return {name: _Known(mode, _compiled(name, orjson.dumps(specs))) for name, mode, specs in rows}


@lru_cache(maxsize=1000)
def _compiled(name: str, specs: bytes) -> Contract:
    return compiled(name, orjson.loads(specs))


known_schemas = Recent(_read)


def check(items: Sequence[Item], *, source: Source) -> list[Verdict]:
    """What each item's schema says of it, in order. At most one query, none within a few seconds.

    Only track calls have schemas. Other spellings of a property (aliases) are renamed whatever the mode; a
    schema's own mode goes before its source's.
    """
    known = known_schemas() if any(item.kind == "track" for item in items) else {}
    return [_verdict(item, known.get(item.name) if item.kind == "track" else None, source) for item in items]


def _verdict(item: Item, known: _Known | None, source: Source) -> Verdict:
    if known is None:
        return Verdict(item)
    properties = known.contract.renamed(item.properties)
    if properties is not item.properties:
        item = replace(item, properties=properties)
    mode = known.mode or source.schema_mode
    if mode == Source.SchemaMode.OBSERVE:
        return Verdict(item)
    problems = known.contract.problems(properties)
    return Verdict(item, mode, problems) if problems else Verdict(item)
