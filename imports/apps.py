from contextlib import suppress
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class ImportsConfig(AppConfig):
    name = "imports"
    verbose_name = "Imports"

    def ready(self) -> None:
        # Web processes end jobs too (a queued one is canceled at once), so they know the handlers as well.
        from cdp import looks, personal_data_registry, retention, webhooks
        from cdp.roles_and_scopes import register_rights
        from imports import invariants, list_filter, quality, roles_and_scopes, tasks  # noqa: F401
        from imports.personal_data import PROVIDER
        from imports.retention import RULES, expire_imports
        from profiles.demo import add_demo_step
        from profiles.quality import import_figures
        from profiles.search.list_filters import list_filters

        register_rights("imports", roles_and_scopes.RIGHTS)
        webhooks.register_topics({"import.finished": "An import ended"})
        personal_data_registry.providers.register("imports", PROVIDER)
        retention.expiry.register("imports", expire_imports)
        retention.register_rules(RULES)
        invariants.register()
        looks.register_pages(
            "import",
            "an import",
            (
                "admin/imports/import/<int:import_id>/change",
                "admin/imports/import/<int:import_id>/columns",
                "admin/imports/import/<int:import_id>/map",
                "admin/imports/import/<int:import_id>/read",
                "api/v1/imports",
                "api/v1/imports/<int:pk>",
                *(f"api/v1/imports/<int:pk>/{verb}" for verb in ("apply", "pause", "resume", "cancel")),
            ),
        )
        looks.register_pages("import_file", "a file of an import", ())
        add_demo_step("imports.demo.import_newsletter")
        import_figures.providers.register("imports", quality.PROVIDER)
        list_filters.register("import", list_filter.FILTER)

        # Where uploads arrive. When it cannot be made, Django's check files.E001 says so and names the setting.
        with suppress(OSError):
            Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
