"""The mapping of a file's columns as JSON → checked, and ready to clean rows with."""

from collections import Counter
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imports.columns.guess import ambiguous_columns, column_keys
from imports.columns.targets import (
    APPEND,
    FILL,
    POLICIES,
    Context,
    Target,
    UnknownTarget,
    parse_target,
)


class MappingError(ValueError):
    """`problems` are (column, sentence) pairs, all of them; column "" is the mapping as a whole."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(
            "; ".join(f"{column}: {message}" if column else message for column, message in problems)
        )
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """One column on its way to one target; `index` None is a constant, the same `const` for every row."""

    key: str
    target: Target
    policy: str
    index: int | None = None
    const: str | None = None

    def as_json(self) -> dict[str, str]:
        entry = {"to": self.target.to, "policy": self.policy}
        return entry if self.const is None else {**entry, "const": self.const}


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping. `policies` says per field (`first_name`, `attributes.plan`, `tags`) how it is written."""

    headers: tuple[str, ...]
    columns: tuple[ColumnMapping, ...]

    @property
    def used(self) -> tuple[ColumnMapping, ...]:
        return tuple(column for column in self.columns if column.target.kind != "ignore")

    @property
    def policies(self) -> dict[str, str]:
        return {
            column.target.field or column.target.kind: column.policy
            for column in self.columns
            if column.target.field or column.target.kind == "tags"
        }

    @property
    def identifiers(self) -> list[str]:
        """The identifier types the file has, each once."""
        return list(
            dict.fromkeys(column.target.identifier for column in self.columns if column.target.identifier)
        )

    def as_json(self) -> dict[str, dict[str, str]]:
        return {column.key: column.as_json() for column in self.columns}


def parse_mapping(
    data: AnyMapping[str, Any], headers: Sequence[str], context: Context, *, default_policy: str = FILL
) -> Mapping:
    """Check `{"Column": {"to": …, "policy": …}}` against the file's header and what exists here.

    A column is named by its header, or `#3` by its position from 1; a column not named is ignored, unless its
    header is empty, given twice or nearly the same as another: then it has to be named. An entry with
    `"const"` belongs to no column, its key is a label. Raises `MappingError` with everything that is wrong.
    """
    problems: list[tuple[str, str]] = []
    columns: list[ColumnMapping] = []
    keys = column_keys(headers)
    ambiguous = ambiguous_columns(headers, context)
    for key, entry in data.items():
        try:
            columns.append(_column(key, entry, keys, headers, context, default_policy))
        except UnknownTarget as error:
            problems.append((key, error.message))
    named = {column.index for column in columns} | {keys.get(key) for key, _ in problems}
    problems += [(f"#{index + 1}", why) for index, why in ambiguous.items() if index not in named]
    problems += _clashes(columns, headers, context)
    if problems:
        raise MappingError(problems)
    return Mapping(tuple(headers), tuple(columns))


def _column(
    key: str, entry: Any, keys: dict[str, int], headers: Sequence[str], context: Context, default_policy: str
) -> ColumnMapping:
    if isinstance(entry, str):
        entry = {"to": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("to"), str):
        raise UnknownTarget('Write where it goes, for example {"to": "email"}.')
    target = parse_target(entry["to"], context)
    policy = _policy(entry.get("policy"), target, context, default_policy)
    if "const" in entry:
        if not isinstance(entry["const"], str) or not entry["const"].strip():
            raise UnknownTarget("A constant is a text that is not empty.")
        return ColumnMapping(key, target, policy, const=entry["const"])
    if key not in keys:
        if list(headers).count(key) > 1:
            raise UnknownTarget(
                f"Several columns are called “{key}”. Name each by its position, #1 for the first column."
            )
        raise UnknownTarget(f"The file has no column “{key}”.")
    return ColumnMapping(key, target, policy, index=keys[key])


def _policy(given: Any, target: Target, context: Context, default_policy: str) -> str:
    """The given policy, checked; without one tags are added, everything else follows the import's own."""
    is_multiple = target.kind == "tags" or (
        target.kind == "attribute" and context.attribute_by_name[target.name].type == "list"
    )
    if given in (None, ""):
        if target.kind == "tags" and default_policy == FILL:
            return APPEND
        return FILL if default_policy == APPEND and not is_multiple else default_policy
    if given not in POLICIES:
        raise UnknownTarget(f"The policy must be one of {', '.join(POLICIES)}.")
    if given == APPEND and target.field and not is_multiple:
        raise UnknownTarget("“append” is for tags and lists. Choose fill_if_empty or overwrite.")
    return str(given)


def _clashes(columns: list[ColumnMapping], headers: Sequence[str], context: Context) -> list[tuple[str, str]]:
    clashes = []
    positions = Counter(column.index for column in columns if column.index is not None)
    for index, count in positions.items():
        if count > 1:
            clashes.append((headers[index], "The column is named twice, by its header and by its position."))
    by_target: dict[tuple[str, ...], list[ColumnMapping]] = {}
    for column in columns:
        target = column.target
        if target.is_single:
            by_target.setdefault((target.kind, target.name, target.part), []).append(column)
        if target.identifier and context.identifier_by_name[target.identifier].max_per_profile == 1:
            by_target.setdefault(("identifier", target.identifier), []).append(column)
    for same in by_target.values():
        if len(same) > 1:
            names = " and ".join(f"“{column.key}”" for column in same)
            clashes.append(
                (same[1].key, f"{names} cannot all go to {same[0].target.to}. Choose one of them.")
            )
    return clashes
