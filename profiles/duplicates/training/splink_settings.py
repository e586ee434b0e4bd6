"""The shipped model as settings Splink reads: the same score, on any of its backends (DuckDB, Spark).

Splink takes ``people`` (``bulk.TYPES``) with ``id`` as ``unique_id`` and a column ``tf_<trait>`` of ``rarity_columns``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from profiles.duplicates.scoring.interaction_terms import ADJUSTMENTS
from profiles.duplicates.scoring.interactions import DOUBLED, PER_PEOPLE, SHARINGS, Adjustment
from profiles.duplicates.scoring.levels import BY_FIELD, COMPARISONS
from profiles.duplicates.scoring.similarity import Comparison

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiles.duplicates.scoring.model import Model

# Splink weighs a level log2(m / u); only the ratio counts. It has to stay below 1 for the heaviest level.
U = 2.0**-12
# What Spark, and the functions Splink brings for it, call differently.
_SPARK = (
    (" // 2", " div 2"),
    ("list_has_any(", "arrays_overlap("),
    ("list_contains(", "array_contains("),
    ("len(", "size("),
    ("jaro_winkler_similarity(", "jaro_winkler("),
    ("starts_with(", "startswith("),
    (", 'g')", ")"),
)
_SIDE = re.compile(r"\b([lr])\.(\w+)")


def splink_settings(
    model: Model, people: int, *, shared: Mapping[str, float] | None = None, spark: bool = False
) -> dict[str, Any]:
    """Settings of a linker of the kind ``dedupe_only``, in DuckDB's SQL or Spark's.

    ``shared``: the base's bits of ``together.SHARINGS``, and ``DOUBLED``, as ``rarity`` has them.
    """
    bits = {name: weight * (shared or {}).get(name, 0.0) for name, weight in model.shared.items()}
    doublings = model.doublings(people)
    each = {
        one.name: model.adjustments[one.name] * (doublings if one.by == PER_PEOPLE else 1.0)
        for one in ADJUSTMENTS
    }
    weights = {**each, **bits}
    odds = 2 ** (model.prior(people) + bits[DOUBLED])
    told: dict[str, Any] = {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": odds / (1 + odds),
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": "l.keys = r.keys", "arrays_to_explode": ["keys"]}
        ],
        "comparisons": [
            *(_field(one, model) for one in COMPARISONS),
            *(_together(one, sql, weights[one.name]) for one, sql in _adjustments()),
        ],
        "retain_intermediate_calculation_columns": False,
        "retain_matching_columns": False,
    }
    if spark:
        for comparison in told["comparisons"]:
            for level in comparison["comparison_levels"]:
                for ours, theirs in _SPARK:
                    level["sql_condition"] = level["sql_condition"].replace(ours, theirs)
    return told


def rarity_columns() -> str:
    """Columns for a SELECT over ``people``, with ``rarity`` filled by ``bulk.measure_rarity``."""
    return ", ".join(
        f"{U!r} * pow(2, -coalesce((SELECT bits FROM rarity WHERE field = '{one.field}' AND value = {one.trait}),"
        f" (SELECT bits FROM rarity WHERE field = '{one.field}' AND value = ''), 0))"
        f" AS tf_{one.trait}"
        for one in COMPARISONS
        if one.is_rarity_counted
    )


def _columns(sql: str) -> str:
    """``l.first`` is Splink's ``first_l``."""
    return _SIDE.sub(r"\2_\1", sql)


def _field(one: Comparison, model: Model) -> dict[str, Any]:
    if len(one.levels) == 1:  # Splink wants two
        (weight,) = model.weights[one.field]
        known = _level(_columns(one.known_sql), f"{one.label} {one.levels[0].label}", weight)
        return {
            "output_column_name": one.field,
            "comparison_levels": [known, _level("ELSE", "otherwise", 0.0)],
        }
    unknown = f"NOT {one.known_sql}" if one.known_sql else f"l.{one.trait} IS NULL OR r.{one.trait} IS NULL"
    levels: list[dict[str, Any]] = [
        {"sql_condition": _columns(unknown), "label_for_charts": "unknown", "is_null_level": True}
    ]
    for level, weight in zip(one.levels, model.weights[one.field], strict=True):
        told = _level(_columns(level.sql) or "ELSE", f"{one.label} {level.label}", weight)
        if level.name in one.rarity_levels:
            told |= {
                "tf_adjustment_column": one.trait,
                "tf_adjustment_weight": model.rarity[one.field],
                "disable_tf_exact_match_detection": True,
            }
        levels.append(told)
    return {"output_column_name": one.field, "comparison_levels": levels}


def _level(sql: str, label: str, weight: float) -> dict[str, Any]:
    return {
        "sql_condition": sql,
        "label_for_charts": label,
        "m_probability": U * 2**weight,
        "u_probability": U,
    }


def _adjustments() -> list[tuple[Adjustment, str]]:
    numbers = {one.field: f"({_columns(one.sql)})" for one in COMPARISONS}
    return [
        (
            one,
            " AND ".join(
                f"{numbers[name]} IN ({', '.join(map(str, one.places(name)))})" for name in one.when
            ),
        )
        for one in (*ADJUSTMENTS, *SHARINGS)
    ]


def _together(one: Adjustment, sql: str, weight: float) -> dict[str, Any]:
    told = _level(sql, one.label, weight)
    if one.by in BY_FIELD:  # the weight counts once for each bit of a name's rarity
        told = _level(sql, one.label, 0.0) | {
            "tf_adjustment_column": BY_FIELD[one.by].trait,
            "tf_adjustment_weight": weight,
            "disable_tf_exact_match_detection": True,
        }
    return {"output_column_name": one.name, "comparison_levels": [told, _level("ELSE", "otherwise", 0.0)]}
