"""Addresses of the snippet, and of the script the standard tag loads → the view that serves them."""

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
    path("cdp-debug.js", views.serve, {"name": "cdp-debug.js"}, name="cdp-debug-js"),
]
