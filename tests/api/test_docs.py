"""The description is valid and whole; tests/browser looks at its page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import get_resolver

from tests.api.caller import Caller

METHODS = ("get", "post", "put", "patch", "delete")


Permission = str | tuple[str, ...] | None


def endpoints() -> dict[str, dict[str, Permission]]:
    """``{route: {method: permission}}`` of everything under /api/; a method without a permission is left out."""
    return {
        str(pattern.pattern): {
            method: permissions[method]
            for method in sorted(methods_of(pattern.callback) & permissions.keys())
        }
        for pattern, permissions in _patterns()
    }


def _patterns() -> Iterator[tuple[Any, dict[str, Permission]]]:
    for resolver in get_resolver().url_patterns:
        for pattern in resolver.url_patterns if str(resolver.pattern) == "api/" else ():
            callback = pattern.callback
            own = callback.initkwargs.get("permissions") if hasattr(callback, "initkwargs") else None
            yield pattern, own or getattr(class_of(callback), "permissions", {})


def class_of(callback: Any) -> Any:
    return getattr(callback, "view_class", None) or callback.cls


def methods_of(callback: Any) -> set[str]:
    """The methods a view answers; of a viewset those that its route binds to actions."""
    names = getattr(callback, "actions", None) or [
        name for name in METHODS if hasattr(class_of(callback), name)
    ]
    return {name.upper() for name in names if name in METHODS}


def test_description_is_valid_openapi_without_warnings(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


@pytest.mark.django_db
def test_description_tells_every_address_with_summary_and_errors(stranger: Caller) -> None:
    answer = stranger.get("schema/")
    assert (answer.status_code, answer.data["openapi"][:2]) == (200, "3.")
    assert stranger.get("schema", Accept="application/yaml").content.startswith(b"openapi: 3")
    assert "RateLimit-Limit" in answer
    described = answer.data["paths"]
    for path, operations in described.items():
        assert path.endswith("/") or "." in path
        for operation in operations.values():
            assert operation["summary"], path
            assert {"401", "403", "429", "503"} <= operation["responses"].keys(), path
            assert "``" not in operation.get("description", ""), path
    undescribed = {"v1/schema/", "v1/docs/"}
    routes = {route for route in endpoints() if route.endswith("/")} - undescribed
    assert len(described) == len(routes)
    assert [tag["name"] for tag in answer.data["tags"]][:2] == ["Profiles", "Merging"]
    assert answer.data["components"]["securitySchemes"].keys() == {"apiKey", "cookieAuth"}


def test_every_address_answers_with_and_without_its_slash() -> None:
    routes = set(endpoints()) - {"^"}
    assert {route.rstrip("/") for route in routes} == {
        route.rstrip("/") for route in routes if route.endswith("/")
    } | {route for route in routes if "." in route.rpartition("/")[2]}
    for route in routes:
        if "." not in route:
            assert {route.rstrip("/"), route.rstrip("/") + "/"} <= routes


def test_every_method_names_its_permission() -> None:
    """A method without one is closed to everybody: a mistake that would only show in production."""
    for pattern, permissions in _patterns():
        if permissions:
            assert methods_of(pattern.callback) <= permissions.keys(), str(pattern.pattern)
