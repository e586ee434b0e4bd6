"""The list of people and of deleted people: search, filters, counts, pages, and what can be done with a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from cdp.errors import Invalid
from cdp.limits import TooSlow, time_limit
from profiles.admin import list_columns, saved_views
from profiles.admin.card_rows import Mailing, mailing_of
from profiles.admin.filter_panel import panel_fields
from profiles.admin.list_columns import Column
from profiles.admin.list_filters import PLACING, VIEWING, filter_chips, without
from profiles.admin.list_pages import Page, page_of
from profiles.admin.staff_views import back, list_url, may_see, render, staff_view, write
from profiles.bulk.run_action import actions
from profiles.consent.ledger import current_consents
from profiles.consent.reach import reach_of
from profiles.consent.reachable import reachability
from profiles.identity.lookup import VIEW_DELETED
from profiles.masking import DOTS, displayed, mask_identifier
from profiles.models import Identifier, Profile, ProfileTag, Tag
from profiles.search.counting import TypeCounts, count_types
from profiles.search.filters import TYPES, ProfileFilter
from profiles.search.list_options import MOST_COLUMNS, SORTED_BY, SORTS, available_columns
from profiles.search.search import SearchHit, SearchResult
from profiles.values.attributes import CUSTOM, AttributeSpec, attribute_specs, display

# People the text names exactly come first on the first page, at most so many.
_PINNED = 20
# A page that cannot be read in this time asks to be narrowed.
MILLISECONDS = 5000
# Very many matches are found by walking down the list, which takes some ten milliseconds. Where it takes this
# long (and the machine is not merely busy), they are far down, and collecting them is the lesser evil.
WALKING = 500
# Parameters of the list's address that neither choose nor place people.
EXTRA = ("everyone", "filters")
# The kind of identifier that says nothing to a person.
_BROWSER = "anonymous_id"


@dataclass(slots=True)
class Row:
    """One person of the list, masked where need be. ``cells`` are (column, text)."""

    profile: Profile
    identifier: str = ""
    tags: list[Tag] = field(default_factory=list)
    mailing: Mailing | None = None
    found_as: str = ""
    cells: list[tuple[str, str]] = field(default_factory=list)


@staff_view("profiles.view_profile")
def people(request: HttpRequest) -> HttpResponse:
    """The list of everybody who is live."""
    return _list(request, status=Profile.Status.LIVE, template="list.html")


@staff_view("profiles.view_profile", VIEW_DELETED)
def deleted(request: HttpRequest) -> HttpResponse:
    """Deleted people, who can be restored."""
    return _list(request, status=Profile.Status.DELETED, template="deleted.html")


@write("profiles.view_profile")
def columns(request: HttpRequest) -> HttpResponse:
    """Choose the columns of the list; of a saved view they are in its address until its changes are saved."""
    offered = available_columns(attribute_specs())
    keys = list_columns.known(request.POST.getlist("column"), offered)
    address = back(request) or list_url()
    if of_view := saved_views.with_columns(address, keys):
        return redirect(of_view)
    list_columns.choose(request, keys)
    messages.success(request, "Columns saved.")
    return redirect(address)


def _list(request: HttpRequest, *, status: str, template: str) -> HttpResponse:
    params, specs = request.GET, attribute_specs()
    filters, problems = filter_of(params, status=status)
    search = filters.search_result
    sort = params["sort"] if params.get("sort") in SORTS else "newest"
    after, before = params.get("after", ""), params.get("before", "")
    offered = available_columns(specs)
    is_live = status == Profile.Status.LIVE
    views = saved_views.views_of(request, offered) if is_live else saved_views.views_of_deleted(request)
    column_keys = views.columns
    # Custom attributes are read for their columns alone: they may be long.
    has_custom = any(key.startswith(CUSTOM) for key in column_keys)
    unread = ("search",) if has_custom else ("search", "attributes")
    rows: list[Row] = []
    page = Page([])
    if not problems:
        try:
            with time_limit(MILLISECONDS):
                pinned, page = _read(filters, unread, sort=sort, after=after, before=before)
        except TooSlow:
            problems.append("This search takes too long. Narrow it with another word or filter.")
        else:
            roots = [*pinned, *page.rows]
            rows = _rows(roots, search, column_keys, specs, can_view_pii=may_see(request))
    plain = without(params, *PLACING, *VIEWING)
    counts = count_types(filters, is_filtered=bool(plain) or not is_live)
    context = {
        "title": "People" if is_live else "Deleted people",
        "rows": rows,
        "counts": counts,
        "count": _count_of_type(counts, params.get("type", "")),
        "views": views,
        "tabs": _tabs(params, counts),
        "q": params.get("q", ""),
        "search": search,
        "gone_url": _gone_url(request, search) if is_live else "",
        "columns": [_column(key, offered[key], params, sort) for key in column_keys],
        "sort": sort,
        "newer_url": _url(params, before=page.newer, keep_sort=True) if page.newer else "",
        "older_url": _url(params, after=page.older, keep_sort=True) if page.older else "",
        "filters_query": plain.urlencode(),
        "is_filtered": bool(plain),
        "problems": problems,
        "params": params,
    }
    context |= _bulk_bar(request, status)
    if is_live:
        context |= _controls(request, specs, offered, column_keys)
        context["reach"] = None if problems else reach_of(filters, context["count"])
    return render(request, template, context)


def _bulk_bar(request: HttpRequest, status: str) -> dict[str, Any]:
    """What can be done with the ticked people of this list."""
    can = request.user.has_perm
    allowed = [
        (name, action)
        for name, action in actions.items()
        if action.status == status and can(action.permission)
    ]
    ticking = ("profiles.bulk_export", "profiles.merge_profile") if status == Profile.Status.LIVE else ()
    return {
        "main_actions": [(name, action) for name, action in allowed if action.is_main],
        "more_actions": [(name, action) for name, action in allowed if not action.is_main],
        "may_tick": bool(allowed) or any(map(can, ticking)),
    }


def _controls(
    request: HttpRequest, specs: dict[str, AttributeSpec], offered: dict[str, str], column_keys: list[str]
) -> dict[str, Any]:
    """What the filter panel and the choice of columns offer."""
    params = request.GET
    return {
        "chips": filter_chips(params, specs),
        "clear_url": _url(QueryDict(), q=params.get("q", "")),
        "offered_columns": [(key, label, key in column_keys) for key, label in offered.items()],
        "most_columns": MOST_COLUMNS,
        "here": request.get_full_path(),
        "panel_fields": panel_fields(params, specs),
    }


def _column(key: str, label: str, params: QueryDict, sort: str) -> Column:
    order = SORTED_BY.get(key)
    if order is None:
        return Column(key, label)
    return Column(key, label, _url(params, sort=order), order == sort)


def _count_of_type(counts: TypeCounts, kind: str) -> Any:
    """How many people the list has, with the type it is narrowed to."""
    chosen = {"recognized": counts.recognized, "anonymous": counts.anonymous}.get(kind)
    return counts.all if chosen is None else chosen


def _read(
    filters: ProfileFilter, unread: tuple[str, ...], *, sort: str, after: str, before: str
) -> tuple[list[Profile], Page]:
    """People the text names exactly (on the first page), and the page after them."""
    search = filters.search_result
    matching = filters.page_qs.defer(*unread)
    pinned_ids = search.exact_ids[:_PINNED] if search else []
    position: dict[str, Any] = {"sort": sort, "after": after, "before": before}
    if search and search.is_capped:
        page = _page_of_many(filters, unread, pinned_ids, position)
    else:
        page = page_of(matching.exclude(pk__in=pinned_ids) if pinned_ids else matching, **position)
    if not pinned_ids or after or before:
        return [], page
    return sorted(matching.filter(pk__in=pinned_ids), key=lambda root: pinned_ids.index(root.pk)), page


def _page_of_many(
    filters: ProfileFilter, unread: tuple[str, ...], pinned_ids: list[int], position: dict[str, Any]
) -> Page:
    """A page of very many matches. Where all of them are far down the list, they are collected and sorted."""
    try:
        # The planner takes beginnings of words for rare and would rather collect them at once.
        with time_limit(WALKING, enable_bitmapscan="off"):
            return page_of(filters.page_qs.defer(*unread).exclude(pk__in=pinned_ids), **position)
    except TooSlow:
        with time_limit(MILLISECONDS, enable_indexscan="off"):
            return page_of(filters.qs.defer(*unread).exclude(pk__in=pinned_ids), **position)


# --- Which people ---------------------------------------------------------------------------------------


def filter_of(params: QueryDict, *, status: str = Profile.Status.LIVE) -> tuple[ProfileFilter, list[str]]:
    """The filter an address of the list stands for, and sentences about values in it that are not valid."""
    data = without(params)
    data["status"] = status
    try:
        filters = ProfileFilter(data)
        problems = [message for errors in filters.form.errors.values() for message in errors]
        if not problems:
            filters.page_qs  # noqa: B018  (the search box looks, and values are cleaned)
            known = {*filters.filters, *PLACING, *VIEWING, *EXTRA}
            unknown = [name for name in data if name not in known and not name.startswith(CUSTOM)]
            problems = [f"There is no filter “{name}”." for name in unknown]
            if params.get("sort") and params["sort"] not in SORTS:
                problems.append(f"There is no order “{params['sort']}”. Orders: {', '.join(SORTS)}.")
    except Invalid as error:
        everybody = QueryDict(mutable=True)
        everybody["status"] = status
        return ProfileFilter(everybody), [problem["message"] for problem in error.problems]
    return filters, problems


# --- Rows -------------------------------------------------------------------------------------------------


def _rows(
    roots: list[Profile],
    search: SearchResult | None,
    column_keys: list[str],
    specs: dict[str, AttributeSpec],
    *,
    can_view_pii: bool,
) -> list[Row]:
    """At most three queries for any number of rows."""
    ids = [root.pk for root in roots]
    for root in roots:
        if "attributes" in root.get_deferred_fields():
            # No column needs them; reading them for a masked copy would cost a query per row.
            root.attributes = {}
    rows = {root.pk: Row(displayed(root, can_view_pii=can_view_pii, specs=specs)) for root in roots}
    for row in rows.values():
        row.identifier = row.profile.email or ""
        row.cells = [(key, _cell(row.profile, key)) for key in column_keys]
    if "tags" in column_keys:
        for root_id, tag in _tags(ids):
            if tag not in rows[root_id].tags:
                rows[root_id].tags.append(tag)
    if "mail" in column_keys:
        consents = current_consents(ids)
        reach = reachability(roots, consents)
        for root in roots:
            rows[root.pk].mailing = mailing_of(root.email, reach[root.pk])
    for root_id, identifier in _identifiers([root.pk for root in roots if not root.email]):
        name, value = identifier.type.name, identifier.value
        if name != _BROWSER and not rows[root_id].identifier:
            rows[root_id].identifier = value if can_view_pii else mask_identifier(name, value)
    if search is not None:
        for root in roots:
            rows[root.pk].found_as = found_as(search.by_root.get(root.pk), root, can_view_pii=can_view_pii)
    return list(rows.values())


def _cell(profile: Profile, key: str) -> str:
    """The text of an attribute's column; other columns have none."""
    if key.startswith(CUSTOM):
        value = profile.attributes.get(key.removeprefix(CUSTOM))
    else:
        value = getattr(profile, key, None) if key in Profile.FIELDS else None
    return DOTS if value == DOTS else display(key, value)


