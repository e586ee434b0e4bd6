from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ProfilesConfig(AppConfig):
    name = "profiles"
    verbose_name = "People"

    def ready(self) -> None:
        from profiles import registrations
        from profiles.builtin import ensure_builtin

        registrations.register()
        post_migrate.connect(ensure_builtin, sender=self)
