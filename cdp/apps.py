from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class CdpConfig(AppConfig):
    name = "cdp"
    verbose_name = "Platform"
    default = True

    def ready(self) -> None:
        from cdp import (  # noqa: F401  (system checks, signals)
            access_checks,
            audit,
            checks,
            invariants,
            lockout,
            looks,
            old_rows,
            personal_data_registry,
            retention,
            sessions,
            webhooks,
            worker,
        )
        from cdp.api.idempotency import expire_idempotency_keys
        from cdp.personal_data import PROVIDER
        from cdp.roles_and_scopes import PLATFORM, ensure_roles, register_rights

        register_rights("cdp", PLATFORM)
        invariants.invariants.register(invariants.AUDIT, invariants.check_audit, order=1000)
        personal_data_registry.providers.register("cdp", PROVIDER)
        retention.expiry.register("saved answers", expire_idempotency_keys)
        retention.expiry.register("sessions", sessions.forget_expired)
        retention.expiry.register("wrong passwords", lockout.forget_old)
        retention.expiry.register("webhook messages", webhooks.forget_old)
        retention.expiry.register("looks", looks.forget_looks)
        for name, forget in old_rows.EXPIRY.items():
            retention.expiry.register(name, forget)
        retention.register_rules(old_rows.RULES)
        post_migrate.connect(ensure_roles, sender=self)


class CdpAdminConfig(admin_apps.AdminConfig):
    """Puts our AdminSite (navigation by task, Today) where the stock one would be."""

    default = False
    default_site = "cdp.admin.CdpAdminSite"

    def ready(self) -> None:
        super().ready()
        from cdp.admin import pages  # noqa: F401  (registers the platform's pages, now that there is a site)
