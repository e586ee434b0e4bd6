"""What must hold of the data at any moment: the checks apps registered → the violations there are.

``manage.py doctor`` prints them and, with ``--fix``, runs the registered repairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import connection

from cdp import audit_chain
from cdp.registry import Registry


@dataclass(frozen=True, slots=True)
class Violation:
    """``sample_ids`` are up to ten of the ``count`` rows; ``fix`` is what to do about it."""

    name: str
    count: int
    fix: str
    sample_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Invariant:
    """``sql`` selects the id of everything that breaks it, one column, each id once."""

    name: str
    sql: str
    fix: str

    def check(self) -> Violation | None:
        """Held against the whole database. One query."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*), (array_agg(id ORDER BY id))[1:10] FROM ({self.sql}) broken (id)"
            )
            count, ids = cursor.fetchone()
        return Violation(self.name, count, self.fix, ids) if count else None


# By name: a function that gives the violation, or None while all is well.
invariants: Registry[Callable[[], Violation | None]] = Registry("The invariant")
# Derive again what is derived from other rows; each gives the number of rows that were wrong.
repairs: Registry[Callable[[], int]] = Registry("The repair")

AUDIT = "the audit log is as it was written"


def register_invariants(*rules: Invariant) -> None:
    for rule in rules:
        invariants.register(rule.name, rule.check)


def violations() -> list[Violation]:
    """Everything that does not hold, in the order of registration; empty when all is well."""
    return [violation for check in invariants if (violation := check()) is not None]


def repair() -> int:
    """Run every repair; how many rows were wrong."""
    return sum(run() for run in repairs)


def check_audit() -> Violation | None:
    """The chain of the audit log, recomputed in constant memory."""
    verified = audit_chain.verify()
    if verified.holds:
        return None
    fix = f"{verified.reason} Compare with the chain's heads in the process logs and with a backup."
    return Violation(AUDIT, 1, fix, [verified.broken_id or 0])
