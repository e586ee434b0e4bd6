"""Every address of the tracking door, with and without its slash; works by itself on a host of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, URLResolver, include, path

from profiles.tracking.http import views

KINDS = {
    "identify": "identify",
    "track": "track",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
    "update": "update",
    "consent": "consent",
    # analytics-next posts to these.
    "i": "identify",
    "t": "track",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}


def both(
    route: str, view: Callable[..., Any], name: str, parts: dict[str, str] | None = None
) -> list[URLPattern]:
    """With and without the slash: SDKs repeat a redirected POST as GET."""
    return [path(route, view, parts, name=name), path(f"{route}/", view, parts)]


urlpatterns: list[URLPattern | URLResolver] = [
    *both("v1/batch", views.batch, "track-batch"),
    *[
        pattern
        for word, kind in KINDS.items()
        for pattern in both(f"v1/{word}", views.single, f"track-{word}", {"kind": kind})
    ],
    *both("v1/b", views.batch, "track-b"),
    *both("beacon/v1/batch", views.batch, "track-beacon"),
    *both("v1/import", views.history, "track-import"),
    *both("api/s/batch", views.batch, "track-api-s-batch"),
    *both("api/s/<str:kind>", views.single, "track-api-s"),
    *both("api/s/s2s/<str:kind>", views.single, "track-api-s2s"),
    *both("v1/projects/<str:write_key>/settings", views.project_settings, "track-settings"),
    *both("sourceConfig", views.source_config, "track-source-config"),
    path("", include("profiles.tracking.snippet.urls")),
]
