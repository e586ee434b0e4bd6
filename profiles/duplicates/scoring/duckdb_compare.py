"""A DuckDB table of features and keys → all candidate pairs with levels, scores and tiers, as
``Model.score`` gives them.

Works on the table ``profiles`` (id, the columns of ``Features``, keys) of the connection it is given; a
scan fills it from PostgreSQL, training and tests from elsewhere.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from profiles.duplicates.scoring.conditions import DESPITE, DOUBTS, RULES, TIES, VETOES, code_sql
from profiles.duplicates.scoring.features import COLUMNS, MAX_KEY_HOLDERS
from profiles.duplicates.scoring.households import find_household_values
from profiles.duplicates.scoring.interaction_kinds import (
    AGREEING_FIRST_NAMES,
    DOUBLED,
    DOUBLED_PRIOR_COUNTS,
    MAX_SHARING_BITS,
    MIN_SHARING_BITS,
    OFTEN_SHARED,
    OFTEN_SHARED_MIN_PAIRS,
    OFTEN_SHARED_MIN_SHARE,
    PER_DOUBLING,
    SHARED_PRIOR_COUNTS,
    SHARING_TERMS,
    Interaction,
)
from profiles.duplicates.scoring.interaction_terms import INTERACTIONS
from profiles.duplicates.scoring.levels import BY_FIELD, COMPARISONS
from profiles.duplicates.scoring.model import rounded
from profiles.duplicates.scoring.similarity import DIFFERS, ONE_SIDED_SQL
from profiles.duplicates.scoring.tiers import facts_sql, rule_sql, tier_sql

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
CREATE_TABLE = f"CREATE TABLE profiles ({', '.join(f'{name} {kind}' for name, kind in TYPES.items())})"
# A rare name adds at most this many bits to the average one, a common name takes at most this many.
RAREST, COMMONEST = 4.0, -6.0
# Names of fewer profiles are not stored, so that nothing remains of erased people; they count as names of two.
MIN_NAME_HOLDERS = 5


# A value of more profiles than 9,999 of 10,000 values have is frequent: never 5 (a family), always more than 20.
MIN_FREQUENT, MAX_FREQUENT, FREQUENT_QUANTILE = 5, 20, 0.9999
CONTACT_FIELDS = ("email", "phone")
_SHARING_BITS_SQL = (
    "coalesce((SELECT any_value(bits) FROM rarity WHERE field = 'shared' AND value = '{}'), 0.0)"
)


def read_rows(db: DuckDBPyConnection, path: Path) -> int:
    """Fill ``profiles`` from a CSV file PostgreSQL wrote; how many."""
    texts = {name: "VARCHAR" if kind.endswith("[]") else kind for name, kind in TYPES.items()}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in texts.items())
    # PostgreSQL writes arrays as {1,2}, DuckDB reads lists as [1,2].
    chosen = ", ".join(
        f"CAST(replace(replace({name}, '{{', '['), '}}', ']') AS {kind}) AS {name}"
        if kind.endswith("[]")
        else name
        for name, kind in TYPES.items()
    )
    db.execute(
        f"INSERT INTO profiles SELECT {chosen} FROM read_csv(?, header = false, auto_detect = false,"
        f" delim = ',', quote = '\"', escape = '\"', nullstr = '', columns = {{{columns}}})",
        [str(path)],
    )
    return _count(db, "profiles")


def remove_frequent_values(db: DuckDBPyConnection) -> None:
    """Take values too many profiles share from all of them; they are listed in ``frequent_value (field,
    value, holders, examples)``.
    """
    holders_sql = " UNION ALL ".join(
        f"SELECT '{field}' AS field, {field} AS value, count(*) AS holders, list(id ORDER BY id)[:100] AS examples"
        f" FROM profiles WHERE {field} IS NOT NULL GROUP BY 2"
        for field in CONTACT_FIELDS
    )
    db.execute(
        "CREATE OR REPLACE TEMP TABLE frequent_value AS"
        f" WITH counted AS (SELECT field, value, count(*) AS holders FROM ({_values_sql()}) GROUP BY 1, 2),"
        f" most AS (SELECT field, least({MAX_FREQUENT}, greatest({MIN_FREQUENT}, quantile_disc(holders, {FREQUENT_QUANTILE}))) AS allowed FROM counted GROUP BY 1)"
        f" SELECT p.* FROM ({holders_sql}) p JOIN most USING (field) WHERE p.holders > most.allowed"
    )
    for field, parts in (("email", ("mailbox", "domain")), ("phone", ())):
        cleared = ", ".join(f"{name} = NULL" for name in (field, *parts))
        values = [
            value
            for (value,) in db.execute("SELECT value FROM frequent_value WHERE field = ?", [field]).fetchall()
        ]
        if values:
            db.execute(f"UPDATE profiles SET {cleared} WHERE list_contains(?, {field})", [values])
            db.execute(
                f"UPDATE profiles SET {field}s = list_filter({field}s, lambda x: NOT list_contains(?, x))"
                f" WHERE len({field}s) > 0",
                [values],
            )


def _values_sql() -> str:
    return " UNION ALL ".join(
        f"SELECT '{field}' AS field, {field} AS value FROM profiles WHERE {field} IS NOT NULL"
        for field in CONTACT_FIELDS
    )


def _count(db: DuckDBPyConnection, table: str) -> int:
    ((count,),) = db.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(count)


def find_candidates(db: DuckDBPyConnection) -> None:
    """Fill ``pair (l, r)`` with every two that share a key, and ``frequent_key (key, holders)`` with the
    keys too many share.
    """
    db.execute("CREATE OR REPLACE TEMP TABLE key_holder AS SELECT unnest(keys) AS key, id FROM profiles")
    # Most keys have one holder; the rest are few enough for a self join.
    db.execute(
        "CREATE OR REPLACE TEMP TABLE counted AS SELECT key, count(*) AS holders FROM key_holder GROUP BY key HAVING count(*) > 1"
    )
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE frequent_key AS SELECT key, holders FROM counted WHERE holders > {MAX_KEY_HOLDERS}"
    )
    db.execute(
        "CREATE OR REPLACE TEMP TABLE usable_key AS SELECT key, id FROM key_holder"
        f" SEMI JOIN (SELECT key FROM counted WHERE holders <= {MAX_KEY_HOLDERS}) USING (key)"
    )
    db.execute("DROP TABLE key_holder")
    db.execute(
        "CREATE OR REPLACE TEMP TABLE pair AS"
        " SELECT DISTINCT a.id AS l, b.id AS r FROM usable_key a JOIN usable_key b ON a.key = b.key AND a.id < b.id"
    )
    db.execute("DROP TABLE usable_key")
    db.execute("DROP TABLE counted")


def measure_rarity(db: DuckDBPyConnection) -> None:
    """Fill ``rarity (field, value, bits)``: how much less common a name is than what two equal names have
    on average.

    The value "" stands for every name of fewer than ``MIN_NAME_HOLDERS`` profiles.
    """
    counts_sql = [
        f"SELECT '{comparison.field}' AS field, {comparison.feature} AS value, count(*) AS n FROM profiles WHERE {comparison.feature} IS NOT NULL GROUP BY 2"
        for comparison in COMPARISONS
        if comparison.is_rarity_counted
    ]
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE rarity AS WITH counted AS ({' UNION ALL '.join(counts_sql)}),"
        # The chance that two profiles taken at random have an equal name, and the frequency it corresponds to.
        " whole AS (SELECT field, sum(n) AS n, sum(n * n) / pow(sum(n), 2) AS average FROM counted GROUP BY field)"
        f", named AS (SELECT field, value, n FROM counted WHERE n >= {MIN_NAME_HOLDERS}"
        " UNION ALL SELECT DISTINCT field, '', 2 FROM counted)"
        " SELECT field, value, round(least("
        f"{RAREST}, greatest({COMMONEST}, log2(average / (named.n / whole.n)))), 3) AS bits"
        " FROM named JOIN whole USING (field)"
    )


def compare(db: DuckDBPyConnection, *, today: date | None = None) -> None:
    """Fill ``compared (l, r, a level number per field, bits of each name, facts)`` for every candidate."""
    find_household_values(db)
    rare = [comparison for comparison in COMPARISONS if comparison.is_rarity_counted]
    columns = ", ".join(
        f"({_with_precomputed(comparison.sql)})::TINYINT AS {comparison.field}" for comparison in COMPARISONS
    )
    facts = ", ".join(f"{sql} AS {name}" for name, sql in facts_sql(today or date.today()).items())
    bits = ", ".join(
        f"least(l.{comparison.field}_bits, r.{comparison.field}_bits) AS {comparison.field}_bits"
        for comparison in rare
    )
    rarity_bits = ", ".join(
        f"coalesce({comparison.field}_rare.bits, (SELECT bits FROM rarity WHERE field = '{comparison.field}' AND value = ''), 0.0)"
        f" AS {comparison.field}_bits"
        for comparison in rare
    )
    precomputed = ", ".join(f"{sql_of('profiles')} AS {name}" for name, sql_of in ONE_SIDED_SQL.items())
    rarity_joins = " ".join(
        f"LEFT JOIN rarity {comparison.field}_rare ON {comparison.field}_rare.field = '{comparison.field}'"
        f" AND {comparison.field}_rare.value = profiles.{comparison.feature}"
        for comparison in rare
    )
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE prepared AS SELECT profiles.* EXCLUDE (keys), {precomputed}, {rarity_bits}"
        f" FROM profiles {rarity_joins}"
    )
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE compared AS SELECT pair.l, pair.r, {columns}, {bits}, {facts}"
        " FROM pair JOIN prepared l ON l.id = pair.l JOIN prepared r ON r.id = pair.r"
    )
    db.execute("DROP TABLE prepared")
    _measure_sharing(db)


_SHARING_TERM = {term.name: term for term in SHARING_TERMS}


def _measure_sharing(db: DuckDBPyConnection) -> None:
    """Add rows to ``rarity`` under the field "shared": bits for how often two that share an address have
    one first name.
    """
    first = BY_FIELD["first_name"]
    agree = ", ".join(str(first.names.index(name)) for name in AGREEING_FIRST_NAMES)
    differ = first.names.index(DIFFERS)
    agreeing_prior, unlike_prior = SHARED_PRIOR_COUNTS
    bits_sql = " UNION ALL ".join(
        f"SELECT 'shared', '{term.name}', round(least({MAX_SHARING_BITS}, greatest({MIN_SHARING_BITS}, log2("
        f"(count(*) FILTER (first_name IN ({agree})) + {agreeing_prior}) / (count(*) FILTER (first_name = {differ}) + {unlike_prior})"
        f"))), 3) FROM compared WHERE {' AND '.join(f'{name} = 0' for name in term.when)}"
        for term in SHARING_TERMS
    )
    flags_sql = " UNION ALL ".join(
        f"SELECT 'shared', '{name}', (count(*) FILTER (first_name = {differ}) >= greatest({OFTEN_SHARED_MIN_PAIRS},"
        f" {OFTEN_SHARED_MIN_SHARE} * count(*) FILTER (first_name IN ({differ}, {agree}))))::DOUBLE FROM compared"
        f" WHERE {' AND '.join(f'{field} = 0' for field in _SHARING_TERM[term_name].when)}"
        for name, term_name in OFTEN_SHARED.items()
    )
    db.execute("DELETE FROM rarity WHERE field = 'shared'")
    db.execute(f"INSERT INTO rarity {bits_sql} UNION ALL {flags_sql}")
    agreeing_prior, unlike_prior = DOUBLED_PRIOR_COUNTS
    db.execute(
        f"INSERT INTO rarity SELECT 'shared', '{DOUBLED}', round(least({MAX_SHARING_BITS}, greatest({MIN_SHARING_BITS}, log2("
        f"(twice + {agreeing_prior}) / (known + {unlike_prior}) * {unlike_prior / agreeing_prior!r}))), 3) FROM"
        " (SELECT count(*) AS known FROM profiles WHERE first IS NOT NULL AND last IS NOT NULL AND birth_date IS NOT NULL),"
        " (SELECT count(*) AS twice FROM compared WHERE first_name = 0 AND last_name = 0 AND birth_date = 0)"
    )


def _shared_sql(name: str, weight: float) -> str:
    return f"({weight!r} * {_SHARING_BITS_SQL.format(name)})"


def _with_shared(db: DuckDBPyConnection, sql: str) -> str:
    """The SQL with numbers in place of subqueries of ``rarity``, which cost more than all the rest of a
    score.
    """
    shared_bits = dict(db.execute("SELECT value, bits FROM rarity WHERE field = 'shared'").fetchall())
    for name in (*(term.name for term in SHARING_TERMS), DOUBLED):
        sql = sql.replace(_SHARING_BITS_SQL.format(name), f"{float(shared_bits.get(name, 0.0))!r}::DOUBLE")
    return sql


def _with_precomputed(sql: str) -> str:
    """The SQL with columns of ``prepared`` in place of the expressions they were computed from."""
    for side in ("l", "r"):
        for name, sql_of in ONE_SIDED_SQL.items():
            sql = sql.replace(sql_of(side), f"{side}.{name}")
    return sql


def classify(db: DuckDBPyConnection, model: Model, profile_count: int) -> None:
    """Fill ``classified``: the columns of ``compared`` with score, veto, rule and tier, for pairs that have
    a tier.
    """
    codes = ", ".join(
        f"{code_sql(conditions)} AS {name}"
        for name, conditions in (
            ("veto", VETOES),
            ("despite", DESPITE),
            ("rule", RULES),
            ("tie", TIES),
            ("doubt", DOUBTS),
        )
    )
    # Materialized: else the score would be computed again at each of five places that name it.
    db.execute(
        "CREATE OR REPLACE TEMP TABLE classified AS WITH scored AS MATERIALIZED"
        f" (SELECT *, {_with_shared(db, score_sql(model, profile_count))} AS score, {codes} FROM {_with_sharing_flags(db)})"
        f", tiered AS (SELECT *, {tier_sql(model)} AS tier FROM scored)"
        f" SELECT * REPLACE ({rule_sql(model)} AS rule) FROM tiered WHERE tier <> ''"
    )


def _with_sharing_flags(db: DuckDBPyConnection) -> str:
    """``compared`` with the columns of OFTEN_SHARED, which are the same for every pair."""
    shared_bits = dict(db.execute("SELECT value, bits FROM rarity WHERE field = 'shared'").fetchall())
    columns = ", ".join(
        f"{'true' if shared_bits.get(name, 0.0) > 0 else 'false'} AS {name}" for name in OFTEN_SHARED
    )
    return f"(SELECT *, {columns} FROM compared)"


def write_results(db: DuckDBPyConnection, model: Model, profile_count: int, folder: Path) -> dict[str, int]:
    """Write ``classified``, frequent keys, rarity and frequent values to files; how many of each."""
    db.execute(
        "COPY (SELECT l, r, tier, round(score, 4), rule, veto,"
        f" {_with_shared(db, evidence_sql(model, profile_count))} FROM classified) TO '{folder / 'pairs.csv'}' (HEADER false, FORCE_QUOTE *)"
    )
    db.execute(
        f"COPY (SELECT 'key', '', key, holders FROM frequent_key) TO '{folder / 'frequent_keys.csv'}' (HEADER false, FORCE_QUOTE *)"
    )
    db.execute(
        f"COPY (SELECT field, value, bits FROM rarity) TO '{folder / 'rarity.csv'}' (HEADER false, FORCE_QUOTE *)"
    )
    db.execute(f"COPY frequent_value TO '{folder / 'frequent_values.parquet'}' (FORMAT parquet)")
    return {
        "pairs": _count(db, "classified"),
        "candidates": _count(db, "pair"),
        "crowds": _count(db, "frequent_key"),
    }


def read_frequent_values(path: Path) -> list[tuple[str, str, int, list[int]]]:
    """What ``write_results`` wrote about frequent values."""
    import duckdb

    with duckdb.connect() as db:
        return db.execute(
            "SELECT field, value, holders, examples FROM read_parquet(?) ORDER BY 1, 2", [str(path)]
        ).fetchall()


def _interaction_sql(interaction: Interaction, model: Model, profile_count: int) -> str:
    weight = model.interactions[interaction.name]
    if interaction.by == PER_DOUBLING:
        # A plain literal with this many digits would be a decimal, which overflows when it is rounded.
        return f"{weight * model.doublings(profile_count)!r}::DOUBLE"
    return f"{weight!r} * coalesce({interaction.by}_bits, 0.0)" if interaction.by else repr(weight)


def evidence_sql(model: Model, profile_count: int) -> str:
    """The evidence as JSON text, ``[[field, level, bits]]``, as ``incremental.ScoredPair.stored_evidence``
    writes it.
    """
    items = []
    for comparison in COMPARISONS:
        cases = []
        for number, (name, weight) in enumerate(
            zip(comparison.names, model.weights[comparison.field], strict=True)
        ):
            bits = str(rounded(weight))
            if name in comparison.rarity_levels:
                rarity_sql = f"{model.rarity[comparison.field]!r} * coalesce({comparison.field}_bits, 0.0)"
                bits = f"' || floor(({weight!r} + {rarity_sql}) * 100 + 0.5) / 100 || '"
            cases.append(f"""WHEN {number} THEN '["{comparison.field}","{name}",{bits}]'""")
        items.append(f"CASE {comparison.field} {' '.join(cases)} END")
    for interaction in INTERACTIONS:
        bits = str(rounded(model.interactions[interaction.name]))
        if interaction.by:
            bits = (
                f"' || floor(({_interaction_sql(interaction, model, profile_count)}) * 100 + 0.5) / 100 || '"
            )
        items.append(f"""CASE WHEN {interaction.sql} THEN '["","{interaction.name}",{bits}]' END""")
    for sharing in SHARING_TERMS:
        bits = f"floor({_shared_sql(sharing.name, model.shared[sharing.name])} * 100 + 0.5) / 100"
        items.append(f"""CASE WHEN {sharing.sql} THEN '["","{sharing.name}",' || {bits} || ']' END""")
    return f"'[' || array_to_string(list_filter([{', '.join(items)}], lambda x: x IS NOT NULL), ',') || ']'"


def score_sql(model: Model, profile_count: int) -> str:
    """The score in bits, as an expression over ``compared``."""
    parts = [repr(model.prior(profile_count))]
    for term in COMPARISONS:
        cases = " ".join(
            f"WHEN {number} THEN {weight!r}" for number, weight in enumerate(model.weights[term.field])
        )
        parts.append(f"CASE {term.field} {cases} ELSE 0.0 END")
        if term.is_rarity_counted:
            parts.append(
                f"CASE WHEN {term.field} IN ({term.rarity_level_numbers}) THEN {model.rarity[term.field]!r} * coalesce({term.field}_bits, 0.0) ELSE 0.0 END"
            )
    parts += [
        f"CASE WHEN {term.sql} THEN {_interaction_sql(term, model, profile_count)} ELSE 0.0 END"
        for term in INTERACTIONS
    ]
    parts += [
        f"CASE WHEN {term.sql} THEN {_shared_sql(term.name, model.shared[term.name])} ELSE 0.0 END"
        for term in SHARING_TERMS
    ]
    parts.append(_shared_sql(DOUBLED, model.shared[DOUBLED]))
    return " + ".join(parts)
