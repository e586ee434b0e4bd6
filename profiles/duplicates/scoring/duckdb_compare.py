"""All pairs of a base at once, in DuckDB: candidates by match keys, levels, scores. The same as ``Model.score``.

Works on a table ``people`` (id, the columns of ``Traits``, keys) in the connection it is given; a scan fills it from
PostgreSQL, the fit and the tests from anywhere else.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from profiles.duplicates.scoring.features import BLOCK, COLUMNS
from profiles.duplicates.scoring.households import find_homes
from profiles.duplicates.scoring.interaction_terms import ADJUSTMENTS
from profiles.duplicates.scoring.interactions import (
    DOUBLED,
    DOUBLED_AT_FIRST,
    FIRST_AGREES,
    LEAST_SHARED,
    MOST_SHARED,
    OFTEN,
    OFTEN_FROM,
    OFTEN_SHARE,
    PER_PEOPLE,
    SHARED_AT_FIRST,
    SHARINGS,
    Adjustment,
)
from profiles.duplicates.scoring.levels import BY_FIELD, COMPARISONS
from profiles.duplicates.scoring.model import rounded
from profiles.duplicates.scoring.similarity import DIFFERS, OF_ONE
from profiles.duplicates.scoring.tiers import (
    DESPITE,
    DOUBTS,
    RULES,
    TIES,
    VETOES,
    code_sql,
    decided_sql,
    facts_sql,
    tier_sql,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from profiles.duplicates.scoring.model import Model

ARRAYS = {"first_groups": "INTEGER[]", "emails": "VARCHAR[]", "phones": "VARCHAR[]"}
TYPES = {
    "id": "BIGINT",
    **{name: ARRAYS.get(name, "VARCHAR") for name in COLUMNS},
    "ids": "BIGINT[]",
    "singles": "BIGINT[]",
    "keys": "BIGINT[]",
}
PEOPLE = f"CREATE TABLE people ({', '.join(f'{name} {kind}' for name, kind in TYPES.items())})"
# A name nobody shares says at most this much more than the average one, a common one so much less.
RAREST, COMMONEST = 4.0, -6.0
# A name that fewer hold is not written down, so that nothing is left of people who are erased; it counts as one of two.
TOLD_FROM = 5


# A value more people hold than one in ten thousand values is a crowd's; a family has up to 5, and nobody's has 20.
FEWEST, LARGEST, SHARE = 5, 20, 0.9999
SHARED = ("email", "phone")
_SHARED_BITS = "coalesce((SELECT any_value(bits) FROM rarity WHERE field = 'shared' AND value = '{}'), 0.0)"


def read_rows(db: DuckDBPyConnection, path: Path) -> int:
    """Fill ``people`` from a CSV file PostgreSQL wrote; how many."""
    texts = {name: "VARCHAR" if kind.endswith("[]") else kind for name, kind in TYPES.items()}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in texts.items())
    # Arrays as PostgreSQL writes them, {1,2}, are lists in DuckDB with other brackets.
    chosen = ", ".join(
        f"CAST(replace(replace({name}, '{{', '['), '}}', ']') AS {kind}) AS {name}"
        if kind.endswith("[]")
        else name
        for name, kind in TYPES.items()
    )
    db.execute(
        f"INSERT INTO people SELECT {chosen} FROM read_csv(?, header = false, auto_detect = false,"
        f" delim = ',', quote = '\"', escape = '\"', nullstr = '', columns = {{{columns}}})",
        [str(path)],
    )
    return _count(db, "people")


def leave_out_crowds(db: DuckDBPyConnection) -> None:
    """``shared (field, value, holders, examples)``: values too many share, which are then nobody's any more."""
    parts = " UNION ALL ".join(
        f"SELECT '{field}' AS field, {field} AS value, count(*) AS holders, list(id ORDER BY id)[:100] AS examples"
        f" FROM people WHERE {field} IS NOT NULL GROUP BY 2"
        for field in SHARED
    )
    db.execute(
        "CREATE OR REPLACE TEMP TABLE shared AS"
        f" WITH counted AS (SELECT field, value, count(*) AS holders FROM ({_values_sql()}) GROUP BY 1, 2),"
        f" most AS (SELECT field, least({LARGEST}, greatest({FEWEST}, quantile_disc(holders, {SHARE}))) AS allowed FROM counted GROUP BY 1)"
        f" SELECT p.* FROM ({parts}) p JOIN most USING (field) WHERE p.holders > most.allowed"
    )
    for field, others in (("email", ("mailbox", "domain")), ("phone", ())):
        gone = ", ".join(f"{name} = NULL" for name in (field, *others))
        crowd = [
            value for (value,) in db.execute("SELECT value FROM shared WHERE field = ?", [field]).fetchall()
        ]
        if crowd:
            db.execute(f"UPDATE people SET {gone} WHERE list_contains(?, {field})", [crowd])
            db.execute(
                f"UPDATE people SET {field}s = list_filter({field}s, lambda x: NOT list_contains(?, x))"
                f" WHERE len({field}s) > 0",
                [crowd],
            )


