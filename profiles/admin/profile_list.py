"""The list of people and the trash: search, filters, counts, pages, and what can be done with a row (P5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from cdp.errors import Invalid
from cdp.limits import TooSlow, time_limit
from profiles.admin.door import door, may_see, render
from profiles.admin.list_pages import SORTS, Page, page_of
from profiles.bulk.actions import ACTIONS
from profiles.finding.counting import TypeCounts, count_types
from profiles.finding.filters import TYPES, ProfileFilter
from profiles.finding.search import SearchHit, SearchResult
from profiles.identity.normalize import country_choices
from profiles.masking import DOTS, mask_identifier, mask_profile
from profiles.models import Identifier, Profile, ProfileTag, Source, Tag
from profiles.values.attributes import CUSTOM, LABELS, attribute_specs, display

# Parameters that place a page, not people.
_PLACING = ("after", "before", "sort")
# People the text names exactly come first on the first page, at most so many.
_PINNED = 20
# A page that cannot be read in this time asks to be narrowed.
MILLISECONDS = 5000
# A crowd is found by walking down the list, which takes some ten milliseconds. Where it takes this long (and
# the machine is not merely busy), the crowd stands far down, and gathering it is the lesser evil.
WALKING = 500
# Registered attributes the filter panel offers; any other works by its address.
_ATTRIBUTES = 6


@dataclass(slots=True)
class Row:
    """One person as the list shows them, masked where need be."""

    profile: Profile
    identifier: str = ""
    country: str = ""
    tags: list[Tag] = field(default_factory=list)
    found_as: str = ""


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in force: what it says, and the address of the list without it."""

    text: str
    url: str


@door("profiles.view_profile")
def people(request: HttpRequest) -> HttpResponse:
    """The list of everybody who is live."""
    return _list(request, status=Profile.Status.LIVE, template="list.html")


@door("profiles.view_profile", "profiles.restore_profile")
def deleted(request: HttpRequest) -> HttpResponse:
    """The trash: deleted people, who can be brought back."""
    return _list(request, status=Profile.Status.DELETED, template="deleted.html")


def _list(request: HttpRequest, *, status: str, template: str) -> HttpResponse:
    params = request.GET
    filters, problems = filter_of(params, status=status)
    found = filters.search_result
    sort = params["sort"] if params.get("sort") in SORTS else "newest"
    after, before = params.get("after", ""), params.get("before", "")
    rows: list[Row] = []
    page = Page([])
    if not problems:
        try:
            with time_limit(MILLISECONDS):
                pinned, page = _read(filters, sort=sort, after=after, before=before)
        except TooSlow:
            problems.append("This search takes too long. Narrow it with another word or filter.")
        else:
            rows = _rows([*pinned, *page.rows], found, sees=may_see(request))
    plain = without(params, *_PLACING)
    is_live = status == Profile.Status.LIVE
    counts = count_types(filters, is_filtered=bool(plain) or not is_live)
    actions = [action for action in ACTIONS.values() if request.user.has_perm(action.permission)]
    ticking = ("profiles.bulk_export", "profiles.merge_profile")
    context = {
        "title": "People" if is_live else "Deleted people",
        "rows": rows,
        "counts": counts,
        "tabs": _tabs(params, counts),
        "q": params.get("q", ""),
        "found": found,
        "gone_url": _gone_url(request, found) if is_live else "",
        "sorts": [(label, _url(params, sort=key), key == sort) for key, label in SORTS.items()],
        "sort": sort,
        "newer_url": _url(params, before=page.newer, keep_sort=True) if page.newer else "",
        "older_url": _url(params, after=page.older, keep_sort=True) if page.older else "",
        "chips": _chips(params),
        "filters_query": plain.urlencode(),
        "is_filtered": bool(plain),
        "problems": problems,
        "actions": actions,
        "may_tick": bool(actions) or any(map(request.user.has_perm, ticking)),
        "params": params,
        "attribute_filters": _attribute_filters(params),
        "tags": list(Tag.objects.values_list("name", flat=True)[:300]),
        "sources": list(Source.objects.values_list("name", flat=True)),
        "countries": country_choices(),
    }
    return render(request, template, context)


