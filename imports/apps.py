from contextlib import suppress
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class ImportsConfig(AppConfig):
    name = "imports"
    verbose_name = "Imports"

    def ready(self) -> None:
        # Web processes end jobs too (a queued one is canceled at once), so they know the handlers as well.
        from imports import tasks  # noqa: F401

        # Where uploads arrive. When it cannot be made, Django's check files.E001 says so and names the setting.
        with suppress(OSError):
            Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
