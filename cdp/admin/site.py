"""The site: our frame around the stock admin, with Today as its first page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path

from cdp.registry import Registry


@dataclass(frozen=True, slots=True)
class ExtraPage:
    """A page of the admin that belongs to no model."""

    route: str
    view: Callable[..., HttpResponseBase]
    name: str

    def pattern(self, site: admin.AdminSite) -> Any:
        return path(self.route, site.admin_view(self.view), name=self.name)


# Apps add theirs, by the name of their URL.
extra_pages: Registry[ExtraPage] = Registry("The admin page")


class CdpAdminSite(admin.AdminSite):
    site_header = "People"
    site_title = "People"
    index_title = "Today"
    site_url = None
    enable_nav_sidebar = False

    def get_urls(self) -> list[Any]:
        from cdp.admin import account

        return [*account.urls(), *(page.pattern(self) for page in extra_pages), *super().get_urls()]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Without the stock list of apps and the recent actions: the menu is by task (navigation.py)."""
        return {
            "site_title": self.site_title,
            "site_header": self.site_header,
            "site_url": None,
            "has_permission": self.has_permission(request),
            "is_popup": False,
            "is_nav_sidebar_enabled": False,
        }

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:  # type: ignore[override]
        from cdp.admin import account

        return account.own_password(self, request, extra_context)

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        from cdp.admin import today

        context = {
            **self.each_context(request),
            "title": self.index_title,
            "today": today.today(request.user),
            **(extra_context or {}),
        }
        request.current_app = self.name
        return TemplateResponse(request, "admin/index.html", context)

    def app_index(self, request: HttpRequest, app_label: str, extra_context: Any = None) -> Any:
        """Nobody thinks in apps here."""
        return redirect("admin:index")
