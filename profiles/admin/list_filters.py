"""The parameters of the people list → filters as sentences, each with the address of the list without it."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import QueryDict

from profiles.admin.timeline_text import CHANNELS
from profiles.identity.normalize import BadValue, country
from profiles.models import Consent
from profiles.search.filters import RELATIVE
from profiles.values.attributes import CUSTOM, DEFAULTS, LABELS, AttributeSpec, display

# Parameters that place a page, not people.
PLACING = ("after", "before", "sort")
# Custom attributes the filter panel offers; any other can be filtered by its address.
ATTRIBUTES = 6
# Default attributes without a filter of their own that people ask for.
_DEFAULT_ATTRIBUTES = ("city", "language", "gender")
# The periods of the pick lists: days, and how a sentence names them.
PERIODS = {"1": "24 hours", "7": "7 days", "30": "30 days", "90": "90 days", "365": "12 months"}
_TIMES = {
    "created_at_after": ("Added", "in the last", "since"),
    "created_at_before": ("Added", "at least", "before"),
    "last_seen_at_after": ("Seen", "in the last", "since"),
    "last_seen_at_before": ("Not seen", "for", "since"),
}
_LABELS = {
    "tag": "Tag",
    "country": "Country",
    "source": "Source",
    "import": "Import",
    "identifier": "Identifier",
    "consent": "Consent",
    "locked": "Locked against merging",
    "duplicates": "Possible duplicates",
}
_YES_NO = {"true": "yes", "false": "no"}


@dataclass(frozen=True, slots=True)
class FilterChip:
    """A filter in force, read as a sentence: “Country” “is” “Poland or Germany”."""

    label: str
    operator: str
    value: str
    url: str


@dataclass(frozen=True, slots=True)
class AttributeField:
    """A filter on an attribute, as the panel offers it; ``options`` where only some values are allowed."""

    label: str
    name: str
    value: str
    options: list[str]


def without(params: QueryDict, *names: str) -> QueryDict:
    """The parameters that choose people, without empty ones and those named."""
    plain = QueryDict(mutable=True)
    for name, values in params.lists():
        kept = [value for value in values if value]
        if kept and name not in names:
            plain.setlist(name, kept)
    return plain


def filter_chips(params: QueryDict) -> list[FilterChip]:
    """One for each filter in force; the search text and the type have controls of their own."""
    chips = []
    everything = without(params, *PLACING)
    for name, values in without(everything, "q", "type", "status").lists():
        label, operator, value = _sentence(name, values)
        chips.append(FilterChip(label, operator, value, f"?{without(everything, name).urlencode()}"))
    return chips


def _sentence(name: str, values: list[str]) -> tuple[str, str, str]:
    """(label, operator, value)."""
    last = values[-1]
    if name in _TIMES:
        return _time_sentence(name, last)
    if name == "country":
        return "Country", "is", " or ".join(_country_name(value) for value in values)
    if name == "tag":
        return "Tag", "is", " and ".join(values)
    if name == "import":
        return "Import", "is", f"#{last}"
    if name == "consent":
        return "Consent", *_consent_sentence(last)
    if name.startswith(CUSTOM):
        plain = name.removeprefix(CUSTOM)
        return LABELS.get(plain, plain), "is", last
    return _LABELS.get(name, name), "is", _YES_NO.get(last, last)


def _time_sentence(name: str, value: str) -> tuple[str, str, str]:
    label, relative_operator, date_operator = _TIMES[name]
    relative = RELATIVE.fullmatch(value)
    if relative is None:
        return label, date_operator, value
    days = relative[1]
    period = PERIODS.get(days) or ("1 day" if days == "1" else f"{days} days")
    return label, relative_operator, f"{period} ago" if relative_operator == "at least" else period


def _country_name(value: str) -> str:
    try:
        return display("country", country(value))
    except BadValue:
        return value


def _consent_sentence(value: str) -> tuple[str, str]:
    pair, _, state = value.partition(":")
    channel, _, purpose = pair.partition("/")
    text = f"{CHANNELS.get(channel, channel)} {purpose}".strip()
    return ("withdrawn for" if state == Consent.State.WITHDRAWN else "given to"), text


def attribute_fields(params: QueryDict, specs: dict[str, AttributeSpec]) -> list[AttributeField]:
    """The attributes the panel offers: some defaults, the first custom ones, and those in force."""
    names = [CUSTOM + name for name in _DEFAULT_ATTRIBUTES]
    custom = [spec for spec in specs.values() if spec.is_custom]
    fields = [_field(DEFAULTS[name.removeprefix(CUSTOM)], name, params) for name in names]
    for position, spec in enumerate(custom):
        if position < ATTRIBUTES or params.get(spec.field):
            fields.append(_field(spec, spec.field, params))
    return fields


def _field(spec: AttributeSpec, name: str, params: QueryDict) -> AttributeField:
    options = ["true", "false"] if spec.type == "boolean" else list(spec.allowed)
    return AttributeField(spec.label, name, params.get(name, ""), options)


def chosen_countries(params: QueryDict) -> list[tuple[str, str]]:
    """(value, name) of the countries in force."""
    return [(value, _country_name(value)) for value in params.getlist("country") if value]
