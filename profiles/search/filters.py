"""Query parameters → surviving profiles, by one set of filters for the admin's list, the API and bulk actions.

Every filter looks at all members of a profile: a tag, an identifier or a source of a merged-away row counts
for the survivor. Each is one subquery; none is a JOIN, so nothing is listed twice and no DISTINCT is needed.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from cdp.errors import Invalid
from cdp.ids import row_id
from profiles.identity.lookup import clean_pair
from profiles.identity.normalize import BadValue, country
from profiles.identity.types import get_type, identifier_types
from profiles.models import Identifier, Profile, ProfileTag, Source
from profiles.search.attribute_filter import OPERATOR, UPTO, AttributeFilter, parts_of
from profiles.search.list_filters import Roots, list_filters
from profiles.search.search import SearchResult, search
from profiles.tagging import unknown_tags
from profiles.values.attributes import CUSTOM, DEFAULTS, attribute_specs

# “30d”: so many days before now, for filters that are saved and opened again.
# So many sources are named where one is unknown.
MOST_NAMED = 20
RELATIVE = re.compile(r"(\d{1,4})d", re.IGNORECASE)


class MomentField(forms.Field):
    """ISO 8601 moment, or a day meaning its midnight; without a zone in the site's time zone. Or “30d”."""

    def to_python(self, value: Any) -> Any:
        if not value:
            return None
        if relative := RELATIVE.fullmatch(str(value).strip()):
            return timezone.now() - datetime.timedelta(days=int(relative[1]))
        try:
            moment = parse_datetime(f"{value}T00:00" if parse_date(value) else value)
        except ValueError:
            moment = None
        if moment is None:
            raise ValidationError(
                f"“{value}” is not a date. Write it like 2026-03-01 or 2026-03-01T14:30:00Z."
            )
        return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


class YesNoField(forms.Field):
    """``true`` or ``false``; None when left out. Anything else is an error, not a filter without effect."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> bool | None:
        text = str(value or "").lower()
        if text in ("true", "1", "yes"):
            return True
        if text in ("false", "0", "no"):
            return False
        if text:
            raise ValidationError(f"“{value}” is neither true nor false.")
        return None


class ManyField(forms.Field):
    """A parameter that may be repeated."""

    widget = forms.SelectMultiple

    def to_python(self, value: Any) -> list[str]:
        return [part for part in ([value] if isinstance(value, str) else value or []) if part]


class CountriesField(ManyField):
    """Codes or names of countries, as codes."""

    def to_python(self, value: Any) -> list[str]:
        try:
            return [country(raw) for raw in super().to_python(value)]
        except BadValue as error:
            raise ValidationError(str(error)) from error


class YesNoFilter(django_filters.Filter):
    field_class = YesNoField


class MomentFilter(django_filters.Filter):
    field_class = MomentField


class TextFilter(django_filters.Filter):
    field_class = forms.CharField


class ManyFilter(django_filters.Filter):
    field_class = ManyField

    def filter(self, qs: Any, value: Any) -> Any:
        return self.method(qs, value) if value else qs


class CountriesFilter(django_filters.Filter):
    """In any of the countries."""

    field_class = CountriesField

    def filter(self, qs: Any, value: Any) -> Any:
        return qs.filter(country__in=value) if value else qs


class OneOfFilter(django_filters.ChoiceFilter):
    """One of ``choices``; another value is an error that names them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        known = ", ".join(value for value, _ in kwargs["choices"])
        invalid = f"“%(value)s” is none of {known}."
        super().__init__(*args, **{"error_messages": {"invalid_choice": invalid}, **kwargs})


TYPES = [("recognized", "Recognized"), ("anonymous", "Anonymous")]
# What can be listed. Merged-away profiles never are: their winner is.
STATUSES = [("live", "Live"), ("deleted", "Deleted")]


