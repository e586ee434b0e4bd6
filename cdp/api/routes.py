"""Views → their addresses, each with and without its trailing slash, since a redirect would lose a body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, path, register_converter
from rest_framework.routers import DynamicRoute, Route, SimpleRouter


class RefConverter:
    """How a profile is named in an address: an id, or ``type:value``, whose value may contain slashes."""

    regex = r"(?:[a-z][a-z0-9_]*:.+?|[^/]+)"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: Any) -> str:
        return str(value)


class TextConverter(RefConverter):
    """A value that may contain slashes."""

    regex = r".+?"


register_converter(RefConverter, "ref")
register_converter(TextConverter, "text")


def both(route: str, view: Any, name: str) -> list[URLPattern]:
    """Two patterns for one view. ``route`` is without slashes at its ends; the name goes to the one with."""
    handler: Callable[..., Any] = view.as_view()
    return [path(f"{route}/", handler, name=name), path(route, handler)]


def _without_put(route: Route | DynamicRoute) -> Route | DynamicRoute:
    if isinstance(route, DynamicRoute):
        return route
    return route._replace(
        mapping={method: action for method, action in route.mapping.items() if method != "put"}
    )


class Router(SimpleRouter):
    """``router.register("v1/tags", TagViewSet, "api-tag")`` → the addresses of the viewset's actions, as ``both`` does.

    Rows are changed by PATCH alone.
    """

    routes = [_without_put(route) for route in SimpleRouter.routes]

    def __init__(self) -> None:
        super().__init__(use_regex_path=False)

    def get_urls(self) -> list[Any]:
        patterns: list[Any] = super().get_urls()
        return [
            pattern
            for with_slash in patterns
            for pattern in (with_slash, path(str(with_slash.pattern).rstrip("/"), with_slash.callback))
        ]
