"""Saved views as the tabs of the people list: which there are, which is in force, and the forms that change them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import NotFound
from cdp.ids import row_id
from profiles.admin import list_columns
from profiles.admin.list_filters import without
from profiles.admin.staff_views import back, list_url, staff_view, write
from profiles.identity.lookup import VIEW_DELETED
from profiles.models import SavedView
from profiles.search.list_options import DEFAULT_COLUMNS
from profiles.search.saved_views import (
    SHARE,
    change_view,
    delete_view,
    is_same_query,
    list_query,
    may_change,
    save_view,
    visible_views,
)

SAVE = "profiles.save_view"
# Tabs of saved views. From so many views on, which no row has room for, a menu beside the tabs lists all of them.
MOST_TABS, MENU_FROM = 20, 6
# Nobody reads through more; all of them can be asked for over the API.
_MOST_LISTED = 300


@dataclass(frozen=True, slots=True)
class ViewTab:
    """``detail`` says whose it is; ``current`` is the value of aria-current, empty for the others.

    ``is_last``: stays at the end of the row, however many are before it.
    """

    label: str
    url: str
    detail: str = ""
    current: str = ""
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Views:
    """The tabs, a menu of all views where no row has room for them, and what can be done with the view in force.

    ``view`` is None where none is. ``is_changed``: filters, order or columns are no longer the view's.
    ``query`` and ``columns`` are what saving would keep; ``other_columns`` are in the address, not the view's own.
    """

    tabs: list[ViewTab]
    menu: list[ViewTab]
    columns: list[str]
    query: str = ""
    other_columns: list[str] = field(default_factory=list)
    view: SavedView | None = None
    is_changed: bool = False
    is_gone: bool = False
    may_save: bool = False
    may_change: bool = False
    may_share: bool = False
    is_own: bool = False


# --- The tabs -------------------------------------------------------------------------------------------------


def views_of(request: HttpRequest, offered: dict[str, str]) -> Views:
    """What stands over the list at this address. ``offered`` are the columns there are. One query."""
    actor, params = Actor.of_request(request), request.GET
    views = list(visible_views(actor)[:_MOST_LISTED])
    wanted = row_id(params.get("view", ""))
    view = next((view for view in views if view.pk == wanted), None)
    query, chosen = list_query(params), list_columns.chosen(request, offered)
    saved_columns = list_columns.known(view.columns if view else (), offered) or chosen
    other_columns = list_columns.known(params.getlist("columns"), offered) if view else []
    columns = other_columns or saved_columns
    is_changed = view is not None and not (
        columns == saved_columns and is_same_query(query, QueryDict(view.query))
    )
    # People in another order are everyone still.
    is_filtered = view is None and bool(without(query, "sort"))
    current = "true" if is_changed else "page"
    tab_of = {one.pk: _tab(one, actor, current if one == view else "") for one in views}
    return Views(
        tabs=[
            ViewTab("Everyone", list_url(), current="" if view or is_filtered else "page"),
            *([ViewTab("Filtered", request.get_full_path(), "new", "page")] if is_filtered else []),
            *(tab_of[one.pk] for one in _with_a_tab(views, view)),
            *_deleted_tab(request),
        ],
        menu=_menu(list(tab_of.values())),
        columns=columns,
        query=query.urlencode(),
        other_columns=other_columns,
        view=view,
        is_changed=is_changed,
        is_gone=bool(params.get("view")) and view is None,
        may_save=request.user.has_perm(SAVE),
        may_change=view is not None and request.user.has_perm(SAVE) and may_change(view, actor),
        may_share=request.user.has_perm(SHARE),
        is_own=view is not None and view.owner_id == actor.user_id,
    )


def views_of_deleted(request: HttpRequest) -> Views:
    """The same tabs over the list of deleted people, which no view is of. One query."""
    actor = Actor.of_request(request)
    tabs = [_tab(view, actor) for view in visible_views(actor)[:_MOST_LISTED]]
    everyone = ViewTab("Everyone", list_url())
    return Views([everyone, *tabs[:MOST_TABS], *_deleted_tab(request, "page")], _menu(tabs), ["country"])


def _with_a_tab(views: list[SavedView], current: SavedView | None) -> list[SavedView]:
    """The first views; the one in force is among them."""
    first = views[:MOST_TABS]
    return first if current is None or current in first else [*first[:-1], current]


def _menu(tabs: list[ViewTab]) -> list[ViewTab]:
    return tabs if len(tabs) >= MENU_FROM else []


def _tab(view: SavedView, actor: Actor, current: str = "") -> ViewTab:
    return ViewTab(view.name, address_of(view), _whose(view, actor), current)


def _deleted_tab(request: HttpRequest, current: str = "") -> list[ViewTab]:
    if not request.user.has_perm(VIEW_DELETED):
        return []
    return [ViewTab("Deleted", reverse("admin:profiles_profile_deleted"), current=current, is_last=True)]


def _whose(view: SavedView, actor: Actor) -> str:
    """“shared by mira”; empty for what one keeps for oneself."""
    if not view.is_shared:
        return ""
    if view.owner is None:
        return "shared"
    return f"shared by {'you' if view.owner_id == actor.user_id else view.owner.get_username()}"


def address_of(view: SavedView) -> str:
    """The list as the view keeps it."""
    query = QueryDict(view.query, mutable=True)
    query["view"] = str(view.pk)
    return f"{list_url()}?{query.urlencode()}"


def with_columns(address: str, keys: list[str]) -> str:
    """The same list with other columns where a view is in force, else empty."""
    parts = urlsplit(address)
    params = QueryDict(parts.query)
    if not params.get("view"):
        return ""
    query = without(params, "columns")
    query.setlist("columns", keys or list(DEFAULT_COLUMNS))
    return f"{parts.path}?{query.urlencode()}"


# --- The forms ------------------------------------------------------------------------------------------------


@staff_view("profiles.view_profile")
def open_view(request: HttpRequest, savedview_id: int) -> HttpResponse:
    """A view by its number, for links that outlive a change of its filters."""
    view = visible_views(Actor.of_request(request)).filter(pk=savedview_id).first()
    if view is None:
        raise NotFound(f"There is no saved view #{savedview_id}.")
    return redirect(address_of(view))


@write("profiles.view_profile", SAVE)
def add(request: HttpRequest) -> HttpResponse:
    """Keep the list as it is now under a name."""
    is_shared = bool(request.POST.get("is_shared"))
    if is_shared and not request.user.has_perm(SHARE):
        raise PermissionDenied
    view = save_view(
        name=request.POST.get("name", ""),
        query=request.POST.get("query", ""),
        columns=request.POST.getlist("columns"),
        is_shared=is_shared,
        actor=Actor.of_request(request),
    )
    to_whom = " and shared with the team" if view.is_shared else ""
    messages.success(request, f"The view “{view.name}” is saved{to_whom}.")
    return redirect(address_of(view))


@write("profiles.view_profile", SAVE)
def save(request: HttpRequest, savedview_id: int) -> HttpResponse:
    """Keep the filters, order and columns of the list as those of the view."""
    _require_change(request, savedview_id)
    view = change_view(
        view_id=savedview_id,
        query=request.POST.get("query", ""),
        columns=request.POST.getlist("columns"),
        actor=Actor.of_request(request),
    )
    messages.success(request, f"The changes of “{view.name}” are saved.")
    return redirect(address_of(view))


@write("profiles.view_profile", SAVE)
def change(request: HttpRequest, savedview_id: int) -> HttpResponse:
    """Rename a view; share it, or stop sharing it."""
    before = _require_change(request, savedview_id)
    may_share = request.user.has_perm(SHARE)
    view = change_view(
        view_id=savedview_id,
        name=request.POST.get("name", ""),
        is_shared=bool(request.POST.get("is_shared")) if may_share else None,
        actor=Actor.of_request(request),
    )
    messages.success(request, _what_changed(before, view))
    is_visible = visible_views(Actor.of_request(request)).filter(pk=view.pk).exists()
    return redirect((back(request) if is_visible else "") or list_url())


@write("profiles.view_profile", SAVE)
def delete(request: HttpRequest, savedview_id: int) -> HttpResponse:
    """Delete a view; the people in it stay as they are."""
    _require_change(request, savedview_id)
    view = delete_view(view_id=savedview_id, actor=Actor.of_request(request))
    messages.success(request, f"The view “{view.name}” is deleted. The people in it stay as they are.")
    return redirect(list_url())


def _require_change(request: HttpRequest, view_id: int) -> SavedView:
    """The view as it was. Raises NotFound and PermissionDenied."""
    actor = Actor.of_request(request)
    view = visible_views(actor).filter(pk=view_id).first()
    if view is None:
        raise NotFound(f"There is no saved view #{view_id}.")
    if not may_change(view, actor):
        raise PermissionDenied
    return view


def _what_changed(before: SavedView, view: SavedView) -> str:
    if view.is_shared != before.is_shared:
        state = "is shared with the team" if view.is_shared else "is no longer shared"
        return f"The view “{view.name}” {state}."
    if view.name != before.name:
        return f"“{before.name}” is called “{view.name}” now."
    return f"The view “{view.name}” is as it was."
