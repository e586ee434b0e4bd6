from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class CdpConfig(AppConfig):
    name = "cdp"
    verbose_name = "Platform"
    default = True

    def ready(self) -> None:
        from cdp import checks  # noqa: F401  (registers the system checks)


class CdpAdminConfig(admin_apps.AdminConfig):
    """Puts our AdminSite (navigation by task, dashboard) where the stock one would be."""

    default = False
    default_site = "cdp.admin.CdpAdminSite"
