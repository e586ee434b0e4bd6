"""The parameters of the people list → the fields of its filter panel: the list's own and those of registered filters."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter

from django.http import QueryDict

from profiles.admin.list_filters import PERIODS, country_name
from profiles.identity.normalize import country_choices
from profiles.models import Source, Tag
from profiles.search.attribute_filter import OPERATOR, UPTO, is_ordered, operator_words, operators_of
from profiles.search.list_filters import Choices, list_filters
from profiles.values.attributes import CUSTOM, DEFAULTS, AttributeSpec

# Custom attributes the filter panel offers; any other can be filtered by its address.
ATTRIBUTES = 6
# Default attributes without a filter of their own that people ask for.
_DEFAULT_ATTRIBUTES = ("city", "language", "gender")
_MOST_TAGS = 300
_LOCKED: Choices = [("true", "Yes"), ("false", "No")]
_PERIODS: Choices = [(f"{days}d", label) for days, label in PERIODS.items()]
# Parameter → what its period is called, and what its date is.
_TIMES = {
    "last_seen_at_after": ("Seen in the last", "Or seen since"),
    "last_seen_at_before": ("Not seen for", "Or not seen since"),
    "created_at_after": ("Added in the last", "Or added since"),
    "created_at_before": ("Added at least … ago", "Or added before"),
}


@dataclass(frozen=True, slots=True)
class PanelField:
    """One field; ``template`` draws it.

    ``value`` is in force; where several may be, ``chosen`` has them as (value, name).
    ``hint`` is a second text of some templates. An attribute has its ``operators``, the one in force, and the other end
    (``upto``) of what lies between two values.
    """

    template: str
    name: str
    label: str
    value: str
    choices: Choices = field(default_factory=list)
    chosen: Choices = field(default_factory=list)
    hint: str = ""
    operators: Choices = field(default_factory=list)
    operator: str = ""
    upto: str = ""
    is_ordered: bool = False
    kind: str = "text"


def panel_fields(params: QueryDict, specs: dict[str, AttributeSpec]) -> list[PanelField]:
    """In the order they stand in. Two queries, and those of registered filters for their choices."""
    fields = [*_own_fields(params, specs), *_registered_fields(params)]
    return [panel_field for _, panel_field in sorted(fields, key=itemgetter(0))]


def _registered_fields(params: QueryDict) -> list[tuple[int, PanelField]]:
    return [
        (
            list_filters.order_of(name),
            PanelField(entry.template, name, entry.label, params.get(name, ""), entry.choices()),
        )
        for name, entry in list_filters.items()
    ]


def _own_fields(params: QueryDict, specs: dict[str, AttributeSpec]) -> list[tuple[int, PanelField]]:
    """(place, field), with room between them for registered filters."""
    countries = [(value, country_name(value)) for value in params.getlist("country") if value]
    tags = [(value, value) for value in params.getlist("tag") if value]
    tag_names = Tag.objects.values_list("name", "name")[:_MOST_TAGS]
    source_names = Source.objects.values_list("name", "name")
    return [
        (10, _several("country", "Country is", countries, country_choices(), "or…")),
        (20, _several("tag", "Tag is", tags, list(tag_names), "and…")),
        *((30, _period(name, params)) for name in _TIMES),
        (50, _choice("source", "Source", params, list(source_names))),
        *((60, attribute) for attribute in _attributes(params, specs)),
        (80, _choice("locked", "Locked against merging", params, _LOCKED)),
    ]


def _several(name: str, label: str, chosen: Choices, choices: Choices, hint: str) -> PanelField:
    return PanelField("admin/profiles/filter_several.html", name, label, "", choices, chosen, hint)


def _choice(name: str, label: str, params: QueryDict, choices: Choices) -> PanelField:
    return PanelField("admin/profiles/filter_choice.html", name, label, params.get(name, ""), choices)


def _period(name: str, params: QueryDict) -> PanelField:
    label, date_label = _TIMES[name]
    template = "admin/profiles/filter_period.html"
    return PanelField(template, name, label, params.get(name, ""), _PERIODS, hint=date_label)


def _attributes(params: QueryDict, specs: dict[str, AttributeSpec]) -> list[PanelField]:
    """Some defaults, the first custom ones, and those in force."""
    custom = [spec for spec in specs.values() if spec.is_custom]
    offered = {CUSTOM + name: DEFAULTS[name] for name in _DEFAULT_ATTRIBUTES}
    offered |= {
        spec.field: spec
        for position, spec in enumerate(custom)
        if position < ATTRIBUTES or _is_asked(spec.field, params)
    }
    offered |= {CUSTOM + name: spec for name, spec in DEFAULTS.items() if _is_asked(CUSTOM + name, params)}
    return [_attribute(spec, name, params) for name, spec in offered.items()]


def _is_asked(name: str, params: QueryDict) -> bool:
    return bool(params.get(name) or params.get(f"{name}.{OPERATOR}"))


def _attribute(spec: AttributeSpec, name: str, params: QueryDict) -> PanelField:
    values = ["true", "false"] if spec.type == "boolean" else list(spec.allowed)
    chosen = params.getlist(name)
    return PanelField(
        "admin/profiles/filter_attribute.html",
        name,
        spec.label,
        ", ".join(chosen),
        [] if spec.type == "list" else [(value, value) for value in values],
        [(value, value) for value in chosen],
        operators=[("" if key == "eq" else key, operator_words(spec, key)) for key in operators_of(spec)],
        operator=params.get(f"{name}.{OPERATOR}", ""),
        upto=params.get(f"{name}.{UPTO}", ""),
        is_ordered=is_ordered(spec),
        kind="date" if spec.type in ("date", "birth_date") else "text",
    )
