"""``attributes.<name>`` with its operator and values, as a list's address has them → the profiles whose value is like that.

    attributes.plan=pro                                                     is pro
    attributes.plan=pro&attributes.plan=team&attributes.plan.op=in          is one of
    attributes.points=100&attributes.points.to=200&attributes.points.op=between
    attributes.city.op=empty

On the merged view; values are cleaned as the attribute's type asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import django_filters
from django import forms
from django.db.models import JSONField, Q, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.lookups import (
    GreaterThan,
    GreaterThanOrEqual,
    IContains,
    LessThan,
    LessThanOrEqual,
)

from cdp.errors import Invalid
from profiles.identity.normalize import BadValue, items
from profiles.values.attributes import CUSTOM, AttributeSpec, clean_value

OPERATOR, UPTO = "op", "to"
EMPTY, FILLED, BETWEEN, ONE_OF, CONTAINS = "empty", "filled", "between", "in", "contains"
# Operators that need no value.
ALONE = (EMPTY, FILLED)
_COMPARED = ("gte", "gt", "lte", "lt", BETWEEN)
_ORDERED = {"number", "date", "datetime", "birth_date"}
# Operator → what it is called, of numbers and texts, and of dates.
WORDS = {
    "eq": ("is", "is"),
    "ne": ("is not", "is not"),
    ONE_OF: ("is one of", "is one of"),
    CONTAINS: ("contains", "contains"),
    "gte": ("is at least", "is on or after"),
    "gt": ("is more than", "is after"),
    "lte": ("is at most", "is on or before"),
    "lt": ("is less than", "is before"),
    BETWEEN: ("is between", "is between"),
    EMPTY: ("is empty", "is empty"),
    FILLED: ("has any value", "has any value"),
}
_LISTS = {"eq": "has", "ne": "has not", ONE_OF: "has one of", CONTAINS: "has one that contains"}
_LOOKUPS: dict[str, Any] = {
    "gt": GreaterThan,
    "gte": GreaterThanOrEqual,
    "lt": LessThan,
    "lte": LessThanOrEqual,
}


def is_ordered(spec: AttributeSpec) -> bool:
    """Whether values are more and less than others."""
    return spec.type in _ORDERED


def operators_of(spec: AttributeSpec) -> list[str]:
    """What can be asked of an attribute of this type, in the order of a pick list."""
    if spec.type == "boolean":
        return ["eq", *ALONE]
    if is_ordered(spec):
        return ["eq", "ne", *_COMPARED, ONE_OF, *ALONE]
    return ["eq", "ne", ONE_OF, *([] if spec.type in ("choice", "country") else [CONTAINS]), *ALONE]


def operator_words(spec: AttributeSpec | None, operator: str) -> str:
    """“is at least”; “is on or after” of dates; “has” of lists."""
    if spec is not None and spec.type == "list" and operator in _LISTS:
        return _LISTS[operator]
    number, date = WORDS.get(operator, (operator, operator))
    return date if spec is not None and is_ordered(spec) and spec.type != "number" else number


def parts_of(name: str) -> tuple[str, str]:
    """``("attributes.points", "op")`` of ``attributes.points.op``; the second is "" of the value itself."""
    base, _, part = name.removeprefix(CUSTOM).partition(".")
    return CUSTOM + base, part


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks of one attribute."""

    operator: str
    values: list[str]
    upto: str


class _AskedField(forms.Field):
    """The values of the parameter, with what its two companions say; None where nothing is asked."""

    widget = forms.SelectMultiple

    def __init__(self, *, operator: str, upto: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operator, self.upto = operator, upto

    def to_python(self, value: Any) -> Any:
        values = [part for part in ([value] if isinstance(value, str) else value or []) if part]
        asked = Asked(self.operator or "eq", values, self.upto)
        return asked if values or self.upto or self.operator else None


class AttributeFilter(django_filters.Filter):
    """One attribute. Raises Invalid for an operator it has not, and for values that are none."""

    field_class = _AskedField

    def __init__(self, spec: AttributeSpec, *, operator: str = "", upto: str = "", **kwargs: Any) -> None:
        super().__init__(label=spec.label, operator=operator, upto=upto, **kwargs)
        self.spec = spec

    def filter(self, qs: Any, value: Any) -> Any:
        return qs if value is None else qs.filter(self._condition(value))

    def _condition(self, asked: Asked) -> Q:
        operator = asked.operator
        if operator not in (known := operators_of(self.spec)):
            message = (
                f"“{operator}” cannot be asked of “{self.spec.label}”. Choose one of {', '.join(known)}."
            )
            raise Invalid([{"field": f"{self.field_name}.{OPERATOR}", "value": operator, "message": message}])
        if operator in ALONE:
            return _empty(self.spec) if operator == EMPTY else ~_empty(self.spec)
        values = [asked.values[-1], asked.upto] if operator == BETWEEN and asked.values else asked.values
        if operator == ONE_OF:
            values = [part for value in values for part in items(value)]
        if not values or not all(values):
            message = f"Give {'two values' if operator == BETWEEN else 'a value'} to compare “{self.spec.label}” with."
            raise Invalid([{"field": self.field_name, "value": "", "message": message}])
        if operator == CONTAINS:
            return _contains(self.spec, values[-1])
        clean = [self._clean(value) for value in values]
        if operator == BETWEEN:
            return _compared(self.spec, "gte", clean[0]) & _compared(self.spec, "lte", clean[1])
        if operator in _LOOKUPS:
            return _compared(self.spec, operator, clean[-1])
        same = _any(_equal(self.spec, value) for value in (clean if operator == ONE_OF else clean[-1:]))
        return ~same if operator == "ne" else same

    def _clean(self, value: str) -> Any:
        try:
            return clean_value(self.spec, [value] if self.spec.type == "list" else value)
        except BadValue as error:
            raise Invalid([{"field": self.field_name, "value": value, "message": str(error)}]) from error


def _any(conditions: Iterable[Q]) -> Q:
    return reduce(or_, conditions)


def _equal(spec: AttributeSpec, clean: Any) -> Q:
    if spec.is_custom:
        return Q(attributes__contains={spec.name: clean})
    return Q(**{f"{spec.name}__iexact" if spec.type in ("text", "gender") else spec.name: clean})


def _contains(spec: AttributeSpec, text: str) -> Q:
    """Anywhere in the value, in upper or lower case; of a list in any of its entries."""
    if spec.is_custom:
        return Q(IContains(KeyTextTransform(spec.name, "attributes"), text))
    return Q(**{f"{spec.name}__icontains": text})


def _compared(spec: AttributeSpec, operator: str, clean: Any) -> Q:
    if spec.is_custom:
        lookup: Callable[..., Any] = _LOOKUPS[operator]
        return Q(lookup(KeyTransform(spec.name, "attributes"), Value(clean, output_field=JSONField())))
    return Q(**{f"{spec.name}__{operator}": clean})


def _empty(spec: AttributeSpec) -> Q:
    if spec.is_custom:
        return ~Q(attributes__has_key=spec.name)
    nothing = Q(**{f"{spec.name}__isnull": True})
    return nothing if spec.type == "birth_date" else nothing | Q(**{spec.name: ""})
