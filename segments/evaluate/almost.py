"""A segment's rule → who is almost in: whoever meets every part of its outermost group but one, and which one that is."""

from __future__ import annotations

from dataclasses import dataclass

from cdp.errors import RuleForbids
from cdp.limits import time_limit
from segments.evaluate.moment import current_moment
from segments.evaluate.preview import WORK_MEM, ask
from segments.evaluate.statements import almost_statement
from segments.rules.tree import Part, Rule

MILLISECONDS = 10_000


@dataclass(frozen=True, slots=True)
class Missing:
    """A person, and the one part of the rule that keeps them out."""

    profile_id: int
    part: Part


def almost_in(rule: Rule, segment_id: int, *, before: int | None = None, limit: int) -> list[Missing]:
    """The newest first, those before the id ``before``; without whom somebody put in or keeps out by hand. Two queries.

    Raises RuleForbids for a rule that does not begin with *all*, TooSlow.
    """
    if rule.group.kind != "all":
        raise RuleForbids(
            "Who is almost in can be said of rules that begin with “all” alone: of others, one condition decides nothing."
        )
    parts = rule.group.live_parts
    with time_limit(MILLISECONDS, work_mem=WORK_MEM):
        rows = ask(almost_statement(rule, segment_id, before, limit), current_moment())
    return [Missing(pk, parts[signature.index("0")]) for pk, signature in rows]
