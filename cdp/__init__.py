"""The project: what every capability stands on — settings, jobs, audit, keys, the HTTP shell."""

from cdp.celery import app as celery_app

__all__ = ["celery_app"]