def _read(filters: ProfileFilter, *, sort: str, after: str, before: str) -> tuple[list[Profile], Page]:
    """People named exactly (on the first page), and the page behind them."""
    found = filters.search_result
    matching = _but(filters.page_qs, [])
    pinned_ids = found.exact_ids[:_PINNED] if found else []
    place: dict[str, Any] = {"sort": sort, "after": after, "before": before}
    if found and found.is_capped:
        page = _page_of_crowd(filters, pinned_ids, place)
    else:
        page = page_of(_but(matching, pinned_ids), **place)
    if not pinned_ids or after or before:
        return [], page
    return sorted(matching.filter(pk__in=pinned_ids), key=lambda root: pinned_ids.index(root.pk)), page


def _page_of_crowd(filters: ProfileFilter, pinned_ids: list[int], place: dict[str, Any]) -> Page:
    """A page of very many. Where all of them stand far down the list, they are gathered and sorted instead."""
    try:
        # The planner takes beginnings of words for rare and would rather gather at once.
        with time_limit(WALKING, enable_bitmapscan="off"):
            return page_of(_but(filters.page_qs, pinned_ids), **place)
    except TooSlow:
        with time_limit(MILLISECONDS, enable_indexscan="off"):
            return page_of(_but(filters.qs, pinned_ids), **place)


def _but(people: QuerySet[Profile], ids: list[int]) -> QuerySet[Profile]:
    people = people.defer("search", "attributes")
    return people.exclude(pk__in=ids) if ids else people


# --- Which people ---------------------------------------------------------------------------------------


def filter_of(params: QueryDict, *, status: str = Profile.Status.LIVE) -> tuple[ProfileFilter, list[str]]:
    """The filter an address of the list stands for, and sentences about what cannot be understood in it."""
    data = params.copy()
    data["status"] = status
    try:
        filters = ProfileFilter(data)
        problems = [message for errors in filters.form.errors.values() for message in errors]
        if not problems:
            filters.page_qs  # noqa: B018  (the search box looks, and values are cleaned)
    except Invalid as error:
        known = QueryDict(mutable=True)
        known["status"] = status
        return ProfileFilter(known), [problem["message"] for problem in error.problems]
    return filters, problems


def without(params: QueryDict, *names: str) -> QueryDict:
    """The parameters that choose people, without empty ones and those named."""
    plain = QueryDict(mutable=True)
    for name, values in params.lists():
        kept = [value for value in values if value]
        if kept and name not in names:
            plain.setlist(name, kept)
    return plain


# --- How they are shown -----------------------------------------------------------------------------------


def _rows(roots: list[Profile], found: SearchResult | None, *, sees: bool) -> list[Row]:
    """At most two queries for any number of rows."""
    ids = [root.pk for root in roots]
    rows = {root.pk: Row(_shown(root, sees), country=display("country", root.country)) for root in roots}
    for row in rows.values():
        row.identifier = row.profile.email or ""
    for root_id, tag in _tags(ids):
        if tag not in rows[root_id].tags:
            rows[root_id].tags.append(tag)
    for root_id, identifier in _identifiers([root.pk for root in roots if not root.email]):
        if not rows[root_id].identifier:
            name, value = identifier.type.name, identifier.value
            rows[root_id].identifier = value if sees else mask_identifier(name, value)
    if found is not None:
        for root in roots:
            rows[root.pk].found_as = found_as(found.by_root.get(root.pk), root, sees=sees)
    return list(rows.values())


def _shown(root: Profile, sees: bool) -> Profile:
    if sees:
        return root
    # The list reads no custom attributes; an empty dict spares the copy a query per row.
    root.attributes = {}
    return mask_profile(root)


