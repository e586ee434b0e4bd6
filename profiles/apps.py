from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ProfilesConfig(AppConfig):
    name = "profiles"
    verbose_name = "People"

    def ready(self) -> None:
        # Any process may work on a job or end one: bulk actions and exports are known everywhere.
        from profiles.builtin import ensure_builtin
        from profiles.bulk import exports  # noqa: F401
        from profiles.duplicates.finding import full_scan  # noqa: F401
        from profiles.merging.batches import apply, preview, undo  # noqa: F401

        post_migrate.connect(ensure_builtin, sender=self)
