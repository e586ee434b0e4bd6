"""The endpoints → the OpenAPI description; hooks named in settings.REST_FRAMEWORK and SPECTACULAR_SETTINGS.

Django REST framework loads this while views are being defined, so nothing here imports a view.
"""

from __future__ import annotations

import inspect
from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction

from cdp.api import schema


class EndpointSchema(AutoSchema):
    """Describes an endpoint by its own method's docstring; a base class's is about the code."""

    def get_override_parameters(self) -> list[Any]:
        """What every write takes, every list of a viewset, and what apps add; ``extend_schema`` adds the rest."""
        if self._is_write():
            return schema.WRITE
        shared = schema.PAGE if getattr(self.view, "action", None) == "list" else []
        return [*shared, *getattr(self.view, "registered_parameters", list)()]

    def _is_write(self) -> bool:
        return self.method != "GET" and self.method not in getattr(self.view, "reads", ())

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        """The endpoint's own answers, and the errors that every one of its method may answer."""
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        errors = schema.WRITE_ERRORS if self._is_write() else schema.ERRORS
        for (status, media_type), response in errors.items():
            if str(status) not in bodies:
                bodies[str(status)] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                    response, str(status), (media_type,), direction
                )
        return bodies

    def get_serializer_name(self, serializer: Any, direction: Direction) -> str:
        """``MergeBody`` becomes ``MergeRequest``, since components of requests get that ending."""
        return str(super().get_serializer_name(serializer, direction)).removesuffix("Body")

    def get_description(self) -> str:  # type: ignore[override]
        name = getattr(self.view, "action", None) or self.method.lower()
        method = getattr(self.view, name, None)
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
unknown fields and parameters are a 400. Ids in bodies are numbers or strings of digits. Changes of one person take `If-Match` with the version you looked at.

**Rates.** `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds) come with every answer; beyond the
limit the answer is a 429 with `Retry-After`.
"""
_CHAPTERS = {
    "Profiles": "People and what belongs to them.",
    "Merging": "Merging two profiles of one person, and undoing it.",
    "Imports": "Files: upload, plan, apply, undo.",
    "Exports": "Many people as a file: CSV or JSON Lines.",
    "Duplicates": "Which profiles may be one person, what was decided, and which sources create duplicates.",
    "Segments": "Groups of people by rule or by hand: counted, kept up to date, explained.",
    "Definitions": "What staff manage: tags, attributes, identifier types, sources.",
    "Tracking": "What came in: events, what became of each item, and what waits to be repaired.",
    "Jobs": "Long work.",
    "Webhooks": "Messages to other systems.",
    "Privacy": "What is stored about a person, and who looked at whom.",
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


def with_dry_runs(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: what a write answers with ``dry_run=true``; a deletion answers 200 then."""
    schemas = result["components"]["schemas"]
    schemas["DryRun"] = _DRY_RUN
    for methods in result["paths"].values():
        for operation in methods.values():
            if not any(parameter["name"] == "dry_run" for parameter in operation.get("parameters", [])):
                continue
            responses = operation["responses"]
            if "204" in responses:
                responses["200"] = {
                    "content": {"application/json": {"schema": _reference("DryRun")}},
                    "description": "With `dry_run=true`.",
                }
                continue
            for status, response in responses.items():
                if status.startswith("2"):
                    content = response["content"]["application/json"]
                    content["schema"] = _with_effects(content["schema"], schemas)
    return result


def _with_effects(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema with the fields of a dry run as well; of a choice, each of its schemas (once)."""
    if "$ref" not in schema:
        return schema
    component = schemas[schema["$ref"].rpartition("/")[2]]
    if "oneOf" not in component:
        return {"allOf": [schema, _reference("DryRun")]}
    component["oneOf"] = [_with_effects(choice, schemas) for choice in component["oneOf"]]
    return schema


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_DRY_RUN = {
    "type": "object",
    "description": "With `dry_run=true`: what the call would have done.",
    "properties": {
        "dry_run": {"type": "boolean"},
        "effects": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"kind": {"type": "string"}},
                "required": ["kind"],
                "additionalProperties": {},
            },
        },
    },
}


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
            "description": "An API key, created in the admin under Settings or with `manage.py apikey create`.",
        }


class StaffSessionScheme(SessionScheme):
    target_class = "cdp.api.StaffSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = (
            "Signed in to the admin; writes send the CSRF token in the header `X-CSRFToken`. Webhooks, exports and the GDPR"
            " export want a password given lately: a 403 with the code `password_not_confirmed` names the page that asks for it."
        )
        scheme: dict[str, str] = super().get_security_definition(auto_schema)  # type: ignore[no-untyped-call]
        return {**scheme, "description": description}
