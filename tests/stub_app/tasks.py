"""One task, and when beat runs it."""

from __future__ import annotations

BEAT_SCHEDULE = {"stub": {"task": "stub", "schedule": 60.0}}
