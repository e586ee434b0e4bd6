"""The filters of the list of people, as its address has them → a rule that means the same, as far as conditions can say it."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from cdp.errors import Invalid
from profiles.search.attribute_filter import EMPTY, FILLED, OPERATOR, UPTO, parts_of
from profiles.search.filters import RELATIVE, ProfileFilter
from profiles.values.attributes import CUSTOM
from segments.conditions.attribute import kind_of_attribute
from segments.form.values import typed
from segments.list_filter import find_segment
from segments.rules.parse import known_kinds
from segments.vocabulary import Vocabulary

# Parameters that do not choose people.
_OTHERS = frozenset({"sort", "after", "before", "status", "view", "column", "columns"})
_TIMES = {"created_at": "created_at", "last_seen_at": "last_seen_at"}


def rule_of(query: str, vocabulary: Vocabulary) -> tuple[dict[str, Any], list[str]]:
    """The rule, and the names of filters that no condition can say. A value that is none may be in it; ``parse`` says so."""
    params = QueryDict(query)
    parts: list[dict[str, Any]] = []
    left_out: list[str] = []
    for name, values in params.lists():
        kept = [value for value in values if value]
        if not kept or name in _OTHERS or (name.startswith(CUSTOM) and parts_of(name)[1]):
            continue
        found = _conditions(name, kept, params, vocabulary)
        if found:
            parts += found
        else:
            left_out.append(_label(name))
    for name in params:
        if name.startswith(CUSTOM) and parts_of(name)[1] == OPERATOR and parts_of(name)[0] not in params:
            parts += _attribute(parts_of(name)[0], [], params, vocabulary)
    return {"version": 1, "all": parts}, left_out


def _conditions(
    name: str, values: list[str], params: QueryDict, vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    if name == "type":
        return [{"type": values[-1]}]
    if name == "tag":
        return [{"tag": value} for value in values]
    if name == "country":
        return [{"attribute": "country", "op": "in", "value": values}]
    if name == "segment":
        try:
            return [{"segment": find_segment(values[-1]).pk}]
        except Invalid:
            return []
    if name.startswith(CUSTOM):
        return _attribute(name, values, params, vocabulary)
    return _time(name, values[-1])


def _attribute(
    name: str, values: list[str], params: QueryDict, vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    own = name.removeprefix(CUSTOM)
    spec = vocabulary.attributes.get(own)
    op = params.get(f"{name}.{OPERATOR}", "eq")
    if spec is None:
        return []
    exists = {"attribute": own, "op": "exists"}
    if op == EMPTY:
        return [{"not": exists}]
    if op == FILLED:
        return [exists]
    kind = kind_of_attribute(spec)
    cleaned = [typed(value, kind) for value in values]
    value: Any = cleaned if op == "in" else cleaned[0] if cleaned else ""
    if op == "between":
        value = [value, typed(params.get(f"{name}.{UPTO}", ""), kind)]
    return [{"attribute": own, "op": op, "value": value}]


def _time(name: str, value: str) -> list[dict[str, Any]]:
    field, _, side = name.rpartition("_")
    relative = RELATIVE.fullmatch(value)
    if field not in _TIMES or relative is None or "profile" not in known_kinds():
        return []
    condition = {"profile": _TIMES[field], "op": "in_last", "value": {"days": int(relative[1])}}
    return [condition] if side == "after" else [{"not": condition}]


def _label(name: str) -> str:
    if name == "q":
        return "the search"
    known = ProfileFilter({}).filters.get(name)
    return str(known.label) if known is not None and known.label else name
