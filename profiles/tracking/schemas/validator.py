"""Property specs of one event name → a compiled validator whose errors are sentences. Pure.

A spec is what EventSchema.properties holds for one property. A schema is compiled to JSON Schema and run by
jsonschema-rs; aliases, times and the sentences are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from cdp.patterns import LINEAR
from profiles.tracking.parse.clock import parse_time
from profiles.tracking.parse.item_types import ItemProblem

TYPES: dict[str, str] = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "datetime": "a time",
    "array": "a list",
    "object": "an object",
}
LABELS: dict[str, str] = {
    "string": "Text",
    "number": "Number",
    "integer": "Whole number",
    "boolean": "Yes or no",
    "datetime": "Date and time",
    "array": "List",
    "object": "Object",
}
KEYS = ("type", "required", "aliases", "enum", "minimum", "maximum", "pattern", "description", "items")
# Of all codes of problems, those that are about schemas.
CODE = "schema_violation"
# An item may break a rule in every entry of a long list; only so many errors are listed.
MAX_PROBLEMS = 20

Specs = dict[str, dict[str, Any]]
_NUMBER = re.compile(r"\s*-?[0-9]+(?:[.,][0-9]+)?\s*")


def _is_time(text: str) -> bool:
    return parse_time(text) is not None


_FORMATS = {"moment": _is_time}


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """One schema, compiled. ``aliases`` maps other spellings to a name, ``inner`` those inside of lists."""

    name: str
    specs: Specs
    validator: Any
    aliases: dict[str, str]
    inner: dict[str, dict[str, str]]

    def renamed(self, properties: dict[str, Any]) -> dict[str, Any]:
        """The properties under the names the schema gives them; the same object where nothing is to rename.

        A name that has a value of its own keeps it, and the other spelling stays beside it.
        """
        if self.aliases and not self.aliases.keys().isdisjoint(properties):
            properties = _renamed(properties, self.aliases)
        for name, aliases in self.inner.items():
            entries = properties.get(name)
            if isinstance(entries, list) and any(_needs(entry, aliases) for entry in entries):
                made = [_renamed(entry, aliases) if _needs(entry, aliases) else entry for entry in entries]
                properties = {**properties, name: made}
        return properties

    def problems(self, properties: dict[str, Any]) -> tuple[ItemProblem, ...]:
        """What breaks the schema, in the order of its properties; empty for most."""
        if self.validator.is_valid(properties):
            return ()
        return tuple(self._describe_errors(properties))

    def _describe_errors(self, properties: dict[str, Any]) -> Iterator[ItemProblem]:
        seen: set[str] = set()
        for error in self.validator.iter_errors(properties):
            path = list(error.instance_path)
            keyword = error.schema_path[-1]
            if keyword == "required":
                path, value = [*path, error.kind.property], None
            else:
                value = error.instance
            pointer = "/properties/" + "/".join(
                str(part).replace("~", "~0").replace("/", "~1") for part in path
            )
            if pointer in seen:
                continue
            seen.add(pointer)
            message = self._sentence(path, keyword, value)
            yield {"pointer": pointer, "value": _problem_value(value), "message": message, "code": CODE}
            if len(seen) == MAX_PROBLEMS:
                return

    def _sentence(self, path: list[Any], keyword: str, value: Any) -> str:
        spec, label = self._spec_at(path)
        if value is None or keyword == "minLength":
            return f"{self.name} needs {label}, which is {'missing' if value is None else 'empty'}."
        if keyword in ("type", "format"):
            return f"{label[0].upper()}{label[1:]} is {_quoted(value)}; {_expected(spec, value)}"
        if keyword == "enum":
            allowed = ", ".join(map(str, spec["enum"]))
            return f"{label[0].upper()}{label[1:]} is {_quoted(value)}; allowed are {allowed}."
        if keyword in ("minimum", "maximum"):
            word = "at least" if keyword == "minimum" else "at most"
            return f"{label[0].upper()}{label[1:]} is {_quoted(value)}; it must be {word} {spec[keyword]}."
        return (
            f"{label[0].upper()}{label[1:]} is {_quoted(value)}, which does not match {spec.get('pattern')}."
        )

    def _spec_at(self, path: list[Any]) -> tuple[dict[str, Any], str]:
        spec = self.specs[path[0]]
        if len(path) == 1:
            return spec, f"“{path[0]}”"
        entry = f"entry {path[1] + 1} of “{path[0]}”"
        if len(path) == 2:
            return {"type": "object"}, entry
        return spec["items"][path[2]], f"“{path[2]}” in {entry}"


def compile_schema(name: str, specs: Specs) -> CompiledSchema:
    """A schema made runnable. Raises jsonschema_rs.ValidationError for specs that ``faults`` would name."""
    inner = {key: _aliases(spec["items"]) for key, spec in specs.items() if spec.get("items")}
    return CompiledSchema(
        name,
        specs,
        jsonschema_rs.validator_for(
            json_schema(specs), formats=_FORMATS, validate_formats=True, pattern_options=LINEAR
        ),
        _aliases(specs),
        {key: aliases for key, aliases in inner.items() if aliases},
    )


def json_schema(specs: Specs) -> dict[str, Any]:
    """The specs as JSON Schema; names not listed are allowed, null counts as not given."""
    return {
        "type": "object",
        "required": [name for name, spec in specs.items() if spec.get("required")],
        "properties": {name: _property(spec) for name, spec in specs.items()},
    }


def _property(spec: dict[str, Any]) -> dict[str, Any]:
    made = {key: spec[key] for key in ("minimum", "maximum", "pattern") if spec.get(key) not in (None, "")}
    kind = spec.get("type")
    required = bool(spec.get("required"))
    if kind:
        json_type = "string" if kind == "datetime" else kind
        made["type"] = json_type if required else [json_type, "null"]
    if kind == "datetime":
        made["format"] = "moment"
    if spec.get("enum"):
        made["enum"] = spec["enum"] if required else [*spec["enum"], None]
    if required and kind in ("string", "datetime"):
        made["minLength"] = 1
    if required and not kind and not spec.get("enum"):
        made["type"] = ["string", "number", "boolean", "array", "object"]
    if spec.get("items"):
        made["items"] = json_schema(spec["items"])
    return made


def _aliases(specs: Specs) -> dict[str, str]:
    return {alias: name for name, spec in specs.items() for alias in spec.get("aliases") or ()}


def _needs(entry: Any, aliases: dict[str, str]) -> bool:
    return isinstance(entry, dict) and not aliases.keys().isdisjoint(entry)


def _renamed(properties: dict[str, Any], aliases: dict[str, str]) -> dict[str, Any]:
    taken = {name for name, value in properties.items() if name not in aliases and value not in (None, "")}
    made: dict[str, Any] = {}
    for name, value in properties.items():
        target = aliases.get(name)
        if target is not None and target not in taken and value not in (None, ""):
            taken.add(target)
            made[target] = value
        elif name not in made:
            made[name] = value
    return made


def _expected(spec: dict[str, Any], value: Any) -> str:
    kind = spec.get("type", "")
    if kind in ("number", "integer") and isinstance(value, str) and _NUMBER.fullmatch(value):
        return f"send it as a number, without quotes: {value.strip().replace(',', '.')}."
    if kind == "string" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'send it as text, in quotes: "{value}".'
    if kind == "datetime":
        return "it must be a time like 2024-01-05T10:10:10Z."
    return f"it must be {TYPES.get(kind, 'a value')}."


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f"the text “{value[:60]}{'…' if len(value) > 60 else ''}”"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return f"the number {value}"


def _problem_value(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return value[:255] if isinstance(value, str) else value
