"""Personal data: what every app declares about its tables → what privacy works with, without naming a table.

Each app registers one ``Provider``. Together they cover every model; of a table about people, every field has a
privacy class. A model or field that nobody declared fails the tests. The access file (GDPR Art. 15), masking and
deletion are driven by what stands here; erasing and anonymizing only add functions to ``Provider``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cdp.registry import Registry


class PrivacyClass(Enum):
    """IDENTIFYING says who somebody is, reaches them, or is free text that may; people without the right to
    see personal data get it masked. PERSONAL is about a person but identifies nobody by itself. TECHNICAL
    keeps a row in order: keys, versions, states of work.
    """

    IDENTIFYING = "identifying"
    PERSONAL = "personal"
    TECHNICAL = "technical"


@dataclass(frozen=True, slots=True)
class Table:
    """A model with rows about people, by its label (``profiles.Event``), and the class of each of its fields.

    ``not_exported`` names the fields that the access file leaves out, each with the reason. Primary keys say
    nothing and need none.
    """

    label: str
    identifying: Sequence[str] = ()
    personal: Sequence[str] = ()
    technical: Sequence[str] = ()
    not_exported: Mapping[str, str] = field(default_factory=dict)

    def classes(self) -> dict[str, PrivacyClass]:
        """Field → class. Raises ValueError for a field that is named twice."""
        named = [
            *((name, PrivacyClass.IDENTIFYING) for name in self.identifying),
            *((name, PrivacyClass.PERSONAL) for name in self.personal),
            *((name, PrivacyClass.TECHNICAL) for name in self.technical),
        ]
        classes = dict(named)
        if len(classes) != len(named):
            raise ValueError(f"A field of {self.label} has two privacy classes.")
        return classes


@dataclass(frozen=True)
class Subject:
    """Whom a request is about: the surviving profile and everybody merged into it (itself included)."""

    root_id: int
    member_ids: Sequence[int]


Part = Callable[[Any], dict[str, Any] | Iterable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the access file: what it says about itself, and what makes it of a ``Subject``."""

    text: str
    make: Part
    order: int


@dataclass(frozen=True, slots=True)
class Provider:
    """What one app holds of people.

    ``not_personal``: label → why the table is not in the access file. ``delete(profile_ids)`` runs in the
    transaction that deletes these profiles: what must not outlive that, although a deletion can be taken back.
    """

    tables: Sequence[Table] = ()
    not_personal: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, Section] = field(default_factory=dict)
    delete: Callable[[Sequence[int]], Any] | None = None


providers: Registry[Provider] = Registry("The provider of personal data")


def tables() -> dict[str, Table]:
    """Label → declaration, of all apps."""
    return {table.label: table for provider in providers for table in provider.tables}


def not_personal() -> dict[str, str]:
    """Label → reason, of all apps."""
    return {label: reason for provider in providers for label, reason in provider.not_personal.items()}


def sections() -> dict[str, Section]:
    """The parts of the access file, in their order."""
    parts = [item for provider in providers for item in provider.sections.items()]
    return dict(sorted(parts, key=lambda item: item[1].order))


def delete(profile_ids: Sequence[int]) -> None:
    """Run every app's part of a deletion, within the caller's transaction."""
    for provider in providers:
        if provider.delete is not None:
            provider.delete(profile_ids)


def undeclared(models: Iterable[Any]) -> Iterator[str]:
    """``label`` or ``label.field`` of everything in these models that no app declared, or declared wrongly."""
    declared, exempt = tables(), not_personal()
    for model in models:
        label = model._meta.label
        if (label in declared) == (label in exempt):
            yield label
        elif label in declared:
            fields = {column.name for column in model._meta.concrete_fields}
            yield from (f"{label}.{name}" for name in sorted(fields ^ declared[label].classes().keys()))
            yield from (f"{label}.{name}" for name in sorted(declared[label].not_exported.keys() - fields))
