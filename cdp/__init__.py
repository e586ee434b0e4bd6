"""The project: what every capability stands on — settings, jobs, audit, keys, the HTTP shell."""

import os

# Every process of the product imports this first: web, workers, scheduler, commands and `make run`. What they write
# (uploads, exports, scans with everybody's names, logs) is for the user they run as, whatever the shell's mask was.
os.umask(0o077)

from cdp.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
