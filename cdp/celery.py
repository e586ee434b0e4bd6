"""Celery only wakes workers: the truth about long work is a Job row (cdp/jobs.py).

A lost, late or doubled message is harmless, so there is no result backend, arguments are ids
only, and the beat schedule below is static and idempotent.
"""

import os

from celery import Celery

from cdp import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cdp.settings")

broker.install()
app = Celery("cdp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
