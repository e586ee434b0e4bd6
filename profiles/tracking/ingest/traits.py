"""The traits of a call's items → attribute values; unknown names are registered as attributes on the way."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.ttl_cache import Recent
from profiles.identity.field_names import fold_name, is_customer_id
from profiles.identity.hidden_ids import hidden_ids, sentence
from profiles.identity.normalize import BadValue
from profiles.identity.values import decimal_text
from profiles.models import AttributeDefinition
from profiles.tagging import clean_tag_names
from profiles.tracking.parse.item_text import NOTHING, pointer_part
from profiles.tracking.parse.item_types import Item, ItemProblem
from profiles.tracking.parse.trait_names import Displaced, fields_of
from profiles.tracking.sources.write_keys import Sender
from profiles.values.attributes import (
    CUSTOM,
    DEFAULTS,
    AttributeSpec,
    attribute_specs,
    check_new_name,
    clean_value,
    define_attribute,
)

known_specs: Recent[dict[str, AttributeSpec]] = Recent(attribute_specs)

TAGS = "tags"
MAX_TAGS = 100
# Of one item so many hidden identifiers are reported.
MAX_HIDDEN = 20


@dataclass(frozen=True, slots=True)
class OtherValue:
    """A cleaned value of an attribute that has another one in the same item; ``name`` is the trait's."""

    field: str
    name: str
    value: Any


