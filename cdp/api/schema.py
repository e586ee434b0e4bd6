"""What descriptions of endpoints share: parameters, errors, pages.

Serializers here and in each capability's ``schema`` module describe answers; they never produce them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    inline_serializer,
)
from rest_framework import serializers

from cdp.api.pagination import MAX_PAGE_SIZE, PAGE_SIZE


class ErrorLocation(serializers.Serializer[Any]):
    """Where a problem is: a JSON pointer into the body, a query parameter, or a line and column of a file."""

    pointer = serializers.CharField(required=False)
    parameter = serializers.CharField(required=False)
    line = serializers.IntegerField(required=False)
    column = serializers.CharField(required=False)
    value = serializers.JSONField(required=False, allow_null=True)
    message = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """RFC 9457. `detail` is a sentence for people, `code` a stable word for programs."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = ErrorLocation(many=True)  # type: ignore[assignment]
    request_id = serializers.CharField()
    message = serializers.CharField(
        required=False, help_text="As `detail`, where the call failed outside its endpoint (500, 503)."
    )
    profile_id = serializers.IntegerField(
        required=False, help_text="With `identifier_taken`: the profile that has the identifier."
    )


_PROBLEMS = {
    400: "A parameter or the body cannot be read; `errors` says where.",
    401: "No key, an unknown key or a revoked one.",
    403: "The key's scopes or the login's role do not include this.",
    404: "There is no such person or thing.",
    409: "Stale or conflicting; nothing was changed.",
    411: "The body has no Content-Length.",
    413: "The body is too large.",
    415: "The body has a type that is not accepted here.",
    422: "A rule forbids it, or an Idempotency-Key was used for another body.",
    429: "Too many requests; `Retry-After` says when to go on.",
    503: "The database cannot be reached; `Retry-After` says when to try again.",
}


def errors(*statuses: int, problem: type[Problem] = Problem) -> dict[Any, Any]:
    """The ``responses`` of these statuses, as problem documents; ``problem`` describes members of its own."""
    return {
        (status, "application/problem+json"): OpenApiResponse(problem, description=_PROBLEMS[status])
        for status in statuses
    }


ERRORS = errors(400, 401, 403, 404, 429, 503)
WRITE_ERRORS = {**ERRORS, **errors(409, 411, 413, 415, 422)}

PAGE = [
    OpenApiParameter("cursor", str, description="From `next` or `previous` of another page."),
    OpenApiParameter(
        "page_size", int, description=f"Rows per page: 1 to {MAX_PAGE_SIZE}, {PAGE_SIZE} when left out."
    ),
    OpenApiParameter("count", str, enum=["exact"], description="Adds `count`, the number of all rows."),
]
WRITE = [
    OpenApiParameter(
        "dry_run", bool, description="Answer as if, with `effects`, and change nothing.", default=False
    ),
    OpenApiParameter(
        "Idempotency-Key",
        str,
        OpenApiParameter.HEADER,
        description="Repeat a write safely: the same key and request get the saved answer for 24 hours.",
    ),
]


@cache
def page_of(row: Any, **more: Any) -> Any:
    """The envelope of a list of these rows; the same one for every list of them."""
    name = row.__name__ if isinstance(row, type) else type(row).__name__
    return inline_serializer(
        f"{name.removesuffix('Serializer')}Page",
        {
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": row(many=True),
            "count": serializers.IntegerField(required=False, help_text="With `count=exact`."),
            **more,
        },
    )


def one_of(name: str, *choices: Any) -> PolymorphicProxySerializer:
    """An answer of one of these forms."""
    return PolymorphicProxySerializer(
        component_name=name, serializers=list(choices), resource_type_field_name=None
    )
