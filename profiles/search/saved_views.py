"""Filters, order and columns of the people list → a view kept under a name, for oneself or shared with the team.

A view is read by its owner and, once shared, by everybody; a shared one is changed by whoever may share views. One
whose filters may name somebody is shared with those who see personal data alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, Forbidden, Invalid, NotFound
from profiles.models import SavedView
from profiles.personal_data import TABLES
from profiles.search.attribute_filter import parts_of
from profiles.search.filters import ProfileFilter
from profiles.search.list_filters import list_filters
from profiles.search.list_options import MOST_COLUMNS, SORTS, available_columns
from profiles.values.attributes import CUSTOM, AttributeSpec, attribute_specs

SHARE = "profiles.share_view"
SEE_PERSONAL = "profiles.view_pii"
MOST_CHARACTERS = 4_000
# The list's own filters whose values are words of the system; the value of any other may name somebody.
_IMPERSONAL = frozenset(
    {
        *("type", "tag", "country", "source", "locked", "sort"),
        *("created_at_after", "created_at_before", "last_seen_at_after", "last_seen_at_before"),
    }
)
_IMPERSONAL_ATTRIBUTES = frozenset(next(t.personal for t in TABLES if t.label == "profiles.Profile"))


def visible_views(actor: Actor) -> QuerySet[SavedView]:
    """The views this actor may open: shared ones first, then their own, each by name."""
    shared = Q(is_shared=True)
    if not actor.can(SEE_PERSONAL):
        shared &= Q(names_people=False)
    own = Q(owner_id=actor.user_id) if actor.user_id else Q(pk__in=[])
    return SavedView.objects.filter(shared | own).select_related("owner").order_by("-is_shared", "name", "id")


def may_change(view: SavedView, actor: Actor) -> bool:
    """Whether the actor, who may open it, may also change or delete it."""
    return actor.can(SHARE) if view.is_shared else view.owner_id == actor.user_id


@transaction.atomic
def save_view(
    *, name: str, query: str = "", columns: Sequence[str] = (), is_shared: bool = False, actor: Actor
) -> SavedView:
    """Keep a view; it is the actor's own. ``query`` is the list's address, ``columns`` its columns (see SavedView).

    Raises Invalid for a filter, order or column there is not, Conflict for a name the actor has already, Forbidden
    where the actor may not share.
    """
    view = SavedView(owner_id=actor.user_id, is_shared=is_shared)
    if is_shared:
        _require_sharing(actor)
    elif view.owner_id is None:
        message = "Nobody would see this view: what an API key saves has to be shared."
        raise Invalid([{"field": "is_shared", "value": is_shared, "message": message}])
    view.name = _clean_name(name)
    _fill(view, query, columns)
    _write(view)
    audit.record("view.create", actor=actor, subject=f"view:{view.pk}", detail={"shared": is_shared})
    return view


@transaction.atomic
def change_view(
    *,
    view_id: int,
    name: str | None = None,
    query: str | None = None,
    columns: Sequence[str] | None = None,
    is_shared: bool | None = None,
    actor: Actor,
) -> SavedView:
    """Change what is given, keep the rest. Raises as ``save_view``, and NotFound for a view the actor cannot open."""
    view = _locked(view_id, actor)
    before = {field: getattr(view, field) for field in ("name", "query", "columns", "is_shared")}
    if name is not None:
        view.name = _clean_name(name)
    if query is not None or columns is not None:
        _fill(view, view.query if query is None else query, view.columns if columns is None else columns)
    if is_shared is not None and is_shared != view.is_shared:
        _share(view, is_shared, actor)
    changed = sorted(field for field, value in before.items() if getattr(view, field) != value)
    if changed:
        view.updated_at = timezone.now()
        _write(view)
        audit.record("view.update", actor=actor, subject=f"view:{view.pk}", detail={"fields": changed})
    return view


@transaction.atomic
def delete_view(*, view_id: int, actor: Actor) -> SavedView:
    """Forget a view; of the people in it nothing changes. Raises NotFound and Forbidden."""
    view = _locked(view_id, actor)
    audit.record("view.delete", actor=actor, subject=f"view:{view.pk}", detail={"shared": view.is_shared})
    SavedView.objects.filter(pk=view.pk).delete()
    return view


def list_query(params: QueryDict) -> QueryDict:
    """What of the list's parameters a view keeps: filters and an order that is not the usual one."""
    kept = QueryDict(mutable=True)
    for name, values in params.lists():
        given = [value for value in values if value]
        if name == "sort" and given[-1:] == [next(iter(SORTS))]:
            given = []
        if given and name not in ("after", "before", "view", "columns", "status"):
            kept.setlist(name, given)
    return kept


