"""People that pages, answers and files show → rows that say who saw whom, and what for.

Whatever renders a person calls ``saw``; ``RecordLooks`` writes what a request showed as one row before the response
leaves, so nothing is seen that is not recorded. Files that are streamed or written by jobs call ``record_look``
themselves. What kind of look an address is stands in ``kinds``, which apps fill; a test opens every address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from cdp.actors import Actor
from cdp.audit import clean_address
from cdp.logs import request_address, request_id
from cdp.models import ApiKey, Look
from cdp.registry import Registry

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# Who has it sees personal data as it is; everybody else masked.
UNMASKED = "profiles.view_pii"
# The ids of a long list are spread over rows of so many.
MOST_IDS = 10_000
# A look at a page that no app gave a kind; the tests allow none.
OTHER = "other"
SEARCH = "search"
# Statuses with a page or an answer that shows people: also a refused write, whose page shows how things are now.
_SHOWING = frozenset({200, 201, 202, 400, 409, 422})

# Kind → what people read: “a card”. Apps add theirs.
kinds: Registry[str] = Registry("The kind of look")
kinds.register(OTHER, "a page")
# Kind of row → ids of rows → whom they are about, for pages that do not know people: mail.
people_behind: Registry[Callable[[Sequence[int]], Iterable[int]]] = Registry("The people behind the rows")

_kind_by_route: dict[str, str] = {}


@dataclass(slots=True)
class _Seen:
    """What the request being answered showed so far; ids in the order they were shown."""

    ids: dict[int, None] = field(default_factory=dict)
    subject: str = ""


_seen: ContextVar[_Seen | None] = ContextVar("looks_seen", default=None)


def register_pages(kind: str, label: str, routes: Iterable[str]) -> None:
    """What these addresses (as the resolver has them) show is a look of this kind. Raises ValueError for one that has one."""
    kinds.register(kind, label)
    for route in map(_plain, routes):
        if _kind_by_route.setdefault(route, kind) != kind:
            raise ValueError(f"The looks of “{route}” have two kinds.")


def saw(profile_ids: Iterable[int | None], *, subject: str = "") -> None:
    """The page or answer being made shows these people, or rows about them (``subject``). No query.

    Called by whatever renders people; outside of a request nobody looks, and nothing happens.
    """
    seen = _seen.get()
    if seen is None:
        return
    seen.ids.update((pk, None) for pk in profile_ids if pk)
    seen.subject = subject or seen.subject


def saw_rows(kind: str, ids: Sequence[int]) -> None:
    """The same for rows of a table that does not know people, such as mail. A query where an app knows them."""
    if ids:
        behind = people_behind[kind](ids) if kind in people_behind else ()
        saw(behind, subject=subject_of(kind, ids))


def subject_of(kind: str, ids: Sequence[int]) -> str:
    """``mail:7``; of the rows of a page ``mail:7-31``."""
    first, last = min(ids), max(ids)
    return f"{kind}:{first}" if first == last else f"{kind}:{first}-{last}"


def record_look(
    kind: str, *, actor: Actor, profile_ids: Iterable[int], subject: str = "", is_masked: bool = False
) -> None:
    """Record that somebody was shown these people, in the caller's transaction. One INSERT per 10,000 of them.

    Raises ValueError for a kind there is not. Without people and without a subject nothing was seen.
    """
    if kind not in kinds:
        raise ValueError(f"“{kind}” is not a kind of look.")
    ids = list(dict.fromkeys(profile_ids))
    if not ids and not subject:
        return
    common: dict[str, Any] = {
        "user_id": actor.user_id,
        "key_id": actor.key_id,
        "actor": actor.name[:200],
        "kind": kind,
        "subject": subject[:60],
        "is_masked": is_masked,
        "address": clean_address(request_address.get()),
        "request_id": request_id.get()[:36],
    }
    for start in range(0, max(1, len(ids)), MOST_IDS):
        Look(profile_ids=ids[start : start + MOST_IDS], **common).save(force_insert=True)


def looks_at(member_ids: Sequence[int]) -> QuerySet[Look]:
    """The looks that showed one of these profiles, and the downloads of files they are in. One query before.

    A file's people are recorded as it is written; its downloads have the same subject.
    """
    shown = Look.objects.filter(profile_ids__overlap=list(member_ids))
    files = list(shown.filter(subject__startswith="job:").values_list("subject", flat=True).distinct())
    if not files:
        return shown
    return Look.objects.filter(
        Q(profile_ids__overlap=list(member_ids)) | Q(subject__in=files, profile_ids=[])
    )


def forget_looks(*, limit: int = 20_000) -> int:
    """Remove looks older than CDP_LOOK_KEEP_DAYS, the oldest ``limit`` rows at most; how many. One statement.

    Looks are numbered as they happen, so only the oldest are read.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM cdp_look WHERE id IN (SELECT id FROM"
            " (SELECT id, at FROM cdp_look ORDER BY id LIMIT %s) AS oldest"
            " WHERE at < now() - make_interval(days => %s))",
            [limit, settings.CDP_LOOK_KEEP_DAYS],
        )
        return int(cursor.rowcount)


class RecordLooks:
    """Records what each response shows, in one row. The innermost middleware: pages are rendered by then."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        seen = _Seen()
        token = _seen.set(seen)
        try:
            response = self.get_response(request)
        finally:
            _seen.reset(token)
        if (seen.ids or seen.subject) and _shows(response):
            _record(request, seen)
        return response


def _shows(response: HttpResponseBase) -> bool:
    """Whether the response is the page or answer that was made: no redirect, no refusal, no stream, which records itself."""
    if response.streaming or response.status_code not in _SHOWING:
        return False
    is_refusal = response.headers.get("Content-Type", "").startswith("application/problem+json")
    # A conflict says how things are now.
    return not is_refusal or response.status_code == 409


def _record(request: HttpRequest, seen: _Seen) -> None:
    if not (request.user.is_authenticated or isinstance(getattr(request, "auth", None), ApiKey)):
        return
    actor = Actor.of_request(request)
    record_look(
        kind_of(request),
        actor=actor,
        profile_ids=seen.ids,
        subject=seen.subject,
        is_masked=not actor.can(UNMASKED),
    )


def kind_of(request: HttpRequest) -> str:
    """By the address; a list that somebody typed words for is a search."""
    match = request.resolver_match
    kind = _kind_by_route.get(_plain(match.route), OTHER) if match else OTHER
    return SEARCH if kind == "list" and request.GET.get("q", "").strip() else kind


def label_of(kind: str) -> str:
    """“a card”; the kind itself where its app is not installed any more."""
    return dict(kinds.items()).get(kind, kind)


def registered_routes() -> Mapping[str, str]:
    """Route without slashes at its ends → kind."""
    return _kind_by_route


def _plain(route: str) -> str:
    return route.strip("^$/")