def _tags(ids: list[int]) -> Iterator[tuple[int, Tag]]:
    links = ProfileTag.objects.filter(profile__canonical_id__in=ids).select_related("tag")
    for link in links.annotate(root_id=F("profile__canonical_id")).order_by("tag__name"):
        yield link.root_id, link.tag


def _identifiers(ids: list[int]) -> Iterator[tuple[int, Identifier]]:
    identifiers = Identifier.objects.of_profiles(*ids).annotate(root_id=F("profile__canonical_id"))
    identifiers = identifiers.select_related("type").only("value", "profile_id", "type__name")
    for identifier in identifiers.order_by("type__priority", "pk"):
        yield identifier.root_id, identifier


def found_as(hit: SearchHit | None, root: Profile, *, can_view_pii: bool) -> str:
    """Why somebody is in the list, where their row does not show it."""
    if hit is None:
        return ""
    if hit.member_id == root.pk and hit.value in (root.email, root.phone):
        return ""
    if can_view_pii:
        return hit.explain()
    return hit.explain(lambda kind, value: DOTS if kind == "name" else mask_identifier(kind, value))


# --- Addresses of the list ----------------------------------------------------------------------------------


def _gone_url(request: HttpRequest, search: SearchResult | None) -> str:
    """The list of deleted people, where the search names one of them exactly."""
    if search is None or not search.gone or not request.user.has_perm(VIEW_DELETED):
        return ""
    return f"{reverse('admin:profiles_profile_deleted')}{_url(QueryDict(), q=f'#{search.gone[0]}')}"


def _tabs(params: QueryDict, counts: TypeCounts) -> list[tuple[str, Any, str, bool]]:
    chosen = params.get("type", "")
    numbers = {"": counts.all, "recognized": counts.recognized, "anonymous": counts.anonymous}
    tabs = [("", "All"), *TYPES]
    return [
        (label, numbers[key], _url(params, type=key, keep_sort=True), key == chosen) for key, label in tabs
    ]


def _url(params: QueryDict, *, keep_sort: bool = False, **changes: str) -> str:
    """This list with other parameters, from its first page unless ``changes`` names another; empty ones removed."""
    plain = without(params, *(("after", "before") if keep_sort else PLACING), *changes)
    for name, value in changes.items():
        if value:
            plain[name] = value
    return f"?{plain.urlencode()}"
