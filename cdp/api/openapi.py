"""The endpoints → the OpenAPI description; hooks named in settings.REST_FRAMEWORK and SPECTACULAR_SETTINGS.

Django REST framework loads this while views are being defined, so nothing here imports a view.
"""

from __future__ import annotations

import inspect
from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class EndpointSchema(AutoSchema):
    """Describes an endpoint by its own method's docstring; a base class's is about the code."""

    def get_description(self) -> str:  # type: ignore[override]
        method = getattr(self.view, self.method.lower(), None)
        return inspect.cleandoc(method.__doc__) if method is not None and method.__doc__ else ""


GUIDE = """
One profile per person: find, import, merge, un-merge, explain, export, erase.

**Keys.** Send `Authorization: Bearer <api key>`. A key has scopes: `profiles:read`, `profiles:write`, `merge`,
`imports`, `exports`, `segments`, `privacy`, `pii`, `admin`. Without `pii`, personal values are masked.

**People** are named by any id they have or ever had, or by `type:value` (`email:ann@example.com`), URL-encoded.
An id that was merged away answers with the surviving profile.

**Lists** come newest first in pages: follow `next` until it is null. `count=exact` adds the number of all rows.

**Errors** are `application/problem+json`: `detail` is a sentence for people, `code` a stable word for programs,
`errors` says where (a JSON `pointer` into the body, or a query `parameter`).

**Writes** take an `Idempotency-Key`, so that they can be repeated safely for 24 hours: the same key and request get the
saved answer (`Idempotent-Replayed: true`), another request is a 422, one still being worked on a 409.
With `?dry_run=true` they answer as if, with `effects`, and change nothing. Nothing that was sent is dropped silently:
unknown fields and parameters are a 400. Changes of one person take `If-Match` with the version you looked at.

**Rates.** `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds) come with every answer; beyond the
limit the answer is a 429 with `Retry-After`.
"""
_CHAPTERS = {
    "Profiles": "People and what belongs to them.",
    "Merging": "Joining two profiles that are one person, and taking it back.",
    "Imports": "Files: upload, plan, apply, undo.",
    "Duplicates": "Who may be one person, what was decided, and which sources make duplicates.",
    "Definitions": "What staff manage: tags, attributes, identifier types, sources.",
    "Tracking": "What came in: events, what became of each item, and what waits to be repaired.",
    "Jobs": "Long work.",
    "Webhooks": "Who outside is told.",
    "Privacy": "What is held about a person, and who looked.",
}


def with_guide(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: the introduction, and the chapters in the order one needs them."""
    result["info"]["description"] = GUIDE.strip()
    used = {
        tag for path in result["paths"].values() for method in path.values() for tag in method.get("tags", [])
    }
    chapters = [*_CHAPTERS, *sorted(used - _CHAPTERS.keys())]
    result["tags"] = [
        {"name": name, "description": _CHAPTERS.get(name, "")} for name in chapters if name in used
    ]
    return result


def without_duplicate_slashes(endpoints: list[Any]) -> list[Any]:
    """Preprocessing hook: of two paths that differ by the trailing slash, keep one. Paths of files have none."""
    return [endpoint for endpoint in endpoints if endpoint[0].endswith("/") is not _is_file(endpoint[0])]


def _is_file(path: str) -> bool:
    return "." in path.rstrip("/").rpartition("/")[2]


class KeyScheme(OpenApiAuthenticationExtension):
    target_class = "cdp.api.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, made in the admin under Settings or with `manage.py apikey create`.",
        }


class StaffSessionScheme(SessionScheme):
    target_class = "cdp.api.StaffSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = "Signed in to the admin; writes send the CSRF token in the header `X-CSRFToken`."
        scheme: dict[str, str] = super().get_security_definition(auto_schema)  # type: ignore[no-untyped-call]
        return {**scheme, "description": description}
