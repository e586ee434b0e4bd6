"""The addresses of the import's pages, under the names the admin's links expect."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import path

from cdp.admin import CdpModelAdmin, audit_wording
from cdp.admin.audit import subject_pages
from cdp.admin.navigation import Tab, register_tab
from imports.admin import columns, files, pages, today
from imports.models import Import


class ImportAdmin(CdpModelAdmin):
    """Registered so that links, permissions and the menu know the model; every page is a view of ours."""

    pages = (
        ("", pages.imports, "changelist"),
        ("add/", pages.upload, "add"),
        ("template.csv", files.template, "template"),
        ("<int:import_id>/change/", pages.show, "change"),
        ("<int:import_id>/columns/", columns.show, "columns"),
        ("<int:import_id>/read/", columns.reread, "read"),
        ("<int:import_id>/map/", columns.save, "map"),
        ("<int:import_id>/apply/", pages.apply, "apply"),
        ("<int:import_id>/pause/", pages.pause, "pause"),
        ("<int:import_id>/resume/", pages.resume, "resume"),
        ("<int:import_id>/cancel/", pages.cancel, "cancel"),
        ("<int:import_id>/plan.csv", files.plan, "plan_csv"),
        ("<int:import_id>/rejected.csv", files.rejected, "rejected_csv"),
    )

    def get_urls(self) -> list[Any]:
        return [
            path(route, self.admin_site.admin_view(view), name=f"imports_import_{name}")
            for route, view, name in self.pages
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An import is a record of what was done; its file leaves by retention."""
        return False


admin.site.register(Import, ImportAdmin)
subject_pages.register("import", "admin:imports_import_change")
register_tab("imports", Tab("Imports", "admin:imports_import_changelist", "imports.view_import"), order=5)
today.register()
audit_wording.register(
    {
        "import.upload": "uploaded",
        "import.plan": "planned",
        "import.map": "mapped the columns of",
        "import.reread": "changed how to read",
        "import.apply": "applied",
        "import.finish": "finished",
        "import.download": "downloaded rows of",
        "import.expire": "deleted the file of",
    }
)
