"""Addresses: every one answers with and without its trailing slash, since a redirect would lose a body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, path, register_converter


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
