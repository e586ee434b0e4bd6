"""What a kind of condition asks for → the inputs of the builder's form, from a part of a rule as JSON; and that JSON from what
was typed.

A condition's class names its fields in ``form``; the builder draws whatever they give. What was typed and does not fit stays in
the JSON as text, so nothing is lost, and ``parse`` says what is wrong with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segments.comparison import NUMBER, TEXT
from segments.form.values import as_input, lines, typed

if TYPE_CHECKING:
    from segments.form.suggestions import Suggestions

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Option:
    """``note`` says how often it is there: “1,204 people”."""

    value: str
    label: str
    note: str = ""

    @property
    def text(self) -> str:
        return f"{self.label} ({self.note})" if self.note else self.label


@dataclass(slots=True)
class Control:
    """One input. ``widget``: text, number, select, check, area, date, moment, hidden, or a button, which does ``value`` to the rule.

    ``key`` is the key of the rule's JSON it belongs to, whose faults are shown at it. ``reshapes``: another value asks for
    other inputs. ``before`` and ``after`` stand beside it as text; ``is_line``: it begins a line.
    """

    name: str
    label: str
    widget: str = "text"
    value: str = ""
    options: Sequence[Option] = ()
    key: str = ""
    reshapes: bool = False
    before: str = ""
    after: str = ""
    is_wide: bool = False
    is_line: bool = False
    id: str = ""
    is_wrong: bool = False
    has_focus: bool = False


@dataclass(frozen=True, slots=True)
class Posted:
    """What was typed in the inputs whose names begin with ``prefix``."""

    values: Mapping[str, str]
    prefix: str

    def get(self, name: str) -> str:
        return self.values.get(f"{self.prefix}{name}", "")

    def __contains__(self, name: str) -> bool:
        return f"{self.prefix}{name}" in self.values

    def of(self, name: str) -> Posted:
        return Posted(self.values, f"{self.prefix}{name}-")


@dataclass(frozen=True)
class Field(ABC):
    """A part of a condition's JSON as inputs. ``name`` is its key."""

    name: str
    label: str

    @abstractmethod
    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        """The inputs that show what is there."""

    @abstractmethod
    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        """Put into ``raw`` what was typed; fields before this one are there already."""


Source = Callable[[Raw, "Suggestions"], Sequence[Option]]


@dataclass(frozen=True)
class Choice(Field):
    """One of several. ``options`` are fixed, or asked of the data. ``is_number``: the JSON has it as a number.

    ``is_optional``: may be left out, which is called ``empty``.
    """

    options: Sequence[tuple[str, str]] | Source = ()
    default: str = ""
    before: str = ""
    reshapes: bool = False
    is_number: bool = False
    is_optional: bool = False
    empty: str = ""

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        value = raw.get(self.name)
        value = self.default if value is None else str(value)
        options = self._options(raw, suggestions)
        if self.is_optional:
            options = [Option("", self.empty), *options]
        if value not in {option.value for option in options}:
            gone = Option(value, f"{value} (not there any more)" if value else f"{self.label}…")
            options = [gone, *options]
        yield Control(self.name, self.label, "select", value, options, self.name, self.reshapes, self.before)

    def _options(self, raw: Raw, suggestions: Suggestions) -> list[Option]:
        if callable(self.options):
            return list(self.options(raw, suggestions))
        return [Option(value, label) for value, label in self.options]

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        value = posted.get(self.name) or self.default
        if not value and self.is_optional:
            return
        if value != self.default or not self.default:
            raw[self.name] = typed(value, NUMBER) if self.is_number else value


@dataclass(frozen=True)
class Fixed(Field):
    """What is always so and needs no input."""

    value: Any = None

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        return iter(())

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        raw[self.name] = self.value


