"""What the modules that fill layouts share: who is in a file, and how tools write moments, numbers and addresses."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tests.imports.layouts.people import Person

Cells = dict[str, str]  # header → cell; what is not there is an empty cell, "#8" is the eighth column


@dataclass(frozen=True)
class Filling:
    """How a file is filled. `without_email` and `twice` as for `people`."""

    fill: Callable[[Person], Cells]
    countries: str  # codes, separated by spaces
    without_email: tuple[int, ...] = ()
    twice: bool = False


def moment(when: datetime | None) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S") if when else ""


def iso_moment(when: datetime | None) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S+00:00") if when else ""


def birth(person: Person, pattern: str = "%Y-%m-%d") -> str:
    return person.birth.strftime(pattern) if person.birth else ""


def spaced(person: Person) -> str:
    return person.phone.spaced if person.phone else ""


def other_e164(person: Person) -> str:
    return person.other_phone.e164 if person.other_phone else ""


def ip(person: Person) -> str:
    """From the addresses kept free for examples."""
    return f"203.0.113.{person.number + 10}"


def money(amount: float) -> str:
    return f"{amount:.2f}"


def local_money(amount: float) -> str:
    """With a point between thousands and a decimal comma."""
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
