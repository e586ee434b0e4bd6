"""An empty or older database → the rows every installation has: sources, identifier types, event schemas, consent lists.

Runs after each migrate (and so after a test's flush) and adds what is missing; what staff changed stays as it is.
"""

from typing import Any

from django.conf import settings
from django.db import connection, transaction

from profiles.builtin_sources import SOURCE_IDS
from profiles.consent.words import SHIPPED
from profiles.identity.presets import BUILTIN_TYPES, PRESETS
from profiles.models import ConsentChannel, ConsentPurpose, EventSchema, IdentifierType, Source
from profiles.tracking.schemas.builtin import SCHEMAS

_SOURCE_NAMES = {"staff": "Staff", "api": "API", "import": "Import", "system": "System", "web": "Web"}


@transaction.atomic
def ensure_builtin(**_: Any) -> None:
    """Create what is missing of the shipped sources, identifier types, event schemas and consent lists."""
    Source.objects.bulk_create(
        [
            Source(id=pk, name=_SOURCE_NAMES[channel], channel=channel, is_builtin=True)
            for channel, pk in SOURCE_IDS.items()
        ],
        ignore_conflicts=True,
    )
    _advance_source_sequence()
    existing = set(IdentifierType.objects.filter(is_builtin=True).values_list("name", flat=True))
    preset = PRESETS.get(settings.CDP_IDENTITY_PRESET, PRESETS["customer_id_first"])
    IdentifierType.objects.bulk_create(
        IdentifierType(name=name, is_builtin=True, **{**fields, **preset.get(name, {})})
        for name, fields in BUILTIN_TYPES.items()
        if name not in existing
    )
    # A schema that staff wrote under the same name is theirs.
    EventSchema.objects.bulk_create(
        [
            EventSchema(name=name, description=description, properties=properties, is_builtin=True)
            for name, (description, properties) in SCHEMAS.items()
        ],
        ignore_conflicts=True,
    )
    ConsentChannel.objects.bulk_create(
        [
            ConsentChannel(
                name=word.name, label=word.label, synonyms=list(word.synonyms), contact=word.contact
            )
            for word in SHIPPED.channels
        ],
        ignore_conflicts=True,
    )
    ConsentPurpose.objects.bulk_create(
        [
            ConsentPurpose(name=word.name, label=word.label, synonyms=list(word.synonyms))
            for word in SHIPPED.purposes
        ],
        ignore_conflicts=True,
    )


def _advance_source_sequence() -> None:
    """The shipped ids are fixed; the sequence must start above them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('profiles_source', 'id'),"
            " greatest((SELECT max(id) FROM profiles_source), 100))"
        )