@dataclass(frozen=True)
class Text(Field):
    """A text, with suggestions. ``is_optional``: left out where nothing is typed."""

    options: Source | None = None
    before: str = ""
    reshapes: bool = False
    is_optional: bool = False
    kind: str = TEXT

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        options = self.options(raw, suggestions) if self.options else ()
        yield Control(
            self.name,
            self.label,
            "text",
            as_input(raw.get(self.name), self.kind),
            options,
            self.name,
            self.reshapes,
            self.before,
        )

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        value = posted.get(self.name).strip()
        if value or not self.is_optional:
            raw[self.name] = typed(value, self.kind)


@dataclass(frozen=True)
class Number(Field):
    """A whole or decimal number."""

    before: str = ""
    after: str = ""
    is_optional: bool = False

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        value = as_input(raw.get(self.name), NUMBER)
        yield Control(
            self.name, self.label, "number", value, key=self.name, before=self.before, after=self.after
        )

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        value = posted.get(self.name).strip()
        if value or not self.is_optional:
            raw[self.name] = typed(value, NUMBER)


@dataclass(frozen=True)
class Flag(Field):
    """Yes or no; left out where it is no."""

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        yield Control(self.name, self.label, "check", "1" if raw.get(self.name) else "", key=self.name)

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        if posted.get(self.name):
            raw[self.name] = True


@dataclass(frozen=True)
class Lines(Field):
    """A list of texts, one a line."""

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        value = raw.get(self.name)
        text = "\n".join(map(str, value)) if isinstance(value, list) else str(value or "")
        yield Control(self.name, self.label, "area", text, key=self.name, is_wide=True)

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        raw[self.name] = lines(posted.get(self.name))


@dataclass(frozen=True)
class Nested(Field):
    """Fields of an object inside. ``question``: an input that says whether it is there at all."""

    fields: tuple[Field, ...] = ()
    question: str = ""

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        inner = raw.get(self.name)
        if self.question:
            yield Control(
                f"{self.name}-on",
                self.question,
                "check",
                "1" if isinstance(inner, dict) else "",
                key="" if isinstance(inner, dict) else self.name,
                reshapes=True,
                is_line=True,
            )
            if not isinstance(inner, dict):
                return
        inner = inner if isinstance(inner, dict) else {}
        for one in self.fields:
            for control in one.controls(inner, suggestions):
                control.name, control.key = f"{self.name}-{control.name}", self.name
                control.label = f"{self.label}: {control.label}"
                if control.widget == "button":
                    control.value = control.value.replace(":", f":{self.name}.", 1)
                yield control

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        if self.question and not posted.get(f"{self.name}-on"):
            return
        inner: Raw = {}
        for one in self.fields:
            one.read(posted.of(self.name), inner, suggestions)
        raw[self.name] = inner


@dataclass(frozen=True)
class Rows(Field):
    """A list of objects with the same fields, in an order that counts. ``start`` is what a new one has."""

    fields: tuple[Field, ...] = ()
    glue: str = "then"
    noun: str = "entry"

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        rows = raw.get(self.name)
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            prefix = f"{self.name}{index}-"
            yield Control(
                f"{prefix}is", "", "hidden", "1", before=self.glue if index else "", is_line=bool(index)
            )
            for one in self.fields:
                for control in one.controls(row if isinstance(row, dict) else {}, suggestions):
                    control.name, control.key = prefix + control.name, self.name
                    control.label = f"{self.noun} {index + 1}: {control.label}"
                    if control.widget == "button":
                        control.value = control.value.replace(":", f":{self.name}.{index}.", 1)
                    yield control
            yield Control(
                f"{prefix}remove",
                f"Remove {self.noun} {index + 1}",
                "button",
                f"drop:{self.name}:{index}",
                after="×",
            )
        yield Control(
            f"{self.name}-add", f"Add a {self.noun}", "button", f"more:{self.name}", after=f"+ {self.noun}"
        )

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        found: list[Raw] = []
        while f"{self.name}{len(found)}-is" in posted:
            row: Raw = {}
            for one in self.fields:
                one.read(posted.of(f"{self.name}{len(found)}"), row, suggestions)
            found.append(row)
        raw[self.name] = found
