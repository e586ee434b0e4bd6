"""What calls say about people: traits as attributes, unknown ones registered on the way (P2)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.ttl_cache import Recent
from profiles.identity.normalize import BadValue
from profiles.models import AttributeDefinition
from profiles.tracking.parse.item_types import Item, ItemProblem
from profiles.tracking.parse.trait_names import fields_of
from profiles.tracking.sources.write_keys import Sender
from profiles.values.attributes import CUSTOM, DEFAULTS, Spec, attribute_specs, clean_value, define_attribute

known_specs: Recent[dict[str, Spec]] = Recent(attribute_specs)

# In update or in an event these identify nobody, though whoever sends them may think so (T2).
_LOOKS_LIKE_AN_ID = {
    "email": "email",
    "useremail": "email",
    "customeremail": "email",
    "emailaddress": "email",
    "userid": "userId",
    "customerid": "userId",
    "anonymousid": "anonymousId",
}


@dataclass(slots=True)
class Said:
    """``values`` by journal key, cleaned; None clears. ``raw`` are the default attributes as sent."""

    values: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    problems: list[ItemProblem] = field(default_factory=list)


@dataclass(slots=True)
class _Sorted:
    item: Item
    fields: dict[str, Any]
    unknown: dict[str, Any]


def read_traits(items: Iterable[Item], sender: Sender) -> dict[int, Said]:
    """What each identify and update says, by the item's index. A query only for names seen the first time."""
    sorted_ = [_Sorted(item, *fields_of(item.traits)) for item in items if item.traits]
    specs = known_specs() if sorted_ else {}
    by_name = {key.lower(): spec for key, spec in specs.items() if spec.is_custom}
    new = {
        name: raw
        for one in sorted_
        for name, raw in one.unknown.items()
        if raw is not None and CUSTOM + name.lower() not in by_name
    }
    if new and sender.source.adopts_attributes:
        by_name |= _adopt(new, room=settings.CDP_ADOPTED_ATTRIBUTES - len(by_name))
    return {one.item.index: _clean(one, by_name, sender) for one in sorted_}


def _adopt(new: dict[str, Any], *, room: int) -> dict[str, Spec]:
    """Register names as attributes; the ones that cannot be one are left, with a problem on their items."""
    known_specs.forget()
    have = set(AttributeDefinition.objects.values_list("name", flat=True))
    taken = {name.lower() for name in have}
    for name, raw in new.items():
        if room <= 0:
            break
        if name.lower() in taken:
            continue
        try:
            define_attribute(name=name, type=_type_of(raw), actor=Actor.system())
        except Invalid:
            continue  # told by _clean: it is still nobody's attribute
        taken.add(name.lower())
        room -= 1
    return {key.lower(): spec for key, spec in attribute_specs().items() if spec.is_custom}


def _type_of(raw: Any) -> str:
    if isinstance(raw, bool):
        return AttributeDefinition.Type.BOOLEAN.value
    if isinstance(raw, (int, float)):
        return AttributeDefinition.Type.NUMBER.value
    if isinstance(raw, list):
        return AttributeDefinition.Type.LIST.value
    if isinstance(raw, str) and len(raw) == 10:
        try:
            datetime.date.fromisoformat(raw)
        except ValueError:
            return AttributeDefinition.Type.TEXT.value
        return AttributeDefinition.Type.DATE.value
    return AttributeDefinition.Type.TEXT.value


def _clean(one: _Sorted, by_name: dict[str, Spec], sender: Sender) -> Said:
    said = Said(raw=one.fields)
    for name, raw in one.fields.items():
        _put(said, DEFAULTS[name], name, raw, sender)
    for name, raw in one.unknown.items():
        spec = by_name.get(CUSTOM + name.lower())
        if spec is not None:
            _put(said, spec, name, raw, sender)
        elif raw is not None:
            _problem(
                said,
                "unknown_trait",
                name,
                raw,
                f"“{name}” is no attribute; the value stays in the event. Register it under Attributes.",
            )
    if one.item.kind == "update":
        said.problems += identifier_like(one.item.traits, "/traits")
    return said


def _put(said: Said, spec: Spec, name: str, raw: Any, sender: Sender) -> None:
    if raw is None or raw in ("", []):
        if raw is None and not sender.is_web:
            said.values[spec.field] = None  # a server may clear; what stands in a page may not
        return
    if not spec.is_custom and isinstance(raw, (int, float)) and not isinstance(raw, bool):
        raw = str(raw)
    if spec.field == "birth_date" and isinstance(raw, str) and raw[10:11] == "T":
        raw = raw[:10]  # SDKs send dates as instants
    try:
        said.values[spec.field] = clean_value(spec, raw)
    except BadValue as bad:
        _problem(said, "bad_trait", name, raw, str(bad))


def _problem(said: Said, code: str, name: str, raw: Any, message: str) -> None:
    said.problems.append(
        {"code": code, "pointer": f"/traits/{name}", "value": _shown(raw), "message": message}
    )


def _shown(raw: Any) -> Any:
    return raw[:255] if isinstance(raw, str) else raw if isinstance(raw, (int, float, bool)) else None


def identifier_like(properties: dict[str, Any], pointer: str) -> list[ItemProblem]:
    """Values that look as if they should say who it is, where they do not."""
    found = []
    for name, value in properties.items():
        if not isinstance(value, str) or not value:
            continue
        place = _LOOKS_LIKE_AN_ID.get(name.replace("_", "").replace("-", "").lower())
        if place is not None:
            how = "in the traits of identify" if place == "email" else f"as {place}"
            found.append(
                {
                    "code": "identifier_as_attribute",
                    "pointer": f"{pointer}/{name}",
                    "value": value[:255],
                    "message": f"“{name}” looks like an identifier but joins nobody here; send it {how} to identify.",
                }
            )
    return found
