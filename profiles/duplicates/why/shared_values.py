"""The history of two profiles → the values both have, however they are written and wherever they are
stored. Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from profiles.duplicates.why.findings import (
    ATTRIBUTE,
    CONTACT,
    HARD,
    PROPERTY,
    SOFT,
    STRENGTH,
    PairHistory,
    ProfileTraces,
    SharedValue,
    ValueTrace,
)
from profiles.identity.field_names import field_of, fold_name
from profiles.identity.hidden_ids import is_email
from profiles.identity.normalize import BadValue
from profiles.identity.presets import EMAIL
from profiles.identity.types import Blocked, TypeSpec
from profiles.models import IdentifierType
from profiles.values.attributes import CUSTOM

# A number or short word may equal an id by chance, unless its name looks like an id's or it is this long.
_ID_NAME = re.compile(
    r"id$|ids$|number|no$|ref|card|code|key|customer|member|account|login|mail|user|phone|mobile|external",
    re.IGNORECASE,
)
_LONG = 6
_DIGITS = re.compile(r"\D+")
# Numbers written differently are the same when this many last digits are equal.
_TAIL = 7
_Key = tuple[str, str]
# The usual type of values that several types may take.
_CONTACT_TYPES: dict[str, str] = {
    IdentifierType.Normalizer.EMAIL: EMAIL,
    IdentifierType.Normalizer.PHONE: "phone",
}


def read_types(history: PairHistory) -> None:
    """Set the identifier type each attribute and event property reads as; drop those that read as none."""
    known = {side.id: _values(history.other(side.id)) for side in history.sides}
    for side in history.sides:
        traces = []
        for trace in side.traces:
            if trace.stored_as in (ATTRIBUTE, PROPERTY):
                traces += _readings(trace, history, known[side.id])
            else:
                traces += [trace, *_email_as_id(trace, history), *_id_in_soft(trace, history, known[side.id])]
        side.traces = traces


def _values(side: ProfileTraces) -> dict[str, set[str]]:
    """``{type: values}`` of one profile's identifiers."""
    by_type: dict[str, set[str]] = defaultdict(set)
    for trace in side.traces:
        if trace.stored_as not in (ATTRIBUTE, PROPERTY):
            by_type[trace.type].add(trace.value)
    return by_type


def _readings(trace: ValueTrace, history: PairHistory, known_values: dict[str, set[str]]) -> list[ValueTrace]:
    """What the value may be read as. An address or a number is of one type only, however many types take one."""
    if trace.type:
        return [trace]
    name = trace.location.removeprefix(CUSTOM).rpartition("/")[2]
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for spec in history.types.values():
        if spec.row.strength != IdentifierType.Strength.HARD:
            continue
        value = _read(trace.raw, name, spec, known_values, history)
        if value is not None:
            values[spec.row.normalizer][spec.name] = value
    readings = []
    for normalizer, by_type in values.items():
        if normalizer in _CONTACT_TYPES:
            chosen = _type_of(name, by_type, known_values, history, default=_CONTACT_TYPES[normalizer])
            by_type = {chosen: by_type[chosen]}
        readings += [replace(trace, type=type_name, value=value) for type_name, value in by_type.items()]
    return readings


def _type_of(
    name: str,
    by_type: dict[str, str],
    known_values: dict[str, set[str]],
    history: PairHistory,
    *,
    default: str,
) -> str:
    """The type a value belongs to: the one it is named like, else the one the other profile has it as, else the
    usual one.
    """
    named = [
        type_name
        for type_name in by_type
        if fold_name(name) in (fold_name(type_name), fold_name(history.label(type_name)))
    ]
    known = [type_name for type_name, value in by_type.items() if value in known_values.get(type_name, ())]
    usual = [default] if default in by_type else list(by_type)
    return [*named, *known, *usual][0]


