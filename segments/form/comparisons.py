"""An operator and what to compare with as inputs of the builder, by the type of what is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segments.comparison import BOOLEAN, DATE, DATETIME, NUMBER, OPERATORS, TEXT
from segments.form.fields import Control, Field, Option, Posted, Raw, Source
from segments.form.times import UNIT_OPTIONS, duration_texts
from segments.form.values import as_input, lines, typed

if TYPE_CHECKING:
    from segments.form.suggestions import Suggestions

EXISTS = "exists"
_MANY = ("in", "not_in")
_SPANS = ("in_last", "in_next", "anniversary")


def _kind_is_text(raw: Raw, suggestions: Suggestions) -> str:
    return TEXT


@dataclass(frozen=True)
class ComparisonField(Field):
    """``op``, ``value`` and, of texts, ``exactly``. ``name`` is empty: the keys stand beside the others."""

    kind_of: Callable[[Raw, Suggestions], str] = _kind_is_text
    values: Source | None = None
    exists: str = "has any value"

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        kind = self.kind_of(raw, suggestions)
        op = _operator(raw.get("op"), kind, has_exists=bool(self.exists))
        options = [Option(key, words) for key, words in OPERATORS[kind].items()]
        if self.exists:
            options.append(Option(EXISTS, self.exists))
        yield Control("op", "How it compares", "select", op, options, "op", reshapes=True)
        if op == EXISTS:
            return
        yield from self._values(raw, suggestions, kind, op)
        if kind == TEXT:
            yield Control("exactly", "exactly", "check", "1" if raw.get("exactly") else "", key="exactly")

    def _values(self, raw: Raw, suggestions: Suggestions, kind: str, op: str) -> Iterator[Control]:
        value = raw.get("value")
        if op in _SPANS:
            yield from _span(value, kind, op)
            return
        if op in _MANY:
            items = value if isinstance(value, list) else [value]
            text = "\n".join(as_input(item, kind) for item in items)
            yield Control("values", "Values, one a line", "area", text, key="value")
            return
        if op == "between":
            pair = value if isinstance(value, list) else [value]
            for name, label, index in (("low", "From", 0), ("high", "To", 1)):
                text = as_input(pair[index], kind) if index < len(pair) else ""
                before = "and" if index else ""
                yield Control(name, label, _WIDGETS[kind], text, key="value", before=before)
            return
        first = value[0] if isinstance(value, list) and value else value
        options: Sequence[Option] = self.values(raw, suggestions) if self.values else ()
        if kind == BOOLEAN:
            options = [Option("true", "yes"), Option("false", "no")]
            yield Control("value", "Value", "select", as_input(first, kind) or "true", options, "value")
            return
        yield Control("value", "Value", _WIDGETS[kind], as_input(first, kind), options, "value")

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        kind = self.kind_of(raw, suggestions)
        op = _operator(posted.get("op"), kind, has_exists=bool(self.exists))
        raw["op"] = op
        if op == EXISTS:
            return
        raw["value"] = _read_value(posted, kind, op)
        if kind == TEXT and posted.get("exactly"):
            raw["exactly"] = True


_WIDGETS = {TEXT: "text", NUMBER: "number", BOOLEAN: "select", DATE: "date", DATETIME: "moment"}


def _operator(op: Any, kind: str, *, has_exists: bool) -> str:
    """The operator, or the first one of a type that does not have it."""
    if op in OPERATORS[kind] or (op == EXISTS and has_exists):
        return str(op)
    return next(iter(OPERATORS[kind]))


def _span(value: Any, kind: str, op: str) -> Iterator[Control]:
    unit, amount = duration_texts(value)
    label = "Days ahead" if op == "anniversary" else "How long"
    if kind == DATE:
        yield Control("amount", label, "number", amount, key="value", after="days")
        return
    yield Control("amount", label, "number", amount, key="value")
    yield Control("unit", "Unit", "select", unit, UNIT_OPTIONS, "value")


def _read_value(posted: Posted, kind: str, op: str) -> Any:
    """The value an operator wants; what was typed for another one is carried over where it can be."""
    if op in _SPANS:
        unit = "days" if kind == DATE else posted.get("unit") or "days"
        return {unit: typed(posted.get("amount"), NUMBER)}
    single = posted.get("value").strip() or posted.get("low").strip()
    many = lines(posted.get("values")) or ([single] if single else [])
    if op in _MANY:
        return [typed(text, kind) for text in many]
    if op == "between":
        low = posted.get("low").strip() or (many[0] if many else "")
        return [typed(low, kind), typed(posted.get("high").strip(), kind)]
    if kind == BOOLEAN:
        return (single or "true") == "true"
    return typed(single or (many[0] if many else ""), kind)
