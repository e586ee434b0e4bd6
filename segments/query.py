"""Conditions of a rule → one SQL statement over surviving profiles, for everybody or for some, with its parameters beside it.

Conditions write fragments in PostgreSQL's SQL; they are parsed and put together with sqlglot, so that the same tree can be
rendered for other engines. Values never stand in the text: ``RuleQuery.value`` gives a placeholder. What depends on the
moment is a parameter too, so a statement can be kept and asked again later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

from profiles.sql import PROFILES
from segments.moments import Moment

Sql = exp.Expression
Bind = Callable[[Moment], Any]

# Every statement speaks of the surviving profile as p; ids of one evaluation are the parameter "ids".
ROOT = "p"
IDS = "ids"


@lru_cache(maxsize=2_000)
def _parsed(text: str) -> Sql:
    return sqlglot.parse_one(text, dialect="postgres")


def fragment(text: str, **parts: Sql | str) -> Sql:
    """A piece of SQL; ``{name}`` in it stands for another piece, which is put in as a tree, or for an alias."""
    names = {name: part for name, part in parts.items() if not isinstance(part, str)}
    plain = {name: part for name, part in parts.items() if isinstance(part, str)}
    marked = text.format(**plain, **{name: f"__{name}__" for name in names})
    tree = _parsed(marked).copy()
    if not names:
        return tree

    def fill(node: Sql) -> Sql:
        if isinstance(node, exp.Column) and not node.table and node.name[:2] == node.name[-2:] == "__":
            part = names.get(node.name[2:-2])
            if part is not None:
                return (
                    exp.paren(part.copy()) if isinstance(part, (exp.Connector, exp.Binary)) else part.copy()
                )
        return node

    return tree.transform(fill)


@dataclass(slots=True)
class Statement:
    """A rendered statement; ``bind`` gives its parameters as of a moment."""

    text: str
    binds: dict[str, Bind]

    def params(self, moment: Moment, ids: Sequence[int] | None = None) -> dict[str, Any]:
        params = {name: bind(moment) for name, bind in self.binds.items()}
        if ids is not None:
            params[IDS] = list(ids)
        return params


@dataclass(slots=True)
class RuleQuery:
    """What conditions add to while one statement is written.

    ``is_scoped``: for the profiles of the parameter ``ids`` alone, which every subquery then asks for. ``with_next``: also
    when time alone may change somebody's verdict; conditions then put the subqueries that say so into ``next_checks``.
    """

    is_scoped: bool = False
    with_next: bool = False
    binds: dict[str, Bind] = field(default_factory=dict)
    subqueries: dict[str, Sql] = field(default_factory=dict)
    next_checks: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)
    _value_names: dict[tuple[str, str], str] = field(default_factory=dict)

    # --- Parameters ---------------------------------------------------------------------------------------

    def value(self, value: Any, kind: str) -> Sql:
        """A placeholder for a value, cast to the PostgreSQL type."""
        same = (kind, repr(value))
        name = self._value_names.get(same)
        if name is None:
            name = self._value_names[same] = f"v{len(self.binds)}"
            self.binds[name] = lambda moment: value
        return _cast(name, kind)

    def moment(self, bind: Bind, kind: str = "timestamptz") -> Sql:
        """A placeholder for what ``bind`` gives as of the moment of the evaluation."""
        name = f"t{len(self.binds)}"
        self.binds[name] = bind
        return _cast(name, kind)

    @property
    def now(self) -> Sql:
        self.binds.setdefault("now", lambda moment: moment.now)
        return _cast("now", "timestamptz")

    # --- Subqueries ---------------------------------------------------------------------------------------

    def subquery(self, select: Sql) -> str:
        """The name of a WITH entry for this SELECT, which has a column ``id``; the same text is asked once."""
        text = select.sql(dialect="postgres")
        if text not in self._names:
            name = self._names[text] = f"s{len(self._names)}"
            self.subqueries[name] = select
        return self._names[text]

    def among(self, name: str, condition: Sql | None = None) -> Sql:
        """“The profile is in this subquery”, where its row meets the condition (over the alias of its name)."""
        where = "" if condition is None else " WHERE {condition}"
        parts = {} if condition is None else {"condition": condition}
        return fragment(f"{ROOT}.id IN (SELECT {name}.id FROM {name}{where})", **parts)

    def rows_of_members(self, table: str, alias: str) -> tuple[str, str]:
        """``FROM`` of rows that belong to members of profiles, and the column with the surviving profile's id.

        For everybody, only merged-away profiles are joined (partial index); for some, members are looked up first.
        """
        if self.is_scoped:
            return (
                f"{PROFILES} m JOIN {table} {alias} ON {alias}.profile_id = m.id",
                "m.canonical_id",
            )
        return (
            f"{table} {alias} LEFT JOIN {PROFILES} m ON m.id = {alias}.profile_id AND m.canonical_id <> m.id",
            f"COALESCE(m.canonical_id, {alias}.profile_id)",
        )

    @property
    def scope(self) -> Sql:
        """The condition on members that a scoped subquery has; true for everybody."""
        return self.scope_of("m.canonical_id")

    def scope_of(self, column: str) -> Sql:
        """The same for a column that holds the surviving profile's id."""
        if not self.is_scoped:
            return exp.true()
        return fragment(f"{column} = ANY({{ids}})", ids=_cast(IDS, "bigint[]"))

    def may_change(self, name: str) -> None:
        """The subquery has a column ``next``: when its row must be looked at again; null where nothing is to come."""
        if self.with_next and name not in self.next_checks:
            self.next_checks.append(name)

    # --- Statements ---------------------------------------------------------------------------------------

    def finish(self, select: exp.Select, dialect: str = "postgres") -> Statement:
        """The SELECT over ``p`` with every subquery it names in front."""
        for name, subquery in self.subqueries.items():
            select = select.with_(name, as_=subquery)
        return Statement(select.sql(dialect=dialect), dict(self.binds))

    def everybody(self, *columns: str | Sql) -> exp.Select:
        """``SELECT columns FROM`` live profiles, or those of ``ids`` among them."""
        select = (
            exp.select(*columns).from_(f"{PROFILES} AS {ROOT}").where(fragment(f"{ROOT}.status = 'live'"))
        )
        if self.is_scoped:
            select = select.where(fragment(f"{ROOT}.id = ANY({{ids}})", ids=_cast(IDS, "bigint[]")))
        return select


def _cast(name: str, kind: str) -> Sql:
    return _parsed(f"CAST(:{name} AS {kind})").copy()


def both(conditions: Sequence[Sql]) -> Sql:
    """All of them."""
    return exp.and_(*conditions) if conditions else exp.true()


def either(conditions: Sequence[Sql]) -> Sql:
    """Any of them."""
    return exp.or_(*conditions) if conditions else exp.false()


def compare(left: Sql, op: str, right: Sql) -> Sql:
    """``left op right`` for eq, ne, gt, gte, lt and lte; unknown where either is null."""
    kinds: dict[str, type[exp.Binary]] = {
        "eq": exp.EQ,
        "ne": exp.NEQ,
        "gt": exp.GT,
        "gte": exp.GTE,
        "lt": exp.LT,
        "lte": exp.LTE,
    }
    return kinds[op](this=left, expression=right)


def surely(condition: Sql) -> Sql:
    """Two-valued: unknown is no, so that ``NOT`` of it is the complement."""
    return fragment("COALESCE({condition}, FALSE)", condition=condition)