def _values_sql() -> str:
    return " UNION ALL ".join(
        f"SELECT '{field}' AS field, {field} AS value FROM people WHERE {field} IS NOT NULL"
        for field in SHARED
    )


def _count(db: DuckDBPyConnection, table: str) -> int:
    ((count,),) = db.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(count)


def find_candidates(db: DuckDBPyConnection) -> None:
    """``pair (l, r)``: every two that share a key not held by too many; ``crowd (key, holders)``: the keys that are."""
    db.execute("CREATE OR REPLACE TEMP TABLE held AS SELECT unnest(keys) AS key, id FROM people")
    # Most keys are one person's; the others are few enough to be joined with themselves.
    db.execute(
        "CREATE OR REPLACE TEMP TABLE counted AS SELECT key, count(*) AS holders FROM held GROUP BY key HAVING count(*) > 1"
    )
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE crowd AS SELECT key, holders FROM counted WHERE holders > {BLOCK}"
    )
    db.execute(
        "CREATE OR REPLACE TEMP TABLE told AS SELECT key, id FROM held"
        f" SEMI JOIN (SELECT key FROM counted WHERE holders <= {BLOCK}) USING (key)"
    )
    db.execute("DROP TABLE held")
    db.execute(
        "CREATE OR REPLACE TEMP TABLE pair AS"
        " SELECT DISTINCT a.id AS l, b.id AS r FROM told a JOIN told b ON a.key = b.key AND a.id < b.id"
    )
    db.execute("DROP TABLE told")
    db.execute("DROP TABLE counted")


def measure_rarity(db: DuckDBPyConnection) -> None:
    """``rarity (field, value, bits)``: how much less common a name is than what two equal names have on average.

    The value "" stands for every name that fewer than ``TOLD_FROM`` people hold.
    """
    parts = [
        f"SELECT '{one.field}' AS field, {one.trait} AS value, count(*) AS n FROM people WHERE {one.trait} IS NOT NULL GROUP BY 2"
        for one in COMPARISONS
        if one.is_rarity_counted
    ]
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE rarity AS WITH counted AS ({' UNION ALL '.join(parts)}),"
        # The chance that two people taken at random have an equal name, and the commonness it stands for.
        " whole AS (SELECT field, sum(n) AS n, sum(n * n) / pow(sum(n), 2) AS average FROM counted GROUP BY field)"
        f", told AS (SELECT field, value, n FROM counted WHERE n >= {TOLD_FROM}"
        " UNION ALL SELECT DISTINCT field, '', 2 FROM counted)"
        " SELECT field, value, round(least("
        f"{RAREST}, greatest({COMMONEST}, log2(average / (told.n / whole.n)))), 3) AS bits"
        " FROM told JOIN whole USING (field)"
    )


def compare(db: DuckDBPyConnection, *, today: date | None = None) -> None:
    """``compared (l, r, one column of level numbers per field, bits of each name, facts)`` of every candidate."""
    find_homes(db)
    rare = [one for one in COMPARISONS if one.is_rarity_counted]
    columns = ", ".join(f"({_worked_out(one.sql)})::TINYINT AS {one.field}" for one in COMPARISONS)
    facts = ", ".join(f"{sql} AS {name}" for name, sql in facts_sql(today or date.today()).items())
    bits = ", ".join(f"least(l.{one.field}_bits, r.{one.field}_bits) AS {one.field}_bits" for one in rare)
    own = ", ".join(
        f"coalesce({one.field}_rare.bits, (SELECT bits FROM rarity WHERE field = '{one.field}' AND value = ''), 0.0)"
        f" AS {one.field}_bits"
        for one in rare
    )
    once = ", ".join(f"{of('people')} AS {name}" for name, of in OF_ONE.items())
    joins = " ".join(
        f"LEFT JOIN rarity {one.field}_rare ON {one.field}_rare.field = '{one.field}'"
        f" AND {one.field}_rare.value = people.{one.trait}"
        for one in rare
    )
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE side AS SELECT people.* EXCLUDE (keys), {once}, {own}"
        f" FROM people {joins}"
    )
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE compared AS SELECT pair.l, pair.r, {columns}, {bits}, {facts}"
        " FROM pair JOIN side l ON l.id = pair.l JOIN side r ON r.id = pair.r"
    )
    db.execute("DROP TABLE side")
    _measure_sharing(db)


