"""Every address under /api/. Each capability lists its own; whatever matches none is a 404 as problem+json."""

from django.urls import URLPattern, re_path

from cdp.api.views import NothingHere

urlpatterns: list[URLPattern] = [
    re_path(r"^", NothingHere.as_view(), name="api-nothing"),
]
