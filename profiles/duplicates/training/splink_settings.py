"""The shipped model → settings for Splink that give the same score on any of its backends (DuckDB, Spark).

Splink takes ``profiles`` (``duckdb_compare.TYPES``) with ``id`` as ``unique_id`` and the columns
``tf_<feature>`` of ``rarity_columns``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from profiles.duplicates.scoring.interaction_kinds import DOUBLED, PER_DOUBLING, SHARING_TERMS, Interaction
from profiles.duplicates.scoring.interaction_terms import INTERACTIONS
from profiles.duplicates.scoring.levels import BY_FIELD, COMPARISONS
from profiles.duplicates.scoring.similarity import Comparison

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiles.duplicates.scoring.model import Model

# Splink weighs a level log2(m / u); only the ratio counts. It has to stay below 1 for the heaviest level.
U = 2.0**-12
# What Spark, and the functions Splink brings for it, name differently.
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
    model: Model, profile_count: int, *, shared: Mapping[str, float] | None = None, spark: bool = False
) -> dict[str, Any]:
    """Settings of a ``dedupe_only`` linker, in DuckDB's SQL or Spark's.

    ``shared``: the base's bits of ``interactions.SHARING_TERMS`` and ``DOUBLED``, as ``rarity`` has them.
    """
    bits = {name: weight * (shared or {}).get(name, 0.0) for name, weight in model.shared.items()}
    doublings = model.doublings(profile_count)
    interaction_weights = {
        interaction.name: model.interactions[interaction.name]
        * (doublings if interaction.by == PER_DOUBLING else 1.0)
        for interaction in INTERACTIONS
    }
    weights = {**interaction_weights, **bits}
    odds = 2 ** (model.prior(profile_count) + bits[DOUBLED])
    settings: dict[str, Any] = {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": odds / (1 + odds),
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": "l.keys = r.keys", "arrays_to_explode": ["keys"]}
        ],
        "comparisons": [
            *(_field_comparison(interaction, model) for interaction in COMPARISONS),
            *(
                _interaction_comparison(interaction, sql, weights[interaction.name])
                for interaction, sql in _interaction_conditions()
            ),
        ],
        "retain_intermediate_calculation_columns": False,
        "retain_matching_columns": False,
    }
    if spark:
        for comparison in settings["comparisons"]:
            for level in comparison["comparison_levels"]:
                for ours, theirs in _SPARK:
                    level["sql_condition"] = level["sql_condition"].replace(ours, theirs)
    return settings


def rarity_columns() -> str:
    """Columns for a SELECT over ``profiles``, with ``rarity`` filled by ``duckdb_compare.measure_rarity``."""
    return ", ".join(
        f"{U!r} * pow(2, -coalesce((SELECT bits FROM rarity WHERE field = '{comparison.field}' AND value = {comparison.feature}),"
        f" (SELECT bits FROM rarity WHERE field = '{comparison.field}' AND value = ''), 0))"
        f" AS tf_{comparison.feature}"
        for comparison in COMPARISONS
        if comparison.is_rarity_counted
    )


def _columns(sql: str) -> str:
    """``l.first`` is Splink's ``first_l``."""
    return _SIDE.sub(r"\2_\1", sql)


def _field_comparison(comparison: Comparison, model: Model) -> dict[str, Any]:
    if len(comparison.levels) == 1:  # Splink wants two
        (weight,) = model.weights[comparison.field]
        known = _level(
            _columns(comparison.known_sql), f"{comparison.label} {comparison.levels[0].label}", weight
        )
        return {
            "output_column_name": comparison.field,
            "comparison_levels": [known, _level("ELSE", "otherwise", 0.0)],
        }
    unknown = (
        f"NOT {comparison.known_sql}"
        if comparison.known_sql
        else f"l.{comparison.feature} IS NULL OR r.{comparison.feature} IS NULL"
    )
    levels: list[dict[str, Any]] = [
        {"sql_condition": _columns(unknown), "label_for_charts": "unknown", "is_null_level": True}
    ]
    for level, weight in zip(comparison.levels, model.weights[comparison.field], strict=True):
        settings = _level(_columns(level.sql) or "ELSE", f"{comparison.label} {level.label}", weight)
        if level.name in comparison.rarity_levels:
            settings |= {
                "tf_adjustment_column": comparison.feature,
                "tf_adjustment_weight": model.rarity[comparison.field],
                "disable_tf_exact_match_detection": True,
            }
        levels.append(settings)
    return {"output_column_name": comparison.field, "comparison_levels": levels}


def _level(sql: str, label: str, weight: float) -> dict[str, Any]:
    return {
        "sql_condition": sql,
        "label_for_charts": label,
        "m_probability": U * 2**weight,
        "u_probability": U,
    }


def _interaction_conditions() -> list[tuple[Interaction, str]]:
    numbers = {term.field: f"({_columns(term.sql)})" for term in COMPARISONS}
    return [
        (
            term,
            " AND ".join(
                f"{numbers[name]} IN ({', '.join(map(str, term.level_numbers(name)))})" for name in term.when
            ),
        )
        for term in (*INTERACTIONS, *SHARING_TERMS)
    ]


def _interaction_comparison(interaction: Interaction, sql: str, weight: float) -> dict[str, Any]:
    settings = _level(sql, interaction.label, weight)
    if interaction.by in BY_FIELD:  # the weight counts once for each bit of a name's rarity
        settings = _level(sql, interaction.label, 0.0) | {
            "tf_adjustment_column": BY_FIELD[interaction.by].feature,
            "tf_adjustment_weight": weight,
            "disable_tf_exact_match_detection": True,
        }
    return {
        "output_column_name": interaction.name,
        "comparison_levels": [settings, _level("ELSE", "otherwise", 0.0)],
    }
