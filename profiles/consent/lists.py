"""The channels and purposes that an admin keeps → both lists, read again every few seconds; how often each is used."""

from __future__ import annotations

from django.db.models import Count

from cdp.ttl_cache import Recent
from profiles.consent.words import ConsentLists, Word, lists_of
from profiles.models import Consent, ConsentChannel, ConsentPurpose


def read_lists() -> ConsentLists:
    """Both lists as the database has them. Two queries."""
    channels = [
        Word(row.name, str(row), tuple(row.synonyms), row.archived_at is not None, row.contact)
        for row in ConsentChannel.objects.order_by("name")
    ]
    purposes = [
        Word(row.name, str(row), tuple(row.synonyms), row.archived_at is not None)
        for row in ConsentPurpose.objects.order_by("name")
    ]
    return lists_of(channels, purposes)


consent_lists = Recent(read_lists)


def decisions_by_word(field: str) -> dict[str, int]:
    """``{name: decisions}`` of each channel or purpose in the ledger. One query that reads all of it."""
    return dict(Consent.objects.order_by().values_list(field).annotate(Count("pk")))


def is_used(field: str, name: str) -> bool:
    """Whether a decision names the channel or purpose."""
    return Consent.objects.filter(**{field: name}).exists()
