"""Every address the product answers on."""

from django.contrib import admin
from django.urls import include, path

from cdp import health, home
from cdp.admin import help_pages

handler400 = "cdp.api.problems.bad_request"
handler404 = "cdp.api.problems.not_found"
handler500 = "cdp.middleware.server_error"

urlpatterns = [
    # First, since most calls are for it; and before the API, which answers 404 for what it does not know of /api/.
    path("", include("profiles.tracking.http.urls")),
    path("", home.to_admin, name="front"),
    path("llms.txt", home.llms, name="llms"),
    path("docs/<slug:name>.md", help_pages.source, name="docs"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics_page, name="metrics"),
    path("csp-report/", health.csp_report, name="csp-report"),
    path("admin/", admin.site.urls),
    path("api/", include("profiles.api.urls")),
    path("api/", include("imports.api.urls")),
    path("api/", include("segments.api.urls")),
    # Last: it answers 404 for every address under /api/ that is none.
    path("api/", include("cdp.api.urls")),
]