_SHARING_OF = {one.name: one for one in SHARINGS}


def _measure_sharing(db: DuckDBPyConnection) -> None:
    """Rows of ``rarity`` under the field "shared": bits for how often who shares an address has one first name."""
    first = BY_FIELD["first_name"]
    agree = ", ".join(str(first.names.index(name)) for name in FIRST_AGREES)
    differ = first.names.index(DIFFERS)
    few, many = SHARED_AT_FIRST
    parts = " UNION ALL ".join(
        f"SELECT 'shared', '{one.name}', round(least({LEAST_SHARED}, greatest({MOST_SHARED}, log2("
        f"(count(*) FILTER (first_name IN ({agree})) + {few}) / (count(*) FILTER (first_name = {differ}) + {many})"
        f"))), 3) FROM compared WHERE {' AND '.join(f'{name} = 0' for name in one.when)}"
        for one in SHARINGS
    )
    often = " UNION ALL ".join(
        f"SELECT 'shared', '{name}', (count(*) FILTER (first_name = {differ}) >= greatest({OFTEN_FROM},"
        f" {OFTEN_SHARE} * count(*) FILTER (first_name IN ({differ}, {agree}))))::DOUBLE FROM compared"
        f" WHERE {' AND '.join(f'{field} = 0' for field in _SHARING_OF[of].when)}"
        for name, of in OFTEN.items()
    )
    db.execute("DELETE FROM rarity WHERE field = 'shared'")
    db.execute(f"INSERT INTO rarity {parts} UNION ALL {often}")
    few, many = DOUBLED_AT_FIRST
    db.execute(
        f"INSERT INTO rarity SELECT 'shared', '{DOUBLED}', round(least({LEAST_SHARED}, greatest({MOST_SHARED}, log2("
        f"(twice + {few}) / (known + {many}) * {many / few!r}))), 3) FROM"
        " (SELECT count(*) AS known FROM people WHERE first IS NOT NULL AND last IS NOT NULL AND birth_date IS NOT NULL),"
        " (SELECT count(*) AS twice FROM compared WHERE first_name = 0 AND last_name = 0 AND birth_date = 0)"
    )


def _shared_sql(name: str, weight: float) -> str:
    return f"({weight!r} * {_SHARED_BITS.format(name)})"


def _with_shared(db: DuckDBPyConnection, sql: str) -> str:
    """Numbers in place of questions to ``rarity``, which cost more than all the rest of a score."""
    known = dict(db.execute("SELECT value, bits FROM rarity WHERE field = 'shared'").fetchall())
    for name in (*(one.name for one in SHARINGS), DOUBLED):
        sql = sql.replace(_SHARED_BITS.format(name), f"{float(known.get(name, 0.0))!r}::DOUBLE")
    return sql


def _worked_out(sql: str) -> str:
    """With the columns of ``side`` in place of the expressions they were worked out by."""
    for side in ("l", "r"):
        for name, of in OF_ONE.items():
            sql = sql.replace(of(side), f"{side}.{name}")
    return sql


def classify(db: DuckDBPyConnection, model: Model, people: int) -> None:
    """``found``: the columns of ``compared`` with score, veto, rule and tier, of the pairs that are something."""
    codes = ", ".join(
        f"{code_sql(of)} AS {name}"
        for name, of in (
            ("veto", VETOES),
            ("despite", DESPITE),
            ("rule", RULES),
            ("tie", TIES),
            ("doubt", DOUBTS),
        )
    )
    # Materialized: a score asked for by its name would be worked out anew at each of five places.
    db.execute(
        "CREATE OR REPLACE TEMP TABLE found AS WITH scored AS MATERIALIZED"
        f" (SELECT *, {_with_shared(db, score_sql(model, people))} AS score, {codes} FROM {_with_often(db)})"
        f", tiered AS (SELECT *, {tier_sql(model)} AS tier FROM scored)"
        f" SELECT * REPLACE ({decided_sql(model)} AS rule) FROM tiered WHERE tier <> ''"
    )


def _with_often(db: DuckDBPyConnection) -> str:
    """``compared`` with the columns OFTEN, which are the same for everybody."""
    known = dict(db.execute("SELECT value, bits FROM rarity WHERE field = 'shared'").fetchall())
    columns = ", ".join(f"{'true' if known.get(name, 0.0) > 0 else 'false'} AS {name}" for name in OFTEN)
    return f"(SELECT *, {columns} FROM compared)"


