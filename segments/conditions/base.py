"""What every kind of condition is: read from JSON, said in words, decided in SQL and in Python, explained, and timed."""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from cdp.registry import Registry
from segments.event_filter import EventFilter
from segments.form.fields import Field
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql
from segments.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a condition holds for one person or not.

    ``actual`` is what they have, in words; where it ``is_personal``, it is hidden from whoever may not see personal data.
    ``changes_at``: when time alone changes the answer.
    """

    text: str
    holds: bool
    actual: str = ""
    changes_at: datetime.datetime | None = None
    is_personal: bool = True


@dataclass(frozen=True, slots=True)
class Start:
    """A button of the builder that adds a condition: its text, and the condition's JSON to begin with."""

    label: str
    raw: dict[str, Any]
    order: int = 100


class Condition(ABC):
    """One condition. Instances are frozen and know what the names in the rule stand for.

    ``key`` names the kind in a rule (``{"tag": "vip"}``), ``label`` in the builder's list of kinds. ``form`` are its fields
    there (segments/form/fields.py); a kind without any is written as JSON. ``starts`` are its buttons; without any there is one
    called as the kind.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    form: ClassVar[tuple[Field, ...]] = ()
    starts: ClassVar[tuple[Start, ...]] = ()

    @classmethod
    @abstractmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        """Raises Invalid, with every place that is wrong."""

    @property
    @abstractmethod
    def json(self) -> dict[str, Any]:
        """As the rule is kept: what ``parse`` reads to the same condition."""

    @property
    @abstractmethod
    def words(self) -> str:
        """“country is Poland or Germany”: continues “people whose …”, with what *unknown* means where it matters."""

    @abstractmethod
    def sql(self, query: RuleQuery) -> Sql:
        """Whether it holds for the profile ``p``: true or false, never unknown."""

    @abstractmethod
    def holds(self, person: Person, moment: Moment) -> bool:
        """What ``sql`` says of them."""

    @abstractmethod
    def actual(self, person: Person, moment: Moment) -> str:
        """What they have instead, or why it holds, in words; empty where there is nothing to say."""

    @property
    def is_personal(self) -> bool:
        """Whether ``actual`` may identify or describe somebody: True unless the kind says that it cannot."""
        return True

    @property
    @abstractmethod
    def reads(self) -> Reads: ...

    @property
    def event_filters(self) -> Sequence[EventFilter]:
        """The events it names: their names get ids when a rule is published, before the first of them has happened."""
        return ()

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        """The moments, before and after, at which time alone may change what ``holds`` says. Most kinds have none."""
        return ()

    def next_change(self, person: Person, moment: Moment) -> datetime.datetime | None:
        """When time alone really changes the answer; None if it never does."""
        now = self.holds(person, moment)
        for at in sorted({at for at in self.breakpoints(person, moment) if at > moment.now}):
            if self.holds(person, moment.at(at)) != now:
                return at
        return None

    def explain(self, person: Person, moment: Moment) -> Finding:
        return Finding(
            self.words,
            self.holds(person, moment),
            self.actual(person, moment),
            self.next_change(person, moment),
            self.is_personal,
        )


kinds: Registry[type[Condition]] = Registry("The kind of condition")


def register(kind: type[Condition]) -> type[Condition]:
    """Class decorator: rules may have conditions of this kind from now on."""
    kinds.register(kind.key, kind)
    return kind


def after(moments: Iterable[datetime.datetime], now: datetime.datetime) -> Iterator[datetime.datetime]:
    return (moment for moment in moments if moment > now)
