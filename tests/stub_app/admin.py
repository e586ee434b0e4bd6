"""What an app adds to the admin: tabs, parts of the first page, pages, panels, words of the audit log."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from cdp.admin import audit, audit_wording, jobs, needs_attention, today
from cdp.admin.navigation import TASKS, Tab, register_tab
from cdp.admin.site import ExtraPage, extra_pages
from profiles.admin.bulk_forms import BulkForm, forms
from profiles.admin.card_panels import CardPanel, panels


def stub_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("stub")


for task in TASKS:
    register_tab(task, Tab("stub", "admin:stub", "profiles.view_profile"))
extra_pages.register("stub", ExtraPage("stub/", stub_page, "stub"))
needs_attention.providers.register(
    "stub", needs_attention.Provider("profiles.view_profile", "segments", list, lambda: 0)
)
for registry in (today.populations, today.kpis, today.undoables):
    registry.register("stub", today.Part("Stub", "profiles.view_profile", lambda user: None))  # type: ignore[arg-type,return-value]
audit.subject_pages.register("stub", "admin:stub")
audit_wording.register({"stub": "stubbed"})
panels.register("stub", CardPanel("about", "admin/profiles/card_devices.html", lambda card: {"stub": True}))
forms.register("stub", BulkForm())
jobs.follow_ups.register("stub", lambda job, user: None)
