"""Addresses of the snippet and of what belongs to it → the views that serve them."""

from django.urls import path

from profiles.tracking.snippet import views

urlpatterns = [
    path("cdp.js", views.serve, {"name": "cdp.js"}, name="cdp-js"),
    path(
        "analytics.js/v1/<str:write_key>/analytics.min.js",
        views.serve,
        {"name": "analytics.js"},
        name="analytics-js",
    ),
    path("cdp-id.js", views.serve, {"name": "cdp-id.js"}, name="cdp-id-js"),
    path("browser-id/", views.browser_id, name="browser-id"),
    path("cdp-debug.js", views.serve, {"name": "cdp-debug.js"}, name="cdp-debug-js"),
]