class ProfileFilter(django_filters.FilterSet):
    """Surviving profiles by any of the API's filters: those here, about what a profile itself has, and those that
    rooms and apps above registered (profiles/search/list_filters.py). ``queryset`` is ``Profile.objects.all()`` or narrower.

    ``qs`` is exactly the profiles that match; ``page_qs`` is the same set for a page of a list, which for
    very common search words looks at surviving rows only (see profiles/search/search.py). ``search_result`` says why each was found.
    Raises Invalid for an attribute value that is none; other bad values are errors of ``form``.
    """

    q = TextFilter(method="by_search", label="Search")
    type = OneOfFilter(choices=TYPES, method="by_type", label="Type")
    tag = ManyFilter(method="by_tags", label="Tag")
    country = CountriesFilter(label="Country")
    source = TextFilter(method="by_source", label="Source")
    created_at_after = MomentFilter(field_name="created_at", lookup_expr="gte", label="Created since")
    created_at_before = MomentFilter(field_name="created_at", lookup_expr="lt", label="Created before")
    last_seen_at_after = MomentFilter(field_name="last_seen_at", lookup_expr="gte", label="Seen since")
    last_seen_at_before = MomentFilter(field_name="last_seen_at", lookup_expr="lt", label="Not seen since")
    identifier = TextFilter(method="by_identifier", label="Identifier")
    locked = YesNoFilter(field_name="is_locked", label="Locked against merging")
    status = OneOfFilter(choices=STATUSES, method="keep", label="Status", null_label=None)

    class Meta:
        model = Profile
        fields: list[str] = []

    def __init__(self, data: Any = None, queryset: Any = None, **kwargs: Any) -> None:
        super().__init__(data, Profile.objects.all() if queryset is None else queryset, **kwargs)
        self.search_result: SearchResult | None = None
        self._is_for_page = False
        for name, registered in list_filters.items():
            self._add(name, registered.make())
        wanted = dict.fromkeys(parts_of(name)[0] for name in self.data if name.startswith(CUSTOM))
        if wanted:
            self._add_attributes(list(wanted))

    def _add_attributes(self, wanted: list[str]) -> None:
        specs = attribute_specs()
        for name in self.data:
            part = parts_of(name)[1] if name.startswith(CUSTOM) else ""
            if part not in ("", OPERATOR, UPTO):
                message = f"There is no filter “{name}”."
                raise Invalid([{"field": name, "value": self.data.get(name), "message": message}])
        for name in wanted:
            spec = specs.get(name) or DEFAULTS.get(name.removeprefix(CUSTOM))
            if spec is None:
                plain = name.removeprefix(CUSTOM)
                message = f"There is no attribute “{plain}”."
                raise Invalid([{"field": name, "value": plain, "message": message}])
            operator, upto = (self.data.get(f"{name}.{part}") or "" for part in (OPERATOR, UPTO))
            self._add(name, AttributeFilter(spec, operator=operator, upto=upto))

    def _add(self, name: str, added: django_filters.Filter) -> None:
        added.field_name, added.parent, added.model = name, self, Profile
        self.filters[name] = added

    def filter_queryset(self, queryset: Any) -> Any:
        status = self.form.cleaned_data.get("status") or Profile.Status.LIVE
        # Live and deleted profiles are roots by constraint and by the verbs; saying so again
        # (canonical = id) makes the planner expect one row in two hundred and choose badly.
        return super().filter_queryset(queryset.filter(status=status))

    @property
    def page_qs(self) -> Roots:
        """For pages of a list; see the class. Runs the search box's own queries when there is a ``q``."""
        self.form.is_valid()
        self._is_for_page = True
        try:
            roots: Roots = self.filter_queryset(self.queryset.all())
            return roots
        finally:
            self._is_for_page = False

    @property
    def is_search_alone(self) -> bool:
        """Whether the search text is the only filter (beside the type), and found every match."""
        chosen = {name for name, value in self.form.cleaned_data.items() if value not in (None, "", [])}
        return (
            self.search_result is not None
            and not self.search_result.is_capped
            and chosen <= {"q", "type", "status"}
        )

    def without_type(self) -> Roots:
        """All profiles the other filters match, for counting both types. Needs a valid form."""
        cleaned = self.form.cleaned_data
        try:
            self.form.cleaned_data = {**cleaned, "type": ""}
            return self.page_qs
        finally:
            self.form.cleaned_data = cleaned

    def keep(self, queryset: Roots, name: str, value: Any) -> Roots:
        return queryset

    def by_search(self, queryset: Roots, name: str, value: str) -> Roots:
        if self.search_result is None:
            status = self.form.cleaned_data.get("status") or Profile.Status.LIVE
            self.search_result = search(value, status=status)
        if not self.search_result.text:
            return queryset
        return queryset.filter(
            self.search_result.page_condition if self._is_for_page else self.search_result.condition
        )

    def by_type(self, queryset: Roots, name: str, value: str) -> Roots:
        return queryset.filter(is_recognized=value == "recognized")

    def by_tags(self, queryset: Roots, name: str, value: list[str]) -> Roots:
        """Has each of the tags, whatever its case. Raises Invalid for one that does not exist."""
        if unknown := unknown_tags(value):
            message = f"There is no tag “{unknown[0]}”."
            raise Invalid([{"field": name, "value": unknown[0], "message": message}])
        for tag in value:
            links = ProfileTag.objects.filter(tag__name__iexact=tag)
            queryset = queryset.filter(pk__in=links.values("profile__canonical_id"))
        return queryset

    def by_source(self, queryset: Roots, name: str, value: str) -> Roots:
        """Created through this source (name or id), or the winner of a profile that was."""
        sources = (
            Source.objects.filter(pk=row_id(value))
            if value.isdigit()
            else Source.objects.filter(name__iexact=value)
        )
        ids = list(sources.values_list("pk", flat=True))
        if not ids:
            known = ", ".join(Source.objects.order_by("name").values_list("name", flat=True)[:MOST_NAMED])
            message = f"There is no source “{value}”. There are: {known}."
            raise Invalid([{"field": name, "value": value, "message": message}])
        merged = Profile.objects.exclude(canonical_id=F("pk")).filter(source_id__in=ids)
        return queryset.filter(Q(source_id__in=ids) | Q(pk__in=merged.values("canonical_id")))

    def by_identifier(self, queryset: Roots, name: str, value: str) -> Roots:
        """Has ``type:value`` (in any format), as an identifier or a contact value."""
        type_name, _, raw = value.partition(":")
        try:
            pair = clean_pair(get_type(identifier_types(), type_name), raw.strip())
        except Invalid as error:
            raise Invalid([{**error.problems[0], "field": "identifier"}]) from error
        if pair is None:
            return queryset.none()
        identifiers = Identifier.objects.filter(type__name=pair[0], value=pair[1])
        return queryset.filter(pk__in=identifiers.values("profile__canonical_id"))