def is_same_query(one: QueryDict, other: QueryDict) -> bool:
    """Whether both choose the same people in the same order, however they are written."""
    return _sorted(list_query(one)) == _sorted(list_query(other))


def _sorted(query: QueryDict) -> dict[str, list[str]]:
    return {name: sorted(values) for name, values in query.lists()}


# --- What is written --------------------------------------------------------------------------------------


def _locked(view_id: int, actor: Actor) -> SavedView:
    """The view, for changing it."""
    views = visible_views(actor).select_for_update(of=("self",), no_key=True)
    view = views.filter(pk=view_id).first()
    if view is None:
        raise NotFound(f"There is no saved view #{view_id}.")
    if not may_change(view, actor):
        raise Forbidden(f"“{view.name}” is shared with the team, and you may not change views of the team.")
    return view


def _share(view: SavedView, is_shared: bool, actor: Actor) -> None:
    _require_sharing(actor)
    if not is_shared and view.owner_id is None:
        message = f"“{view.name}” has no owner who could keep it. Delete it instead."
        raise Invalid([{"field": "is_shared", "value": is_shared, "message": message}])
    view.is_shared = is_shared


def _require_sharing(actor: Actor) -> None:
    if not actor.can(SHARE):
        raise Forbidden("You may not share views with the team.")


def _clean_name(raw: str) -> str:
    name = " ".join(raw.split())
    if not name:
        raise Invalid([{"field": "name", "value": raw, "message": "Give the view a name."}])
    try:
        SavedView._meta.get_field("name").clean(name, None)
    except ValidationError as error:
        raise Invalid([{"field": "name", "value": raw, "message": error.messages[0]}]) from error
    return name


def _fill(view: SavedView, query: str, columns: Iterable[str]) -> None:
    """Filters, order and columns, each of which must exist now."""
    specs = attribute_specs()
    kept = list_query(QueryDict(query.removeprefix("?")))
    if len(kept.urlencode()) > MOST_CHARACTERS:
        message = f"These filters are too long to keep: at most {MOST_CHARACTERS:,} characters."
        raise Invalid([{"field": "query", "value": None, "message": message}])
    problems = [{"field": "query", **problem} for problem in _problems(kept)]
    if problems:
        raise Invalid(problems)
    view.query = kept.urlencode()
    view.names_people = any(not _is_impersonal(name, specs) for name in kept)
    view.columns = _clean_columns(list(dict.fromkeys(columns)), available_columns(specs))


def _problems(query: QueryDict) -> list[dict[str, Any]]:
    """What is wrong with the filters as a list would say it; the search text cannot be wrong."""
    sort = query.get("sort", "newest")
    if sort not in SORTS:
        return [{"value": sort, "message": f"There is no order “{sort}”. Orders: {', '.join(SORTS)}."}]
    known = {*ProfileFilter({}).filters, "sort"}
    for name in query:
        if name not in known and not name.startswith(CUSTOM):
            return [{"value": name, "message": f"There is no filter “{name}”."}]
    alone = query.copy()
    alone.pop("q", None)
    try:
        filters = ProfileFilter(alone)
        problems = [message for errors in filters.form.errors.values() for message in errors]
        if not problems:
            filters.page_qs  # noqa: B018  (some values are read only now)
    except Invalid as error:
        problems = [problem["message"] for problem in error.problems]
    return [{"value": None, "message": message} for message in problems]


def _is_impersonal(name: str, specs: dict[str, AttributeSpec]) -> bool:
    if name in list_filters:
        return not list_filters[name].names_people
    if not name.startswith(CUSTOM):
        return name in _IMPERSONAL
    base = parts_of(name)[0]
    spec = specs.get(base)
    if spec is not None:
        return spec.sensitivity == "none"
    return base.removeprefix(CUSTOM) in _IMPERSONAL_ATTRIBUTES


def _clean_columns(keys: list[str], available: dict[str, str]) -> list[str]:
    for key in keys:
        if key not in available:
            message = f"There is no column “{key}”. Columns: {', '.join(available)}."
            raise Invalid([{"field": "columns", "value": key, "message": message}])
    if len(keys) > MOST_COLUMNS:
        message = f"At most {MOST_COLUMNS} columns fit beside the name."
        raise Invalid([{"field": "columns", "value": len(keys), "message": message}])
    return keys


def _write(view: SavedView) -> None:
    others = SavedView.objects.filter(owner_id=view.owner_id, name__iexact=view.name).exclude(pk=view.pk)
    taken = Conflict(f"There is a view “{view.name}” of yours already. Choose another name.")
    if others.exists():
        raise taken
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError as error:
        raise taken from error
