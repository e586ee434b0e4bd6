"""A raw description of an event's properties → specs fit to store, and every fault at once. Pure."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from profiles.tracking.schemas.validator import KEYS, TYPES, Specs, compile_schema

MAX_PROPERTIES = 200
MAX_NAME = 100
MAX_LISTED = 200

Fault = dict[str, Any]  # {"field", "value", "message"}


def clean_specs(raw: Any) -> tuple[Specs, list[Fault]]:
    """``{name: spec}`` in the one form that is stored (nothing empty), and what is wrong with it.

    ``field`` of a fault is like ``properties.price.minimum``. With faults the specs are not fit to store.
    """
    return _clean(raw, "properties", is_inner=False)


def _clean(raw: Any, path: str, *, is_inner: bool) -> tuple[Specs, list[Fault]]:
    if not isinstance(raw, dict):
        return {}, [_fault(path, raw, "Describe the properties as an object: a name, then what it is.")]
    faults: list[Fault] = []
    if len(raw) > MAX_PROPERTIES:
        return {}, [_fault(path, len(raw), f"At most {MAX_PROPERTIES} properties; these are {len(raw):,}.")]
    specs: Specs = {}
    for name, spec in raw.items():
        cleaner = _SpecCleaner(name, spec, f"{path}.{name}", is_inner=is_inner)
        specs[name] = cleaner.clean()
        faults += cleaner.faults
    faults += _clashes(specs, path)
    return specs, faults


def _clashes(specs: Specs, path: str) -> list[Fault]:
    """One spelling cannot mean two properties."""
    faults = []
    taken: dict[str, str] = {name: name for name in specs}
    for name, spec in specs.items():
        for alias in spec.get("aliases", ()):
            owner = taken.setdefault(alias, name)
            if owner == alias:
                message = f"“{alias}” is a property itself, so it cannot be another spelling of “{name}”."
            elif owner != name:
                message = f"“{alias}” is another spelling of “{owner}” already."
            else:
                continue
            faults.append(_fault(f"{path}.{name}.aliases", alias, message))
    return faults


class _SpecCleaner:
    def __init__(self, name: str, raw: Any, path: str, *, is_inner: bool) -> None:
        self.name, self.raw, self.path, self.is_inner = name, raw, path, is_inner
        self.made: dict[str, Any] = {}
        self.faults: list[Fault] = []

    def clean(self) -> dict[str, Any]:
        if not self.name.strip() or len(self.name) > MAX_NAME or self.name != self.name.strip():
            message = f"A property's name has 1 to {MAX_NAME} characters, without spaces around it."
            self.fault("", self.name, message)
        if not isinstance(self.raw, dict):
            self.fault("", self.raw, f"Say what “{self.name}” is: an object with a “type”.")
            return {}
        for key in self.raw:
            if key not in KEYS:
                self.fault(
                    key, self.raw[key], f"There is no “{key}” of a property. Known: {', '.join(KEYS)}."
                )
        self._type()
        self._required()
        self._listed("aliases")
        self._enum()
        self._bounds()
        self._pattern()
        self._text()
        self._items()
        return self.made

    def given(self, key: str) -> Any:
        value = self.raw.get(key)
        return None if value in (None, "", [], {}) else value

    def fault(self, key: str, value: Any, message: str) -> None:
        path = f"{self.path}.{key}" if key else self.path
        self.faults.append(_fault(path, value, message))

    def _type(self) -> None:
        kind = self.given("type")
        if kind is None:
            return
        if not isinstance(kind, str) or kind not in TYPES:
            self.fault("type", kind, f"The type of “{self.name}” is one of {', '.join(TYPES)}.")
            return
        self.made["type"] = kind

    def _required(self) -> None:
        required = self.raw.get("required", False)
        if required is not None and not isinstance(required, bool):
            self.fault("required", required, f"Whether “{self.name}” is required is true or false.")
        elif required:
            self.made["required"] = True

    def _listed(self, key: str) -> list[str]:
        listed = self.given(key)
        if listed is None:
            return []
        if (
            not isinstance(listed, list)
            or len(listed) > MAX_LISTED
            or not all(isinstance(entry, str) and 0 < len(entry) <= MAX_NAME for entry in listed)
        ):
            message = f"The {key} of “{self.name}” are a list of texts, at most {MAX_LISTED} of {MAX_NAME} characters."
            self.fault(key, listed, message)
            return []
        self.made[key] = list(dict.fromkeys(listed))
        value: list[str] = self.made[key]
        return value

    def _enum(self) -> None:
        allowed = self.given("enum")
        if allowed is None:
            return
        if (
            not isinstance(allowed, list)
            or len(allowed) > MAX_LISTED
            or not all(isinstance(entry, (str, int, float, bool)) for entry in allowed)
        ):
            message = (
                f"The allowed values of “{self.name}” are a list of at most {MAX_LISTED} texts or numbers."
            )
            self.fault("enum", allowed, message)
            return
        kind = self.made.get("type", "")
        if kind in ("array", "object", "datetime"):
            self.fault("enum", allowed, f"The type of “{self.name}” cannot have allowed values.")
            return
        wrong = [entry for entry in allowed if kind and not _is_a(kind, entry)]
        if wrong:
            self.fault(
                "enum", wrong[0], f"The allowed value {wrong[0]!r} of “{self.name}” is not {TYPES[kind]}."
            )
            return
        self.made["enum"] = list(dict.fromkeys(allowed))

    def _bounds(self) -> None:
        for key in ("minimum", "maximum"):
            bound = self.given(key)
            if bound is None:
                continue
            if not _is_a("number", bound):
                self.fault(key, bound, f"The {key} of “{self.name}” is a number.")
            elif self.made.get("type") not in ("number", "integer"):
                self.fault(key, bound, f"A {key} is for numbers; “{self.name}” is not a number.")
            else:
                self.made[key] = bound
        if self.made.get("minimum", 0) > self.made.get("maximum", self.made.get("minimum", 0)):
            self.fault("maximum", self.made["maximum"], f"The maximum of “{self.name}” is below its minimum.")

    def _pattern(self) -> None:
        pattern = self.given("pattern")
        if pattern is None:
            return
        if not isinstance(pattern, str) or len(pattern) > 500:
            self.fault(
                "pattern", pattern, f"The pattern of “{self.name}” is a text of at most 500 characters."
            )
        elif self.made.get("type") != "string":
            self.fault("pattern", pattern, f"A pattern is for text; “{self.name}” is not text.")
        else:
            self.made["pattern"] = pattern
            try:
                compile_schema("", {self.name: {"type": "string", "pattern": pattern}})
            except (jsonschema_rs.ValidationError, ValueError):
                message = (
                    f"The pattern of “{self.name}” is not a regular expression we can run (no look-around,"
                    " no back-references)."
                )
                self.fault("pattern", pattern, message)

    def _text(self) -> None:
        description = self.given("description")
        if description is None:
            return
        if not isinstance(description, str) or len(description) > 1000:
            self.fault("description", description, f"The description of “{self.name}” is a text.")
        else:
            self.made["description"] = description

    def _items(self) -> None:
        inner = self.given("items")
        if inner is None:
            return
        if self.is_inner:
            self.fault("items", None, f"“{self.name}” is inside a list already; one level can be described.")
        elif self.made.get("type") != "array":
            self.fault("items", None, f"Entries are for lists; “{self.name}” is not a list.")
        else:
            self.made["items"], faults = _clean(inner, f"{self.path}.items", is_inner=True)
            self.faults += faults


def _is_a(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind == "string":
        return isinstance(value, str)
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, (int, float)) and value == value and abs(value) < 1e300


def _fault(field: str, value: Any, message: str) -> Fault:
    return {"field": field, "value": value, "message": message}
