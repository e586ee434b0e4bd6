"""Addresses of the snippet → the view that serves it."""

from django.urls import path

from profiles.tracking.snippet import views

urlpatterns = [
    path("cdp.js", views.serve, {"name": "cdp.js"}, name="cdp-js"),
    path("cdp-debug.js", views.serve, {"name": "cdp-debug.js"}, name="cdp-debug-js"),
]
