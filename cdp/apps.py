from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class CdpConfig(AppConfig):
    name = "cdp"
    verbose_name = "Platform"
    default = True

    def ready(self) -> None:
        from cdp import audit, checks, worker  # noqa: F401  (system checks, Celery's signals, logins)
        from cdp.roles import ensure_roles

        post_migrate.connect(ensure_roles, sender=self)


class CdpAdminConfig(admin_apps.AdminConfig):
    """Puts our AdminSite (navigation by task, dashboard) where the stock one would be."""

    default = False
    default_site = "cdp.admin.CdpAdminSite"

    def ready(self) -> None:
        super().ready()
        from cdp.admin import pages  # noqa: F401  (registers the platform's pages, now that there is a site)
