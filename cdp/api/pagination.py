"""A queryset → a page by keyset: as quick on page 10,000 as on the first, and steady while rows come and go."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.core import signing
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Q
from rest_framework.pagination import BasePagination
from rest_framework.response import Response

from cdp.api.problems import BadParameter

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
_SALT = "cdp.api.cursor"
BAD_CURSOR = "This cursor is not one of ours or belongs to another list. Start again without it."


def page_size(request: Request) -> int:
    """``?page_size=``, 1 to 500; 50 when absent."""
    raw = request.query_params.get("page_size")
    if raw is None:
        return PAGE_SIZE
    if not (raw.isascii() and raw.isdigit() and 1 <= int(raw[:9]) <= MAX_PAGE_SIZE):
        raise BadParameter("page_size", f"page_size is a number from 1 to {MAX_PAGE_SIZE}.", raw)
    return int(raw)


def write_cursor(ordering: Sequence[str], values: Sequence[Any], *, is_back: bool) -> str:
    """An opaque, signed position in a list: the ordering columns of the row it is at."""
    plain = [value.isoformat() if isinstance(value, datetime.datetime) else value for value in values]
    return signing.dumps([",".join(ordering), plain, int(is_back)], salt=_SALT)


def read_cursor(text: str, ordering: Sequence[str]) -> tuple[list[Any], bool]:
    """The values and the direction; a cursor that is not ours, or of another list, is a 400."""
    try:
        of, values, is_back = signing.loads(text, salt=_SALT)
    except (signing.BadSignature, ValueError):
        raise BadParameter("cursor", BAD_CURSOR) from None
    if of != ",".join(ordering):
        raise BadParameter("cursor", BAD_CURSOR)
    return values, bool(is_back)


class KeysetPagination(BasePagination):
    """Pages of a queryset by ``view.ordering`` (``("-id",)``), whose last column must be unique.

    ``?cursor=`` comes from ``next``/``previous``; ``?count=exact`` adds ``count`` (one COUNT query).
    """

    page_size_query_param = "page_size"

    def paginate_queryset(  # type: ignore[override]
        self,
        queryset: QuerySet[Any],
        request: Request,
        view: Any = None,
        *,
        counted: QuerySet[Any] | None = None,
    ) -> list[Any]:
        self.request = request
        self.ordering: tuple[str, ...] = tuple(getattr(view, "ordering", ("-id",)))
        self.size = page_size(request)
        self.count = (queryset if counted is None else counted).count() if self._wants_count() else None
        cursor = request.query_params.get("cursor")
        values, self.is_back = read_cursor(cursor, self.ordering) if cursor else (None, False)
        rows = self._fetch(queryset, values)
        self.has_more = len(rows) > self.size
        self.is_first = cursor is None
        rows = rows[: self.size]
        self.page = rows[::-1] if self.is_back else rows
        return self.page

    def _wants_count(self) -> bool:
        raw = self.request.query_params.get("count")
        if raw not in (None, "exact"):
            raise BadParameter("count", "count can only be “exact”.", raw)
        return raw == "exact"

    def _fetch(self, queryset: QuerySet[Any], values: list[Any] | None) -> list[Any]:
        ordering = [_flip(name) for name in self.ordering] if self.is_back else list(self.ordering)
        if values is not None:
            try:
                queryset = queryset.filter(_beyond(queryset.model, ordering, values))
            except (ValidationError, FieldDoesNotExist, ValueError, TypeError):
                raise BadParameter("cursor", BAD_CURSOR) from None
        return list(queryset.order_by(*ordering)[: self.size + 1])

    def _link(self, row: Any, *, is_back: bool) -> str:
        values = [getattr(row, name.lstrip("-")) for name in self.ordering]
        return link(self.request, write_cursor(self.ordering, values, is_back=is_back))

    def envelope(self, results: list[Any]) -> dict[str, Any]:
        """``{"next", "previous", "results"}`` and ``count`` when asked for."""
        page = self.page
        has_next = self.has_more or self.is_back
        has_previous = self.has_more if self.is_back else not self.is_first
        answer: dict[str, Any] = {
            "next": self._link(page[-1], is_back=False) if page and has_next else None,
            "previous": self._link(page[0], is_back=True) if page and has_previous else None,
            "results": results,
        }
        return answer if self.count is None else {"count": self.count, **answer}

    def get_paginated_response(self, data: Any) -> Response:
        return Response(self.envelope(data))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        address = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "properties": {
                "next": address,
                "previous": address,
                "results": schema,
                "count": {"type": "integer", "description": "With `count=exact`."},
            },
            "required": ["next", "previous", "results"],
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """None here: ``cdp.api.openapi`` adds the parameters that all lists share."""
        return []


def link(request: Request, cursor: str) -> str:
    """This list's own address with another cursor."""
    query = [
        (key, value) for key, values in request.query_params.lists() for value in values if key != "cursor"
    ]
    return request.build_absolute_uri(f"{request.path}?{urlencode([*query, ('cursor', cursor)])}")


def _flip(name: str) -> str:
    return name.removeprefix("-") if name.startswith("-") else f"-{name}"


def _beyond(model: Any, ordering: list[str], values: list[Any]) -> Q:
    """Rows after the given one: ``a < x OR (a = x AND id < y)``, for any number of columns."""
    if len(values) != len(ordering):
        raise ValueError(values)
    clean = [
        model._meta.get_field(_column(model, name)).to_python(value)
        for name, value in zip(ordering, values, strict=True)
    ]
    beyond, same = Q(), Q()
    for name, value in zip(ordering, clean, strict=True):
        column = name.lstrip("-")
        beyond |= same & Q(**{f"{column}__{'lt' if name.startswith('-') else 'gt'}": value})
        same &= Q(**{column: value})
    # The leading column once more on its own: a plain range the planner can start its index scan from.
    first = ordering[0]
    return Q(**{f"{first.lstrip('-')}__{'lte' if first.startswith('-') else 'gte'}": clean[0]}) & beyond


def _column(model: Any, name: str) -> str:
    column = name.lstrip("-")
    return str(model._meta.pk.name) if column == "pk" else column
