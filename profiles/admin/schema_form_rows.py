"""Rows of the schema form, one per property: the form's texts → specs, and specs → rows.

Entries of a list are rows of their own, called ``products[].sku``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from profiles.tracking.schemas.specs import MAX_PROPERTIES, Fault
from profiles.tracking.schemas.validator import Specs

BLANK = 3
_MAX_ROWS = 2 * MAX_PROPERTIES
_TEXTS = ("name", "type", "aliases", "enum", "minimum", "maximum", "pattern", "description")
_INNER = re.compile(r"(.+)\[\]\.(.+)", re.DOTALL)


@dataclass(slots=True)
class Row:
    """The form's texts about one property; ``pointer`` is the field name its faults carry."""

    name: str = ""
    type: str = ""
    is_required: bool = False
    aliases: str = ""
    enum: str = ""
    minimum: str = ""
    maximum: str = ""
    pattern: str = ""
    description: str = ""
    faults: list[str] = field(default_factory=list)

    @property
    def pointer(self) -> str:
        inner = _INNER.fullmatch(self.name)
        return f"properties.{inner[1]}.items.{inner[2]}" if inner else f"properties.{self.name}"

    @property
    def has_rules(self) -> bool:
        return bool(self.enum or self.minimum or self.maximum or self.pattern or self.description)

    @property
    def rules_text(self) -> str:
        """The folded rules in short."""
        rules = []
        if self.enum:
            rules.append("allowed values")
        if self.minimum:
            rules.append(f"from {self.minimum}")
        if self.maximum:
            rules.append(f"up to {self.maximum}")
        if self.pattern:
            rules.append("pattern")
        return ", ".join(rules)


def rows_of(specs: Specs) -> list[Row]:
    """Required ones first, then by name; a list's entries right behind it."""
    rows = []
    for name, spec in sorted(specs.items(), key=_order):
        rows.append(_row(name, spec))
        inner = sorted((spec.get("items") or {}).items(), key=_order)
        rows += [_row(f"{name}[].{inner_name}", inner_spec) for inner_name, inner_spec in inner]
    return rows


def _order(item: tuple[str, dict[str, Any]]) -> tuple[bool, bool, str]:
    name, spec = item
    return (not spec.get("required"), spec.get("type") == "array", name.lower())


def _row(name: str, spec: dict[str, Any]) -> Row:
    return Row(
        name=name,
        type=spec.get("type", ""),
        is_required=bool(spec.get("required")),
        aliases=", ".join(spec.get("aliases", ())),
        enum="\n".join(_text(value) for value in spec.get("enum", ())),
        minimum=_text(spec.get("minimum")),
        maximum=_text(spec.get("maximum")),
        pattern=spec.get("pattern", ""),
        description=spec.get("description", ""),
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def read_rows(posted: Mapping[str, Any]) -> list[Row]:
    """The rows as they were filled in, those without a name left out."""
    numbers = sorted({int(match[1]) for key in posted if (match := re.fullmatch(r"p(\d{1,4})-name", key))})
    rows = []
    for number in numbers[:_MAX_ROWS]:
        texts = {name: str(posted.get(f"p{number}-{name}", "")).strip() for name in _TEXTS}
        if texts["name"]:
            row = Row(is_required=f"p{number}-required" in posted)
            for name, text in texts.items():
                setattr(row, name, text)
            rows.append(row)
    return rows


def specs_of(rows: Iterable[Row]) -> tuple[Specs, list[Fault]]:
    """The rows as specs, with the faults only rows can have; ``clean_specs`` finds the rest."""
    specs: Specs = {}
    inner: list[tuple[str, str, Row]] = []
    faults: list[Fault] = []
    for row in rows:
        match = _INNER.fullmatch(row.name)
        if match:
            inner.append((match[1], match[2], row))
        else:
            _put(specs, row.name, row, faults)
    for parent, name, row in inner:
        into = specs.setdefault(parent, {"type": "array"})
        _put(into.setdefault("items", {}), name, row, faults)
    return specs, faults


def _put(specs: Specs, name: str, row: Row, faults: list[Fault]) -> None:
    if name in specs:
        faults.append({"field": row.pointer, "value": name, "message": f"“{row.name}” is described twice."})
        return
    spec: dict[str, Any] = {
        "type": row.type,
        "required": row.is_required,
        "aliases": _listed(row.aliases.split(",")),
        "enum": [_value(value, row.type) for value in _listed(row.enum.splitlines())],
        "pattern": row.pattern,
        "description": row.description,
    }
    for key in ("minimum", "maximum"):
        spec[key] = _value(getattr(row, key), "number")
    specs[name] = spec


def _listed(parts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(stripped for part in parts if (stripped := part.strip())))


def _value(text: str, kind: str) -> Any:
    """The text as the type says; as it is where it is none of that type, so that the fault can name it."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind not in ("number", "integer") or not text:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def attach_faults(rows: list[Row], faults: Iterable[Fault]) -> list[str]:
    """Put each fault at its row; the messages of those of no row are returned."""
    rest = []
    for fault in faults:
        pointer = fault["field"] + "."
        owners = [row for row in rows if pointer.startswith(row.pointer + ".")]
        if owners:
            max(owners, key=_depth).faults.append(fault["message"])
        else:
            rest.append(fault["message"])
    return rest


def _depth(row: Row) -> int:
    return len(row.pointer)
