from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "imports"
    verbose_name = "Imports"

    def ready(self) -> None:
        # Web processes end jobs too (a queued one is canceled at once), so they know the handlers as well.
        from imports import tasks  # noqa: F401