def _read(
    raw: str, name: str, spec: TypeSpec, known_values: dict[str, set[str]], history: PairHistory
) -> str | None:
    """The value as an identifier of this type, or None when it is none."""
    kind = spec.row.normalizer
    if kind == IdentifierType.Normalizer.EMAIL:
        return _clean(raw, spec) if "@" in raw else None
    if kind == IdentifierType.Normalizer.PHONE:
        return _phone(raw, name, spec, known_values)
    value = _clean(raw, spec)
    if value is None:
        return None
    if fold_name(name) in (fold_name(spec.name), fold_name(str(spec.row))):
        return value
    is_telling = len(value) >= _LONG or _ID_NAME.search(name) is not None
    return value if is_telling and value in known_values.get(spec.name, ()) else None


def _clean(raw: str, spec: TypeSpec) -> str | None:
    try:
        return spec.clean(raw)
    except (BadValue, Blocked):
        return None


def _phone(raw: str, name: str, spec: TypeSpec, known_values: dict[str, set[str]]) -> str | None:
    """The number in international form; one without country code is the other profile's number that ends
    like it.
    """
    looks_international = raw.strip().startswith(("+", "00"))
    named_field = field_of(name)
    if (
        not looks_international
        and not (named_field is not None and named_field[0] == "phone")
        and "phone" not in name.lower()
    ):
        return None
    value = _clean(raw, spec)
    if value is not None:
        return value
    tail = _DIGITS.sub("", raw).lstrip("0")
    if len(tail) < _TAIL:
        return None
    return next((number for number in sorted(known_values.get(spec.name, ())) if number.endswith(tail)), None)


def _email_as_id(trace: ValueTrace, history: PairHistory) -> Iterable[ValueTrace]:
    """An e-mail stored as an identifier of a type other than the usual one for e-mails."""
    email_type = history.types.get(EMAIL)
    if trace.stored_as != HARD or "@" not in trace.value or email_type is None or trace.type == EMAIL:
        return
    value = _clean(trace.value, email_type)
    if value is not None:
        yield replace(trace, type=email_type.name, value=value, raw=trace.value)


def _id_in_soft(
    trace: ValueTrace, history: PairHistory, known_values: dict[str, set[str]]
) -> Iterable[ValueTrace]:
    """An e-mail, or an id of the other profile, that was sent as a browser's id."""
    if trace.stored_as != SOFT:
        return
    for spec in history.types.values():
        if spec.row.strength != IdentifierType.Strength.HARD:
            continue
        value = _clean(trace.raw, spec)
        is_address = spec.name == EMAIL and is_email(trace.raw)
        if value is not None and (is_address or value in known_values.get(spec.name, ())):
            yield replace(trace, type=spec.name, value=value)


# --- Shared values --------------------------------------------------------------------------------------


def shared_values_of(history: PairHistory) -> list[SharedValue]:
    """Every hard value stored at both profiles, the strongest first. For soft ones see ``browsers``."""
    at_a, at_b = (_by_key(side, history) for side in history.sides)
    shared = []
    for key in at_a.keys() & at_b.keys():
        left, right = at_a[key], at_b[key]
        stronger, weaker = (left, right) if _rank(left) >= _rank(right) else (right, left)
        shared.append(SharedValue(*key, weaker=weaker, stronger=stronger))
    order = {name: index for index, name in enumerate(history.types)}
    return sorted(
        shared,
        key=lambda shared_value: (
            tuple(-part for part in _rank(shared_value.stronger)),
            order.get(shared_value.type, 99),
            shared_value.value,
        ),
    )


def _by_key(side: ProfileTraces, history: PairHistory) -> dict[_Key, ValueTrace]:
    """The strongest place of each value; a contact value is represented by the attribute written with it."""
    strongest: dict[_Key, ValueTrace] = {}
    for trace in side.traces:
        key = (trace.type, trace.value)
        if not trace.type or history.is_soft(trace.type):
            continue
        if key not in strongest or _rank(trace) > _rank(strongest[key]):
            strongest[key] = trace
    return strongest


def _rank(trace: ValueTrace) -> tuple[int, bool, bool]:
    # An identifier of the type itself before an e-mail stored as another type; the normalized spelling before others.
    return (
        STRENGTH[CONTACT if trace.is_in_soft_id else trace.stored_as],
        trace.location == trace.type,
        trace.raw == trace.value,
    )
