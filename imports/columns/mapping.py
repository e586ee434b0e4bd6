"""The mapping of a file's columns as JSON → checked, and ready to clean rows with."""

from collections import Counter
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imports.columns.consent_words import GRANTED, MEANINGS, NEITHER, OPTED_OUT, WITHDRAWN
from imports.columns.guess import ambiguous_columns, column_keys
from imports.columns.targets import (
    APPEND,
    BIRTHDAY,
    FILL,
    POLICIES,
    Context,
    Target,
    UnknownTarget,
    parse_target,
)
from profiles.consent.words import SHIPPED, ConsentLists

BIRTH_DATE = "birth_date"
MAX_SEPARATOR = 5


class MappingError(ValueError):
    """`problems` are (column, sentence) pairs, all of them; column "" is the mapping as a whole."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(
            "; ".join(f"{column}: {message}" if column else message for column, message in problems)
        )
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """One column on its way to one target; `index` None is a constant, the same `const` for every row.

    `separator` stands between several values in a cell. Of a consent: `meaning` is what a yes says (opted_out: a
    no), `values` what single words say. `is_confirmed`: somebody said that what looks like a consent is left out.
    """

    key: str
    target: Target
    policy: str
    index: int | None = None
    const: str | None = None
    separator: str = ""
    meaning: str = ""
    values: tuple[tuple[str, str], ...] = ()
    is_confirmed: bool = False

    def as_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"to": self.target.to, "policy": self.policy}
        if self.const is not None:
            entry["const"] = self.const
        if self.separator:
            entry["separator"] = self.separator
        if self.meaning:
            entry["meaning"] = self.meaning
        if self.values:
            entry["values"] = dict(self.values)
        if self.is_confirmed:
            entry["confirmed"] = True
        return entry


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping. `policies` says per field (`first_name`, `attributes.plan`, `tags`) how it is written."""

    headers: tuple[str, ...]
    columns: tuple[ColumnMapping, ...]
    has_birthday: bool = False  # whether a birthday without a year has an attribute to go to
    consents: ConsentLists = SHIPPED  # the channels and purposes there are

    @property
    def used(self) -> tuple[ColumnMapping, ...]:
        return tuple(column for column in self.columns if column.target.kind != "ignore")

    @property
    def cell_columns(self) -> tuple[ColumnMapping, ...]:
        """The used columns that have cells. A cell's number is its column's place here."""
        return tuple(column for column in self.used if column.index is not None)

    @property
    def policies(self) -> dict[str, str]:
        policies: dict[str, str] = {}
        for column in self.columns:
            fields = ("tags",) if column.target.kind == "tags" else column.target.fields
            policies.update(dict.fromkeys(fields, column.policy))
        if BIRTH_DATE in policies and self.has_birthday:
            policies.setdefault(f"attributes.{BIRTHDAY}", policies[BIRTH_DATE])
        return policies

    @property
    def identifiers(self) -> list[str]:
        """The identifier types the file has, each once."""
        return list(
            dict.fromkeys(column.target.identifier for column in self.columns if column.target.identifier)
        )

    def as_json(self) -> dict[str, dict[str, Any]]:
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
    has_birthday = BIRTHDAY in context.attribute_by_name
    return Mapping(tuple(headers), tuple(columns), has_birthday, context.consents)


def _column(
    key: str, entry: Any, keys: dict[str, int], headers: Sequence[str], context: Context, default_policy: str
) -> ColumnMapping:
    if isinstance(entry, str):
        entry = {"to": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("to"), str):
        raise UnknownTarget('Write where it goes, for example {"to": "email"}.')
    target = parse_target(entry["to"], context)
    policy = _policy(entry.get("policy"), target, context, default_policy)
    more: dict[str, Any] = {
        "separator": _separator(entry.get("separator"), target, context),
        "meaning": _meaning(entry.get("meaning"), target),
        "values": _values(entry.get("values"), target),
        "is_confirmed": entry.get("confirmed") is True and target.kind == "ignore",
    }
    if "const" in entry:
        if not isinstance(entry["const"], str) or not entry["const"].strip():
            raise UnknownTarget("A constant is a text that is not empty.")
        return ColumnMapping(key, target, policy, const=entry["const"], **more)
    if key not in keys:
        if list(headers).count(key) > 1:
            raise UnknownTarget(
                f"Several columns are called “{key}”. Name each by its position, #1 for the first column."
            )
        raise UnknownTarget(f"The file has no column “{key}”.")
    return ColumnMapping(key, target, policy, index=keys[key], **more)


def _separator(given: Any, target: Target, context: Context) -> str:
    """What stands between several values in a cell; for tags, lists, and identifiers a person may have several of."""
    if given in (None, ""):
        return ""
    is_list = target.kind == "attribute" and context.attribute_by_name[target.name].type == "list"
    spec = context.identifier_by_name[target.identifier] if target.identifier else None
    if target.kind != "tags" and not is_list and (spec is None or spec.max_per_profile == 1):
        raise UnknownTarget("A separator is for tags, lists and identifiers a person may have several of.")
    if not isinstance(given, str) or len(given) > MAX_SEPARATOR or given.isalnum():
        raise UnknownTarget(
            f"A separator is a text of at most {MAX_SEPARATOR} characters, such as a semicolon."
        )
    return given


def _meaning(given: Any, target: Target) -> str:
    if given in (None, "", "opted_in"):
        return ""
    if given not in MEANINGS:
        raise UnknownTarget(f"The meaning of a consent column must be one of {', '.join(MEANINGS)}.")
    if target.kind != "consent" or target.part != "state":
        raise UnknownTarget("Only a column that says yes or no to a consent has a meaning.")
    return OPTED_OUT


def _values(given: Any, target: Target) -> tuple[tuple[str, str], ...]:
    if not given:
        return ()
    states = (GRANTED, WITHDRAWN, NEITHER)
    if not isinstance(given, dict) or not all(
        isinstance(word, str) and given[word] in states for word in given
    ):
        raise UnknownTarget(
            'The values of a consent column are written {"word": "granted", "other": "withdrawn"}.'
        )
    if target.kind != "consent" or target.part != "state":
        raise UnknownTarget("Only a column that says yes or no to a consent has values to explain.")
    return tuple(given.items())


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
        if target.fields and target.is_single:
            for name in target.fields:
                by_target.setdefault((name,), []).append(column)
        elif target.is_single:
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
