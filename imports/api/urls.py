from django.urls import URLPattern

from cdp.api.routes import both
from imports.api import views

_IMPORT = "v1/imports/<int:pk>"

urlpatterns: list[URLPattern] = [
    *both("v1/imports", views.ImportList, "api-imports"),
    *both("v1/imports/template.csv", views.TemplateFile, "api-import-template"),
    *both(_IMPORT, views.ImportDetail, "api-import"),
    *both(f"{_IMPORT}/apply", views.Apply, "api-import-apply"),
    *both(f"{_IMPORT}/pause", views.Pause, "api-import-pause"),
    *both(f"{_IMPORT}/resume", views.Resume, "api-import-resume"),
    *both(f"{_IMPORT}/cancel", views.Cancel, "api-import-cancel"),
    *both(f"{_IMPORT}/plan.csv", views.PlanFile, "api-import-plan"),
    *both(f"{_IMPORT}/rejected.csv", views.RejectedFile, "api-import-rejected"),
]