def _tags(ids: list[int]) -> Iterator[tuple[int, Tag]]:
    links = ProfileTag.objects.filter(profile__canonical_id__in=ids).select_related("tag")
    for link in links.annotate(root_id=F("profile__canonical_id")).order_by("tag__name"):
        yield link.root_id, link.tag


def _identifiers(ids: list[int]) -> Iterator[tuple[int, Identifier]]:
    held = Identifier.objects.of_profiles(*ids).annotate(root_id=F("profile__canonical_id"))
    held = held.select_related("type").only("value", "profile_id", "type__name")
    for identifier in held.order_by("type__priority", "pk"):
        yield identifier.root_id, identifier


def found_as(hit: SearchHit | None, root: Profile, *, sees: bool) -> str:
    """Why somebody is in the list, where their row does not show it."""
    if hit is None:
        return ""
    if hit.member_id == root.pk and hit.value in (root.email, root.phone):
        return ""
    if sees:
        return hit.explain()
    return hit.explain(lambda kind, value: DOTS if kind == "name" else mask_identifier(kind, value))


def _gone_url(request: HttpRequest, found: SearchResult | None) -> str:
    """Where the trash shows a deleted person whom the search names exactly."""
    if found is None or not found.gone or not request.user.has_perm("profiles.restore_profile"):
        return ""
    return f"{reverse('admin:profiles_profile_deleted')}?{_query(q=f'#{found.gone[0]}')}"


def _tabs(params: QueryDict, counts: TypeCounts) -> list[tuple[str, Any, str, bool]]:
    chosen = params.get("type", "")
    numbers = {"": counts.all, "recognized": counts.recognized, "anonymous": counts.anonymous}
    tabs = [("", "All"), *TYPES]
    return [
        (label, numbers[key], _url(params, type=key, keep_sort=True), key == chosen) for key, label in tabs
    ]


def _url(params: QueryDict, *, keep_sort: bool = False, **changes: str) -> str:
    """This list with other parameters; page places are dropped, empty ones removed."""
    plain = without(params, *(("after", "before") if keep_sort else _PLACING), *changes)
    for name, value in changes.items():
        if value:
            plain[name] = value
    return f"?{plain.urlencode()}"


def _query(**params: str) -> str:
    plain = QueryDict(mutable=True)
    plain.update(params)
    return plain.urlencode()


_LABELS = {
    "q": "Search",
    "tag": "Tag",
    "country": "Country",
    "source": "Source",
    "import": "Import",
    "created_at_after": "Created since",
    "created_at_before": "Created before",
    "last_seen_at_after": "Seen since",
    "last_seen_at_before": "Not seen since",
    "identifier": "Identifier",
    "consent": "Consent",
    "locked": "Locked",
    "duplicates": "Possible duplicates",
}


def _chips(params: QueryDict) -> list[Chip]:
    """One per filter in force; the search text and the type have places of their own."""
    chips = []
    plain = without(params, *_PLACING, "q", "type", "status")
    for name, values in plain.lists():
        for value in values:
            rest = without(params, *_PLACING)
            rest.setlist(name, [other for other in rest.getlist(name) if other != value])
            chips.append(Chip(f"{_label(name)}: {_said(name, value)}", f"?{without(rest).urlencode()}"))
    return chips


def _attribute_filters(params: QueryDict) -> list[tuple[str, str, str]]:
    """(label, parameter, value) for the first registered attributes and those in force. One query."""
    custom = [spec for spec in attribute_specs().values() if spec.is_custom]
    wanted = [spec for place, spec in enumerate(custom) if place < _ATTRIBUTES or params.get(spec.field)]
    return [(spec.label, spec.field, params.get(spec.field, "")) for spec in wanted]


def _label(name: str) -> str:
    if name.startswith(CUSTOM):
        plain = name.removeprefix(CUSTOM)
        return LABELS.get(plain, plain)
    return _LABELS.get(name, name)


def _said(name: str, value: str) -> str:
    if name == "country":
        return display("country", value)
    return {"true": "yes", "false": "no"}.get(value, value) if name in ("locked", "duplicates") else value
