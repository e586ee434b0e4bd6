"""A rule → the SQL statements that ask it, with parameters for any moment; kept per rule, since the text never changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp

from segments.query import ROOT, RuleQuery, Sql, Statement, fragment
from segments.rules.tree import Rule

# The pick that counts for a person whose merged profiles have several: the latest.
_PICKS = (
    "SELECT DISTINCT ON (m.canonical_id) m.canonical_id AS id, h.is_in AS is_in FROM segments_handpick h"
    " JOIN profiles_profile m ON m.id = h.profile_id WHERE h.segment_id = {segment}"
    " ORDER BY m.canonical_id, h.created_at DESC, h.id DESC"
)


@dataclass(frozen=True)
class _Asked:
    """A rule and the segment whose hand picks count, as a key of the cache.

    ``text`` is all the rule is made of, with what its names stand for: an event name gets its id with its first event, an
    attribute may get another type, a channel another kind of address.
    """

    rule: Rule | None
    text: str
    segment_id: int | None

    def __hash__(self) -> int:
        return hash((self.text, self.segment_id))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and (self.text, self.segment_id) == (other.text, other.segment_id)


def _asked(rule: Rule | None, segment_id: int | None) -> _Asked:
    return _Asked(rule, repr(rule), segment_id)


def _is_in(query: RuleQuery, asked: _Asked) -> tuple[Sql, str | None]:
    """Whether the profile p is in, hand picks counted; and the subquery of the picks, to be joined as h."""
    rule_says: Sql = exp.false() if asked.rule is None else asked.rule.sql(query)
    if asked.segment_id is None:
        return rule_says, None
    picks = query.subquery(fragment(_PICKS, segment=query.value(asked.segment_id, "bigint")))
    return fragment("COALESCE(h.is_in, {rule})", rule=rule_says), picks


def _people(query: RuleQuery, picks: str | None, *columns: str | Sql) -> exp.Select:
    select = query.everybody(*columns)
    return select if picks is None else select.join(f"{picks} AS h ON h.id = {ROOT}.id", join_type="left")


@lru_cache(maxsize=500)
def _count(asked: _Asked, is_scoped: bool, sample: int) -> Statement:
    query = RuleQuery(is_scoped=is_scoped)
    is_in, picks = _is_in(query, asked)
    found = _people(query, picks, "p.id AS id", "p.is_recognized AS recognized").where(is_in)
    # Found once, and read twice.
    query.subqueries["found"] = found
    newest = exp.select("id").from_("found").order_by("id DESC").limit(sample).subquery("newest")
    ids = exp.select("array_agg(id ORDER BY id DESC)").from_(newest)
    counts = ("count(*) FILTER (WHERE recognized)", "count(*)", exp.alias_(ids.subquery(), "newest"))
    return query.finish(exp.select(*counts).from_("found"))


def count_statement(
    rule: Rule | None, segment_id: int | None = None, *, is_scoped: bool = False, sample: int = 10
) -> Statement:
    """``(recognized, all, ids of the newest)`` people; of the profiles ``ids`` alone where it is scoped."""
    return _count(_asked(rule, segment_id), is_scoped, sample)


@lru_cache(maxsize=500)
def _part_members(asked: _Asked, index: int, limit: int) -> Statement:
    query = RuleQuery()
    part = asked.rule.group.live_parts[index] if asked.rule else None
    holds = exp.false() if part is None else part.sql(query)
    return query.finish(query.everybody("p.id").where(holds).limit(limit))


def part_statement(rule: Rule, index: int, limit: int) -> Statement:
    """``(id)`` of whoever meets one part of the outermost group, of those that are on; at most ``limit``."""
    return _part_members(_asked(rule, None), index, limit)


@lru_cache(maxsize=500)
def _members(asked: _Asked) -> Statement:
    query = RuleQuery()
    is_in, picks = _is_in(query, asked)
    return query.finish(_people(query, picks, "p.id").where(is_in))


def members_statement(rule: Rule | None, segment_id: int | None = None) -> Statement:
    """``(id)`` of everybody who is in, in no order."""
    return _members(_asked(rule, segment_id))


@lru_cache(maxsize=1_000)
def _verdicts(asked: _Asked, is_scoped: bool) -> Statement:
    query = RuleQuery(is_scoped=is_scoped, with_next=True)
    is_in, picks = _is_in(query, asked)
    if not query.next_checks:
        select = _people(query, picks, "p.id", exp.alias_(is_in, "is_in"), "NULL::timestamptz AS next")
        return query.finish(select if is_scoped else select.where(is_in.copy()))
    union = " UNION ALL ".join(
        f"SELECT id, next FROM {name} WHERE NOT next IS NULL" for name in query.next_checks
    )
    timers = query.subquery(fragment(f"SELECT id, min(next) AS next FROM ({union}) t GROUP BY id"))
    select = _people(query, picks, "p.id", exp.alias_(is_in, "is_in"), "n.next")
    select = select.join(f"{timers} AS n ON n.id = p.id", join_type="left")
    if not is_scoped:
        select = select.where(fragment("{is_in} OR NOT n.next IS NULL", is_in=is_in.copy()))
    return query.finish(select)


def verdict_statement(rule: Rule | None, segment_id: int, *, is_scoped: bool) -> Statement:
    """``(id, is in, when to look again)``: of the profiles ``ids``, or of everybody who is in or has to be looked at again.

    Profiles that are no surviving ones are in no row.
    """
    return _verdicts(_asked(rule, segment_id), is_scoped)


def _signature(rule: Rule, query: RuleQuery) -> Sql:
    parts = [part.sql(query) for part in rule.group.live_parts]
    bits = [fragment("CASE WHEN {part} THEN '1' ELSE '0' END", part=part) for part in parts]
    signature: Sql = bits[0]
    for bit in bits[1:]:
        signature = exp.DPipe(this=signature, expression=bit)
    return signature


def signature_statement(rule: Rule) -> Statement:
    """``(a digit 1 or 0 per part of the outermost group that is on, people)``."""
    query = RuleQuery()
    inner = query.everybody(exp.alias_(_signature(rule, query), "sig"))
    return query.finish(exp.select("sig", "count(*)").from_(inner.subquery("x")).group_by("sig"))


# Whom somebody put in or keeps out by hand: no rule decides about them.
_PICKED = (
    "NOT p.id IN (SELECT m.canonical_id FROM segments_handpick h JOIN profiles_profile m ON m.id = h.profile_id"
    " WHERE h.segment_id = {segment})"
)


def almost_statement(rule: Rule, segment_id: int, before: int | None, limit: int) -> Statement:
    """``(id, a digit 1 or 0 per part of the outermost group that is on)`` of whoever meets all parts but one, by id downwards."""
    query = RuleQuery()
    select = query.everybody("p.id", exp.alias_(_signature(rule, query), "sig"))
    select = select.where(fragment(_PICKED, segment=query.value(segment_id, "bigint")))
    if before is not None:
        select = select.where(fragment("p.id < {before}", before=query.value(before, "bigint")))
    outer = exp.select("id", "sig").from_(select.subquery("x"))
    outer = outer.where(fragment("length(replace(sig, '1', '')) = 1")).order_by("id DESC").limit(limit)
    return query.finish(outer)