def write_found(db: DuckDBPyConnection, model: Model, people: int, folder: Path) -> dict[str, int]:
    """``found``, key crowds, rarity and shared values as files; how many of each."""
    db.execute(
        "COPY (SELECT l, r, tier, round(score, 4), rule, veto,"
        f" {_with_shared(db, evidence_sql(model, people))} FROM found) TO '{folder / 'pairs.csv'}' (HEADER false, FORCE_QUOTE *)"
    )
    db.execute(
        f"COPY (SELECT 'key', '', key, holders FROM crowd) TO '{folder / 'crowds.csv'}' (HEADER false, FORCE_QUOTE *)"
    )
    db.execute(
        f"COPY (SELECT field, value, bits FROM rarity) TO '{folder / 'rarity.csv'}' (HEADER false, FORCE_QUOTE *)"
    )
    db.execute(f"COPY shared TO '{folder / 'shared.parquet'}' (FORMAT parquet)")
    return {"pairs": _count(db, "found"), "candidates": _count(db, "pair"), "crowds": _count(db, "crowd")}


def read_shared(path: Path) -> list[tuple[str, str, int, list[int]]]:
    """What ``write_found`` said about values too many share."""
    import duckdb

    with duckdb.connect() as db:
        return db.execute(
            "SELECT field, value, holders, examples FROM read_parquet(?) ORDER BY 1, 2", [str(path)]
        ).fetchall()


def _adjusted_sql(one: Adjustment, model: Model, people: int) -> str:
    weight = model.adjustments[one.name]
    if one.by == PER_PEOPLE:
        # A plain literal of so many digits would be a decimal, which overflows when it is rounded.
        return f"{weight * model.doublings(people)!r}::DOUBLE"
    return f"{weight!r} * coalesce({one.by}_bits, 0.0)" if one.by else repr(weight)


def evidence_sql(model: Model, people: int) -> str:
    """The explanation as JSON text, ``[[field, level, bits]]``, as ``candidates.Found.evidence`` writes it."""
    told = []
    for one in COMPARISONS:
        cases = []
        for place, (name, weight) in enumerate(zip(one.names, model.weights[one.field], strict=True)):
            bits = str(rounded(weight))
            if name in one.rarity_levels:
                rare = f"{model.rarity[one.field]!r} * coalesce({one.field}_bits, 0.0)"
                bits = f"' || floor(({weight!r} + {rare}) * 100 + 0.5) / 100 || '"
            cases.append(f"""WHEN {place} THEN '["{one.field}","{name}",{bits}]'""")
        told.append(f"CASE {one.field} {' '.join(cases)} END")
    for one_of in ADJUSTMENTS:
        bits = str(rounded(model.adjustments[one_of.name]))
        if one_of.by:
            bits = f"' || floor(({_adjusted_sql(one_of, model, people)}) * 100 + 0.5) / 100 || '"
        told.append(f"""CASE WHEN {one_of.sql} THEN '["","{one_of.name}",{bits}]' END""")
    for sharing in SHARINGS:
        bits = f"floor({_shared_sql(sharing.name, model.shared[sharing.name])} * 100 + 0.5) / 100"
        told.append(f"""CASE WHEN {sharing.sql} THEN '["","{sharing.name}",' || {bits} || ']' END""")
    return f"'[' || array_to_string(list_filter([{', '.join(told)}], lambda x: x IS NOT NULL), ',') || ']'"


def score_sql(model: Model, people: int) -> str:
    """An expression over ``compared``: the score in bits."""
    parts = [repr(model.prior(people))]
    for one in COMPARISONS:
        cases = " ".join(
            f"WHEN {place} THEN {weight!r}" for place, weight in enumerate(model.weights[one.field])
        )
        parts.append(f"CASE {one.field} {cases} ELSE 0.0 END")
        if one.is_rarity_counted:
            parts.append(
                f"CASE WHEN {one.field} IN ({one.rarity_places}) THEN {model.rarity[one.field]!r} * coalesce({one.field}_bits, 0.0) ELSE 0.0 END"
            )
    parts += [
        f"CASE WHEN {one.sql} THEN {_adjusted_sql(one, model, people)} ELSE 0.0 END" for one in ADJUSTMENTS
    ]
    parts += [
        f"CASE WHEN {one.sql} THEN {_shared_sql(one.name, model.shared[one.name])} ELSE 0.0 END"
        for one in SHARINGS
    ]
    parts.append(_shared_sql(DOUBLED, model.shared[DOUBLED]))
    return " + ".join(parts)
