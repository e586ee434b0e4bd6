"""Changed profiles that wait to be compared with the rules, and what live rules read."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from profiles.models.matching import CurrentTransaction


class Watch(models.Model):
    """One row is something a live rule reads (``field:city``, ``event:12``); of changes to anything else nothing is queued.

    Written when a rule is published, read by the triggers of migration ``segments/0002_queue``.
    """

    token = models.CharField(max_length=300, primary_key=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.token


class QueueEntry(models.Model):
    """One row says that a profile changed in something live rules read. Written by triggers, emptied by workers.

    ``reads`` are the tokens it changed in; ``*`` is everything: a new profile, a merge. ``cause`` and ``cause_id`` say
    what changed it (segments.models.membership.Cause). ``at``: when it took effect, where that is not when it was queued.
    """

    id = models.BigAutoField(primary_key=True)
    profile_id = models.BigIntegerField()
    reads = ArrayField(models.TextField())
    cause = models.CharField(max_length=9)
    cause_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(db_default=Now())
    xact = models.BigIntegerField(db_default=CurrentTransaction())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.profile_id}: {', '.join(self.reads)}"
