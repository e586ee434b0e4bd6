"""The description is valid and whole; tests/browser looks at its page."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.urls import get_resolver

from tests.api.caller import Caller

METHODS = ("get", "post", "put", "patch", "delete")


def api_views() -> dict[str, Any]:
    """``{route: view class}`` of everything under /api/, one of each pair of addresses."""
    found = {}
    patterns = next(one for one in get_resolver().url_patterns if str(one.pattern) == "api/")
    for pattern in patterns.url_patterns:
        view = getattr(pattern.callback, "view_class", None) or pattern.callback.cls
        found[str(pattern.pattern)] = view
    return found


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
    routes = {route for route in api_views() if route.endswith("/")} - undescribed
    assert len(described) == len(routes)
    assert [tag["name"] for tag in answer.data["tags"]][:2] == ["Profiles", "Merging"]
    assert answer.data["components"]["securitySchemes"].keys() == {"apiKey", "cookieAuth"}


def test_every_address_answers_with_and_without_its_slash() -> None:
    routes = set(api_views()) - {"^"}
    assert {route.rstrip("/") for route in routes} == {
        route.rstrip("/") for route in routes if route.endswith("/")
    } | {route for route in routes if "." in route.rpartition("/")[2]}
    for route in routes:
        if "." not in route:
            assert {route.rstrip("/"), route.rstrip("/") + "/"} <= routes


def test_every_method_names_its_permission() -> None:
    """A method without one is closed to everybody: a mistake that would only show in production."""
    for route, view in api_views().items():
        if hasattr(view, "permissions"):
            methods = {method.upper() for method in METHODS if hasattr(view, method)}
            assert methods == set(view.permissions), route
