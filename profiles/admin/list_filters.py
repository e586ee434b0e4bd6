"""The parameters of the people list → filters as sentences, each with the address of the list without it."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import QueryDict

from profiles.identity.normalize import BadValue, country
from profiles.search.attribute_filter import ALONE, BETWEEN, ONE_OF, OPERATOR, UPTO, operator_words, parts_of
from profiles.search.filters import RELATIVE
from profiles.search.list_filters import list_filters, yes_or_no
from profiles.values.attributes import CUSTOM, AttributeSpec, display

# Parameters that place a page, not people.
PLACING = ("after", "before", "sort")
# Parameters that name the saved view in force, and columns that are not its own.
VIEWING = ("view", "columns")
# The periods of the pick lists: days, and how a sentence names them.
PERIODS = {"1": "24 hours", "7": "7 days", "30": "30 days", "90": "90 days", "365": "12 months"}
_TIMES = {
    "created_at_after": ("Added", "in the last", "since"),
    "created_at_before": ("Added", "at least", "before"),
    "last_seen_at_after": ("Seen", "in the last", "since"),
    "last_seen_at_before": ("Not seen", "for", "since"),
}
_LABELS = {"source": "Source", "identifier": "Identifier"}


@dataclass(frozen=True, slots=True)
class FilterChip:
    """A filter in force, read as a sentence: “Country” “is” “Poland or Germany”."""

    label: str
    operator: str
    value: str
    url: str


def without(params: QueryDict, *names: str) -> QueryDict:
    """The parameters that choose people, without empty ones and those named."""
    plain = QueryDict(mutable=True)
    for name, values in params.lists():
        kept = [value for value in values if value]
        if kept and name not in names:
            plain.setlist(name, kept)
    return plain


def filter_chips(params: QueryDict, specs: dict[str, AttributeSpec]) -> list[FilterChip]:
    """One for each filter in force; the search text and the type have controls of their own."""
    chips = []
    everything = without(params, "after", "before")
    plain = without(everything, "q", "type", "status", "sort", *VIEWING)
    attributes: dict[str, list[str]] = {}
    for name in plain:
        if name.startswith(CUSTOM):
            attributes.setdefault(parts_of(name)[0], []).append(name)
    for name, values in plain.lists():
        if name.startswith(CUSTOM):
            if not (names := attributes.pop(parts_of(name)[0], [])):
                continue
            sentence = _attribute_sentence(parts_of(name)[0], plain, specs)
        else:
            names, sentence = [name], _sentence(name, values)
        chips.append(FilterChip(*sentence, f"?{without(everything, *names).urlencode()}"))
    return chips


def _attribute_sentence(
    name: str, params: QueryDict, specs: dict[str, AttributeSpec]
) -> tuple[str, str, str]:
    plain = name.removeprefix(CUSTOM)
    spec = specs.get(name) or specs.get(plain)
    operator = params.get(f"{name}.{OPERATOR}", "eq")
    values = params.getlist(name)
    text = " or ".join(values) if operator == ONE_OF else values[-1] if values else ""
    if operator == BETWEEN:
        text = f"{text} and {params.get(f'{name}.{UPTO}', '')}"
    return (
        spec.label if spec else plain,
        operator_words(spec, operator),
        "" if operator in ALONE else text,
    )


def filters_in_words(params: QueryDict, specs: dict[str, AttributeSpec]) -> str:
    """All of the filters as one sentence: “Country is Poland and Tag is vip”; the search text and the type among them."""
    parts = [f"{chip.label} {chip.operator} {chip.value}" for chip in filter_chips(params, specs)]
    if kind := params.get("type"):
        parts.insert(0, f"Type is {kind}")
    if text := params.get("q"):
        parts.insert(0, f"Search finds “{text}”")
    return " and ".join(parts)


def _sentence(name: str, values: list[str]) -> tuple[str, str, str]:
    """(label, operator, value)."""
    last = values[-1]
    if name in list_filters:
        registered = list_filters[name]
        return registered.label, *registered.sentence(values)
    if name in _TIMES:
        return _time_sentence(name, last)
    if name == "country":
        return "Country", "is", " or ".join(country_name(value) for value in values)
    if name == "tag":
        return "Tag", "is", " and ".join(values)
    if name == "locked":
        return "Locked against merging", *yes_or_no(values)
    return _LABELS.get(name, name), "is", last


def _time_sentence(name: str, value: str) -> tuple[str, str, str]:
    label, relative_operator, date_operator = _TIMES[name]
    relative = RELATIVE.fullmatch(value)
    if relative is None:
        return label, date_operator, value
    days = relative[1]
    period = PERIODS.get(days) or ("1 day" if days == "1" else f"{days} days")
    return label, relative_operator, f"{period} ago" if relative_operator == "at least" else period


def country_name(value: str) -> str:
    try:
        return display("country", country(value))
    except BadValue:
        return value
