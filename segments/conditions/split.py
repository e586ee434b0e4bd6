"""``{"split": {"of": 100, "from": 0, "to": 50, "salt": "spring sale"}}``: a random part of all people, the same at any time.

Everybody belongs to one of the parts 0 to ``of`` − 1; in are those from ``from`` up to, but without ``to``. It hangs on the
profile's number and the ``salt`` alone: the same salt gives the same parts, in every segment; another one parts independently.
After a merge the surviving profile's number counts.

Squares modulo a prime below 2^31: whole numbers below 2^63, which every SQL engine computes alike.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from sqlglot import exp

from segments.conditions.base import Condition, register
from segments.moments import Moment
from segments.nodes import Node, all_problems
from segments.person import NOTHING, Person, Reads
from segments.query import ROOT, RuleQuery, Sql, both, compare, fragment
from segments.vocabulary import Vocabulary

PRIME = 2**31 - 1
ROUNDS = 3
MOST_PARTS = 10_000
MOST_SALT = 100


@register
@dataclass(frozen=True)
class SplitCondition(Condition):
    of: int
    first: int
    end: int
    salt: str

    key = "split"
    label = "Random part"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("split")
        split = node.child("split")
        split.only("of", "from", "to", "salt")
        of = split.whole("of", least=2, most=MOST_PARTS)
        first, end, salt = all_problems(
            [
                lambda: split.whole("from", most=of - 1),
                lambda: split.whole("to", least=1, most=of),
                lambda: split.text("salt", most=MOST_SALT),
            ]
        )
        if first >= end:
            split.refuse(
                "to", "This number must be larger than “from”: the part it names is the first that is out."
            )
        return cls(of, first, end, salt)

    @property
    def json(self) -> dict[str, Any]:
        return {"split": {"of": self.of, "from": self.first, "to": self.end, "salt": self.salt}}

    @property
    def words(self) -> str:
        """“is among 50 of 100 random parts (0 to 49 by “spring sale”)”."""
        which = f"{self.first:,}" if self.end - self.first == 1 else f"{self.first:,} to {self.end - 1:,}"
        return f"is among {self.end - self.first:,} of {self.of:,} random parts ({which} by “{self.salt}”)"

    @property
    def reads(self) -> Reads:
        return NOTHING

    def holds(self, person: Person, moment: Moment) -> bool:
        return self.first <= part_of(person.id, self.of, self.salt) < self.end

    def actual(self, person: Person, moment: Moment) -> str:
        return f"is in part {part_of(person.id, self.of, self.salt):,}"

    def sql(self, query: RuleQuery) -> Sql:
        prime = query.value(PRIME, "bigint")
        number = _mod(fragment(f"{ROOT}.id"), prime)
        for times, plus in _constants(self.salt):
            parts = {"n": number, "times": query.value(times, "bigint"), "plus": query.value(plus, "bigint")}
            number = _mod(fragment("{n} * {n} + {n} * {times} + {plus}", **parts), prime)
        part = _mod(number, query.value(self.of, "bigint"))
        return both(
            [
                compare(part, "gte", query.value(self.first, "bigint")),
                compare(part.copy(), "lt", query.value(self.end, "bigint")),
            ]
        )


def part_of(profile_id: int, of: int, salt: str) -> int:
    """Which of the parts a profile belongs to."""
    number = profile_id % PRIME
    for times, plus in _constants(salt):
        number = (number * number + number * times + plus) % PRIME
    return number % of


@lru_cache(maxsize=100)
def _constants(salt: str) -> tuple[tuple[int, int], ...]:
    """A factor and a summand for each round, from the salt."""
    digest = hashlib.sha256(salt.encode()).digest()
    numbers = [int.from_bytes(digest[at : at + 4]) % PRIME for at in range(0, 8 * ROUNDS, 4)]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _mod(number: Sql, divisor: Sql) -> Sql:
    # As a function: a per cent sign would begin a parameter.
    return exp.Anonymous(this="MOD", expressions=[number.copy(), divisor.copy()])