@dataclass(slots=True)
class ItemTraits:
    """``values`` by journal key, cleaned; None clears. ``raw`` are the default attributes as sent.

    ``tags`` are put on besides those there are; a call takes none off. ``others`` are values that another spelling in
    the item took the place of; ``customer_ids`` what identify gives as the customer's id, by the name it has there.
    """

    values: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    problems: list[ItemProblem] = field(default_factory=list)
    others: list[OtherValue] = field(default_factory=list)
    customer_ids: list[tuple[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _SortedTraits:
    item: Item
    fields: dict[str, Any]
    unknown: dict[str, Any]
    displaced: list[Displaced]


def read_traits(items: Iterable[Item], sender: Sender) -> dict[int, ItemTraits]:
    """The attribute values of each identify and update, by the item's index. A query only for names new to us."""
    sorted_traits = [_SortedTraits(item, *fields_of(item.traits)) for item in items if item.traits]
    specs = known_specs() if sorted_traits else {}
    by_name = {key.lower(): spec for key, spec in specs.items() if spec.is_custom}
    new = {
        name: raw
        for item_traits in sorted_traits
        for name, raw in item_traits.unknown.items()
        if raw is not None and CUSTOM + name.lower() not in by_name and not why_no_attribute(name)
    }
    if new and sender.source.adopts_attributes:
        by_name |= _register_attributes(new, room=settings.CDP_ADOPTED_ATTRIBUTES - len(by_name))
    return {item_traits.item.index: _clean(item_traits, by_name, sender) for item_traits in sorted_traits}


def _register_attributes(new: dict[str, Any], *, room: int) -> dict[str, AttributeSpec]:
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
            continue  # still unknown, so _clean reports it
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


def _clean(sorted_traits: _SortedTraits, by_name: dict[str, AttributeSpec], sender: Sender) -> ItemTraits:
    traits = ItemTraits(raw=sorted_traits.fields)
    identifies = sorted_traits.item.kind == "identify"
    for name, raw in sorted_traits.fields.items():
        _put(traits, DEFAULTS[name], name, raw, sender)
    for name, raw in sorted_traits.unknown.items():
        spec = by_name.get(CUSTOM + name.lower())
        if fold_name(name) == TAGS:
            _put_tags(traits, name, raw)
        elif identifies and is_customer_id(name) and raw not in NOTHING:
            traits.customer_ids.append((name, raw))
            if spec is not None:
                _put(traits, spec, name, raw, sender)
        elif spec is not None and spec.field in traits.values:
            _put_again(traits, spec, name, raw)
        elif spec is not None:
            _put(traits, spec, name, raw, sender)
        elif raw is not None:
            _problem(traits, "unknown_trait", name, raw, _why_unknown(name))
    for displaced in sorted_traits.displaced:
        _put_displaced(traits, displaced, by_name, sender)
    item = sorted_traits.item
    if item.kind == "update":
        traits.problems += hidden_id_problems(item.traits, "/traits")
    elif item.kind == "identify":
        # Its own e-mail, phone and customer id identify; a second name for the same value hides nothing.
        sent = [item.user_id, item.anonymous_id, *map(str, sorted_traits.fields.values())]
        others = {name: raw for name, raw in sorted_traits.unknown.items() if not is_customer_id(name)}
        traits.problems += hidden_id_problems(others, "/traits", sent=sent)
    return traits


def _put_tags(traits: ItemTraits, name: str, raw: Any) -> None:
    """A list of tags, or texts with commas between them."""
    if raw is None or raw in ("", []):
        return
    parts = [raw] if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        _problem(traits, "bad_trait", name, raw, "Tags are a list of texts, or one text with commas.")
        return
    for part in ",".join(parts).split(","):
        if not part.strip():
            continue
        try:
            traits.tags += clean_tag_names([part])
        except Invalid as invalid:
            _problem(traits, "bad_trait", name, part, invalid.problems[0]["message"])
    if len(traits.tags) > MAX_TAGS:
        message = f"One call puts on at most {MAX_TAGS} tags; the others were left out."
        _problem(traits, "bad_trait", name, None, message)
        del traits.tags[MAX_TAGS:]


@lru_cache(maxsize=8192)
def why_no_attribute(name: str) -> str:
    """Why no attribute can be called so; empty when one can."""
    try:
        check_new_name(name)
        AttributeDefinition._meta.get_field("name").clean(name, None)
    except BadValue as error:
        return str(error)
    except ValidationError:
        return "It cannot be an attribute's name: send it under another."
    return ""


def _why_unknown(name: str) -> str:
    """What to do about a name that is no attribute: not every name can be one."""
    stays = f"“{name}” is not an attribute; the value stays in the event only."
    return f"{stays} {why_no_attribute(name) or 'Add it under Attributes.'}"


def _put(traits: ItemTraits, spec: AttributeSpec, name: str, raw: Any, sender: Sender) -> None:
    if raw is None or raw in ("", []):
        if raw is None and not sender.is_web:
            traits.values[spec.field] = None  # a server may clear; what stands in a page may not
        return
    if not spec.is_custom and isinstance(raw, (int, float)) and not isinstance(raw, bool):
        raw = decimal_text(raw)
    try:
        traits.values[spec.field] = clean_value(spec, raw)
    except BadValue as bad:
        _problem(traits, "bad_trait", name, raw, str(bad))


def _put_again(traits: ItemTraits, spec: AttributeSpec, name: str, raw: Any) -> None:
    """“Plan” and “plan” are one attribute: its own spelling counts, else the first; the other one is kept beside it."""
    if raw is None or raw in ("", []):
        return
    try:
        value = clean_value(spec, raw)
    except BadValue as bad:
        _problem(traits, "bad_trait", name, raw, str(bad))
        return
    current = traits.values[spec.field]
    if name == spec.name or current is None:
        traits.values[spec.field], value = value, current
    if value is not None and value != traits.values[spec.field]:
        traits.others.append(OtherValue(spec.field, name, value))


def _put_displaced(
    traits: ItemTraits, displaced: Displaced, by_name: dict[str, AttributeSpec], sender: Sender
) -> None:
    """A value that another spelling took the place of: of an attribute of its own name, if there is one, else kept
    beside the other; where the other could not be read it takes its place.
    """
    field_name, name, raw = displaced
    own = by_name.get(CUSTOM + name.lower())
    if own is not None and own.field not in traits.values:
        _put(traits, own, name, raw, sender)
        return
    spec = DEFAULTS[field_name]
    if traits.values.get(field_name) is None:
        _put(traits, spec, name, raw, sender)
        if traits.values.get(field_name) is not None:
            traits.raw[field_name] = raw
        return
    other = ItemTraits()
    _put(other, spec, name, raw, sender)
    traits.problems += other.problems
    value = other.values.get(field_name)
    if value is not None and value != traits.values[field_name]:
        traits.others.append(OtherValue(field_name, name, value))


def _problem(traits: ItemTraits, code: str, name: str, raw: Any, message: str) -> None:
    traits.problems.append(
        {
            "code": code,
            "pointer": f"/traits/{pointer_part(name)}",
            "value": _problem_value(raw),
            "message": message,
        }
    )


def _problem_value(raw: Any) -> Any:
    return raw[:255] if isinstance(raw, str) else raw if isinstance(raw, (int, float, bool)) else None


def hidden_id_problems(
    document: dict[str, Any], pointer: str, *, sent: Collection[str | None] = ()
) -> list[ItemProblem]:
    """Problems for identifiers where they identify nobody, at any depth; not for values ``sent`` as identifiers, too."""
    if not document:
        return []
    return [
        {
            "code": "identifier_as_attribute",
            "pointer": pointer + hidden.pointer,
            "value": hidden.value[:255],
            "message": sentence(hidden),
        }
        for hidden in hidden_ids(document)[:MAX_HIDDEN]
        if hidden.value not in sent
    ]
