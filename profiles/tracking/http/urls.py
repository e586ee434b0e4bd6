"""Addresses of the tracking API → views; also usable as the whole URLconf of a host of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, URLResolver, include, path

from profiles.tracking.http import views
from profiles.tracking.http.sdk_settings import CUSTOMER_IO, CUSTOMER_IO_PATH

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


def with_and_without_slash(
    route: str, view: Callable[..., Any], name: str, parts: dict[str, str] | None = None
) -> list[URLPattern]:
    """With and without the slash: SDKs repeat a redirected POST as GET."""
    return [path(route, view, parts, name=name), path(f"{route}/", view, parts)]


urlpatterns: list[URLPattern | URLResolver] = [
    *with_and_without_slash("v1/batch", views.receive_batch, "track-batch"),
    *[
        pattern
        for route, kind in KINDS.items()
        for pattern in with_and_without_slash(
            f"v1/{route}", views.receive_item, f"track-{route}", {"kind": kind}
        )
    ],
    *with_and_without_slash("v1/b", views.receive_batch, "track-b"),
    *with_and_without_slash("beacon/v1/batch", views.receive_batch, "track-beacon"),
    *with_and_without_slash("v1/import", views.receive_history, "track-import"),
    *with_and_without_slash("api/s/batch", views.receive_batch, "track-api-s-batch"),
    *with_and_without_slash("api/s/<str:kind>", views.receive_item, "track-api-s"),
    *with_and_without_slash("api/s/s2s/<str:kind>", views.receive_item, "track-api-s2s"),
    *with_and_without_slash("v1/projects/<str:write_key>/settings", views.project_settings, "track-settings"),
    *with_and_without_slash(
        f"{CUSTOMER_IO_PATH}/v1/projects/<str:write_key>/settings",
        views.project_settings,
        "track-customerio-settings",
        {"integration": CUSTOMER_IO},
    ),
    *with_and_without_slash("sourceConfig", views.source_config, "track-source-config"),
    path("", include("profiles.tracking.snippet.urls")),
]
