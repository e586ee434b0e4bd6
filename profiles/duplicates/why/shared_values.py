"""The same value at both people, however it is written and wherever it stands. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from profiles.duplicates.why.findings import (
    ATTRIBUTE,
    HARD,
    PROPERTY,
    STRENGTH,
    Case,
    Link,
    Side,
    Trace,
)
from profiles.identity.normalize import BadValue
from profiles.identity.types import Blocked, TypeSpec
from profiles.models import IdentifierType
from profiles.tracking.parse.trait_names import field_of, fold
from profiles.values.attributes import CUSTOM

# A number or a short word under any name is the same as an id by chance; under such a name, or so long, it is not.
_ID_NAME = re.compile(
    r"id$|ids$|number|no$|ref|card|code|key|customer|member|account|login|mail|user|phone|mobile|external",
    re.IGNORECASE,
)
_LONG = 6
_DIGITS = re.compile(r"\D+")
# So many last digits of two numbers written differently make them the same number.
_TAIL = 7
_Key = tuple[str, str]


def read_types(case: Case) -> None:
    """Give every attribute and event property the identifier type it reads as; drop what reads as none."""
    known = {side.id: _values(case.other(side.id)) for side in case.sides}
    for side in case.sides:
        found = []
        for trace in side.traces:
            if trace.stored_as in (ATTRIBUTE, PROPERTY):
                found += _readings(trace, case, known[side.id])
            else:
                found += [trace, *_email_as_id(trace, case)]
        side.traces = found


def _values(side: Side) -> dict[str, set[str]]:
    """``{type: values}`` of the identifiers of one side."""
    found: dict[str, set[str]] = defaultdict(set)
    for trace in side.traces:
        if trace.stored_as not in (ATTRIBUTE, PROPERTY):
            found[trace.type].add(trace.value)
    return found


def _readings(trace: Trace, case: Case, others: dict[str, set[str]]) -> list[Trace]:
    if trace.type:
        return [trace]
    name = trace.place.removeprefix(CUSTOM).rpartition("/")[2]
    found = []
    for spec in case.types.values():
        if spec.row.strength != IdentifierType.Strength.HARD:
            continue
        value = _read(trace.raw, name, spec, others, case)
        if value is not None:
            found.append(replace(trace, type=spec.name, value=value))
    return found


def _read(raw: str, name: str, spec: TypeSpec, others: dict[str, set[str]], case: Case) -> str | None:
    """The value as an identifier of this type, or None when it is none."""
    kind = spec.row.normalizer
    if kind == IdentifierType.Normalizer.EMAIL:
        return _clean(raw, spec) if "@" in raw else None
    if kind == IdentifierType.Normalizer.PHONE:
        return _phone(raw, name, spec, others)
    value = _clean(raw, spec)
    if value is None:
        return None
    if fold(name) in (fold(spec.name), fold(str(spec.row))):
        return value
    is_telling = len(value) >= _LONG or _ID_NAME.search(name) is not None
    return value if is_telling and value in others.get(spec.name, ()) else None


def _clean(raw: str, spec: TypeSpec) -> str | None:
    try:
        return spec.clean(raw)
    except (BadValue, Blocked):
        return None


def _phone(raw: str, name: str, spec: TypeSpec, others: dict[str, set[str]]) -> str | None:
    """In its international form; one without a country code is the other side's number that ends like it."""
    looks = raw.strip().startswith(("+", "00"))
    found = field_of(name)
    if not looks and not (found is not None and found[0] == "phone") and "phone" not in name.lower():
        return None
    value = _clean(raw, spec)
    if value is not None:
        return value
    tail = _DIGITS.sub("", raw).lstrip("0")
    if len(tail) < _TAIL:
        return None
    return next((one for one in sorted(others.get(spec.name, ())) if one.endswith(tail)), None)


def _email_as_id(trace: Trace, case: Case) -> Iterable[Trace]:
    """An e-mail kept as an identifier of another type, where case may count."""
    spec = case.types.get(trace.type)
    if trace.stored_as != HARD or "@" not in trace.value or spec is None:
        return
    if spec.row.normalizer == IdentifierType.Normalizer.EMAIL:
        return
    for other in case.types.values():
        if other.row.normalizer == IdentifierType.Normalizer.EMAIL:
            value = _clean(trace.value, other)
            if value is not None:
                yield replace(trace, type=other.name, value=value, raw=trace.value)


# --- Links ----------------------------------------------------------------------------------------------


def links_of(case: Case) -> list[Link]:
    """Every hard value that stands at both people, the surest first. Soft ones are told by the browsers."""
    at_a, at_b = (_by_key(side, case) for side in case.sides)
    found = []
    for key in at_a.keys() & at_b.keys():
        one, other = at_a[key], at_b[key]
        strong, weak = (one, other) if _rank(one) >= _rank(other) else (other, one)
        found.append(Link(*key, weak=weak, strong=strong))
    order = {name: place for place, name in enumerate(case.types)}
    return sorted(
        found,
        key=lambda link: (tuple(-part for part in _rank(link.strong)), order.get(link.type, 99), link.value),
    )


def _by_key(side: Side, case: Case) -> dict[_Key, Trace]:
    """The strongest place of each value; a contact value is told by the attribute that was written with it."""
    best: dict[_Key, Trace] = {}
    for trace in side.traces:
        key = (trace.type, trace.value)
        if not trace.type or case.is_soft(trace.type):
            continue
        if key not in best or _rank(trace) > _rank(best[key]):
            best[key] = trace
    return best


def _rank(trace: Trace) -> tuple[int, bool, bool]:
    # An identifier of the type itself before an e-mail kept as another type's; the usual spelling before others.
    return (STRENGTH[trace.stored_as], trace.place == trace.type, trace.raw == trace.value)
