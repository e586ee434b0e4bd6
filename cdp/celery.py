"""The Celery application: tasks and beat schedules from every app's ``tasks.py``.

Celery only starts workers on jobs; the truth about long work is a Job row (cdp/jobs.py). A lost, late or doubled
message is harmless, so there is no result backend, arguments are ids only, and beat's schedule is static.
"""

import os
from importlib import import_module
from typing import Any

from celery import Celery
from django.utils.module_loading import module_has_submodule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cdp.settings")

app = Celery("cdp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Of ticks at a time of day. Others expire with their interval: while workers are away or busy beat goes on, and a tick
# is worth nothing once the next one is there.
_DAILY_TICK_EXPIRES_SECONDS = 3600.0


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The ``BEAT_SCHEDULE`` of every app's ``tasks.py``, each tick with an expiry. Needs Django set up."""
    from django.apps import apps

    schedule: dict[str, dict[str, Any]] = {}
    for config in apps.get_app_configs():
        if config.module is None or not module_has_submodule(config.module, "tasks"):
            continue
        tasks = import_module(f"{config.name}.tasks")
        for name, entry in getattr(tasks, "BEAT_SCHEDULE", {}).items():
            if name in schedule:
                raise ValueError(f"Two apps schedule “{name}”.")
            interval = entry["schedule"]
            expires = interval if isinstance(interval, float) else _DAILY_TICK_EXPIRES_SECONDS
            schedule[name] = {**entry, "options": {"expires": expires}}
    return schedule


@app.on_after_finalize.connect
def _set_beat_schedule(sender: Celery, **kwargs: Any) -> None:
    sender.conf.beat_schedule = beat_schedule()
