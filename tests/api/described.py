"""One answer of the API and its OpenAPI description → nothing, or an AssertionError that names what differs.

``/api/v1/schema/`` must give the answer's status, content type and body for its path and method. An object whose
fields are described has no others, although the published description leaves room for new ones.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema_rs
from django.urls import Resolver404, resolve
from drf_spectacular.generators import SchemaGenerator

PROBLEM = {"$ref": "#/components/schemas/Problem"}
# No operation describes these: no such address, no such method, and what broke.
UNREACHED = {404, 405, 500}


@functools.cache
def description() -> dict[str, Any]:
    """What ``GET /api/v1/schema/`` answers."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document


@functools.cache
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """``{("GET", "/api/v1/tags/{}/"): operation}``"""
    return {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path)): operation
        for path, methods in description()["paths"].items()
        for method, operation in methods.items()
    }


def check_answer(method: str, path: str, answer: Any, data: Any) -> None:
    """Fail unless the description has this answer; ``data`` is its parsed body."""
    template = template_of(path)
    if template is None or method == "OPTIONS":
        return
    operation = operations().get(("GET" if method == "HEAD" else method, template))
    name, status = f"{method} {template}", answer.status_code
    if status in UNREACHED and str(status) not in (operation or {}).get("responses", {}):
        check_body(name, PROBLEM, data)
        return
    assert operation is not None, f"{name} is not described"
    assert str(status) in operation["responses"], f"{name} answers {status}, which is not described"
    content = operation["responses"][str(status)].get("content", {})
    if method == "HEAD" or not content:
        assert answer.streaming or not answer.content, f"{name} answers {status} with an undescribed body"
        return
    media_type = answer["Content-Type"].partition(";")[0]
    assert media_type in content, f"{name} answers {media_type}; described: {', '.join(content)}"
    if media_type.endswith("json") and not answer.streaming:
        check_body(f"{name} ({status})", content[media_type]["schema"], data)


def template_of(path: str) -> str | None:
    """The address in the description that leads to this path's view; None for what is not described at all."""
    try:
        route = resolve(path.partition("?")[0]).route
    except Resolver404:
        return None
    template = "/" + re.sub(r"<(?:\w+:)?\w+>", "{}", route)
    return next((address for address in (template, f"{template}/") if address in addresses()), None)


@functools.cache
def addresses() -> frozenset[str]:
    return frozenset(address for _, address in operations())


def check_body(name: str, schema: dict[str, Any], data: Any) -> None:
    errors = [
        f"/{'/'.join(map(str, error.instance_path))} {error.message}"
        for error in validator(json.dumps(schema, sort_keys=True)).iter_errors(data)
    ]
    assert not errors, f"{name} differs from its description: {'; '.join(errors)}"


@functools.cache
def validator(schema: str) -> Any:
    """Compiled once: all the definitions an answer may name are in it."""
    described = {**closed(json.loads(schema)), "$defs": definitions()}
    return jsonschema_rs.validator_for(described, validate_formats=True)


@functools.cache
def definitions() -> dict[str, Any]:
    return {name: closed(schema) for name, schema in description()["components"]["schemas"].items()}


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI 3.0 schema as JSON Schema in which objects have the described fields only."""
    if schema.get("nullable"):
        rest = {key: value for key, value in schema.items() if key != "nullable"}
        return {"anyOf": [closed(rest), {"type": "null"}]}
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/components/schemas/", "#/$defs/")}
    if "allOf" in schema:
        return closed(_united(schema["allOf"])) if len(schema["allOf"]) > 1 else closed(schema["allOf"][0])
    result = dict(schema)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            result[key] = [closed(choice) for choice in schema[key]]
    if "items" in schema:
        result["items"] = closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = closed(schema["additionalProperties"])
    if "properties" in schema:
        result["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        result.setdefault("additionalProperties", False)
    return result


def _united(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """Objects that one value is at once, as one object."""
    parts = [_resolved(schema) for schema in schemas]
    return {
        "type": "object",
        "properties": {name: value for part in parts for name, value in part.get("properties", {}).items()},
        "required": [name for part in parts for name in part.get("required", [])],
    }


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    target: dict[str, Any] = description()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return target
