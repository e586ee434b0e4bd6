"""A rule → exactly how many people it means, ten of them, and what each of its conditions keeps out. Nothing is stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection

from cdp.limits import time_limit
from segments.evaluate.moment import current_moment
from segments.evaluate.statements import count_statement, part_statement, signature_statement
from segments.moments import Moment
from segments.query import Statement
from segments.rules.tree import Rule

SAMPLE = 10
# A subquery of a million ids is hashed; with PostgreSQL's 4 MB it would be searched row by row.
WORK_MEM = "256MB"
MILLISECONDS = 1_500
# Above this the rule is asked about everybody at once: reading all is quicker than looking up that many.
FEW = 20_000


@dataclass(frozen=True, slots=True)
class Counted:
    """``people`` exactly, ``recognized`` among them; ``sample_ids`` of the newest ten; ``ms`` the database took."""

    people: int
    recognized: int
    sample_ids: tuple[int, ...]
    ms: int

    @property
    def anonymous(self) -> int:
        return self.people - self.recognized


@dataclass(frozen=True, slots=True)
class Kept:
    """What one part of the rule's outermost group does, over all people.

    ``passed``: left after this line, in the order shown. ``alone_out``: whom it alone keeps out. ``fails``: for whom it
    does not hold; these overlap.
    """

    text: str
    passed: int
    alone_out: int
    fails: int


def ask(statement: Statement, moment: Moment, ids: Sequence[int] | None = None) -> list[tuple[Any, ...]]:
    """The rows of a statement as of the moment. One query."""
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.params(moment, ids))
        return list(cursor.fetchall())


def count_people(rule: Rule, *, milliseconds: int = MILLISECONDS) -> Counted:
    """Raises TooSlow."""
    began = time.monotonic()
    with time_limit(milliseconds, work_mem=WORK_MEM):
        moment = current_moment()
        ids = few_candidates(rule, moment)
        statement = count_statement(rule, is_scoped=ids is not None, sample=SAMPLE)
        ((recognized, people, newest),) = ask(statement, moment, ids)
    ms = round(1000 * (time.monotonic() - began))
    return Counted(people, recognized, tuple(newest or ()), ms)


def few_candidates(rule: Rule, moment: Moment) -> list[int] | None:
    """Whoever meets the part of an outermost *all* that the fewest are expected to meet; None where they are many.

    The rest of the rule is then asked about them alone, by the indexes on profiles: “in a cart today, and never bought”
    reads no orders of anybody else. One EXPLAIN a part, and one query.
    """
    parts, reads = rule.group.live_parts, rule.reads
    if rule.group.kind != "all" or len(parts) < 2 or not (reads.events or reads.all_events):
        return None  # without events the tables are small: reading them once is quicker
    guesses = [_guess(part_statement(rule, index, FEW + 1), moment) for index in range(len(parts))]
    fewest = min(guesses)
    if fewest > FEW:
        return None
    rows = ask(part_statement(rule, guesses.index(fewest), FEW + 1), moment)
    return [pk for (pk,) in rows] if len(rows) <= FEW else None


def _guess(statement: Statement, moment: Moment) -> int:
    """How many rows the planner expects, up to the limit of the statement."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement.text}", statement.params(moment))
        (plan,) = cursor.fetchone()
    plans = orjson.loads(plan) if isinstance(plan, str) else plan
    return int(plans[0]["Plan"]["Plan Rows"])


def what_keeps_out(rule: Rule, *, milliseconds: int = MILLISECONDS) -> list[Kept]:
    """For each part of the outermost group that is on. One scan over everybody. Raises TooSlow."""
    with time_limit(milliseconds, work_mem=WORK_MEM):
        counts = dict(ask(signature_statement(rule), current_moment()))
    parts = rule.group.live_parts
    if rule.group.kind != "all":
        return _of_alternatives(rule, counts)
    kept = []
    for index, part in enumerate(parts):
        passed = sum(people for sig, people in counts.items() if "0" not in sig[: index + 1])
        alone = sum(people for sig, people in counts.items() if sig.count("0") == 1 and sig[index] == "0")
        fails = sum(people for sig, people in counts.items() if sig[index] == "0")
        kept.append(Kept(part.words, passed, alone, fails))
    return kept


def _of_alternatives(rule: Rule, counts: dict[str, int]) -> list[Kept]:
    """Of *any*: how many are in by this line or one before it, and for how many it does not hold. None alone keeps
    somebody out; of *none* each line that holds does.
    """
    kept = []
    is_none = rule.group.kind == "none"
    for index, part in enumerate(rule.group.live_parts):
        by_now = sum(people for sig, people in counts.items() if "1" in sig[: index + 1])
        passed = sum(counts.values()) - by_now if is_none else by_now
        alone = (
            sum(people for sig, people in counts.items() if sig.count("1") == 1 and sig[index] == "1")
            if is_none
            else 0
        )
        wanted = "1" if is_none else "0"
        fails = sum(people for sig, people in counts.items() if sig[index] == wanted)
        kept.append(Kept(part.words, passed, alone, fails))
    return kept
