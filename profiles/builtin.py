"""Rows every installation has: the doors, the shipped identifier types and event schemas.

Made after each migrate (and so after a test's flush) when missing; what staff changed stays as they left it.
"""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction

# Fixed ids, so that set-based writers need no look-up.
SOURCES = {"staff": 1, "api": 2, "import": 3, "system": 4, "web": 5}
_LABELS = {"staff": "Staff", "api": "API", "import": "Import", "system": "System", "web": "Web"}

# I2. Phone is contact-only: families share one.
_TYPES: dict[str, dict[str, Any]] = {
    "customer_id": {
        "label": "Customer id",
        "strength": "hard",
        "is_main": True,
        "priority": 1,
        "normalizer": "exact",
        "max_per_profile": 1,
    },
    "email": {"label": "E-mail", "strength": "hard", "is_main": True, "priority": 2, "normalizer": "email"},
    "phone": {"label": "Phone", "strength": "hard", "is_unique": False, "priority": 5, "normalizer": "phone"},
    "anonymous_id": {"label": "Browser id", "strength": "soft", "priority": 9, "normalizer": "exact"},
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "customer_id_first": {"customer_id": {"priority": 1}, "email": {"priority": 2}},
    "email_first": {"email": {"priority": 1}, "customer_id": {"priority": 2}},
}


@lru_cache(maxsize=8)
def builtin_source(door: str) -> Any:
    """The shipped Source of a door: staff, api, import, system or web. One query per process."""
    from profiles.models import Source

    return Source.objects.get(pk=SOURCES[door])


def ensure_builtin(**_: Any) -> None:
    """Create what is missing of the shipped sources, identifier types and event schemas."""
    from profiles.identity.normalize import DEFAULT_BLOCKED, DEFAULT_BLOCKED_PATTERNS
    from profiles.models import EventSchema, IdentifierType, Source
    from profiles.tracking.schemas.builtin import SCHEMAS

    with transaction.atomic():
        Source.objects.bulk_create(
            [Source(id=pk, name=_LABELS[door], door=door, is_builtin=True) for door, pk in SOURCES.items()],
            ignore_conflicts=True,
        )
        _advance_sequence()
        have = set(IdentifierType.objects.filter(is_builtin=True).values_list("name", flat=True))
        preset = PRESETS.get(settings.CDP_IDENTITY_PRESET, PRESETS["customer_id_first"])
        IdentifierType.objects.bulk_create(
            IdentifierType(
                name=name,
                is_builtin=True,
                blocked_values=sorted(DEFAULT_BLOCKED),
                blocked_patterns=list(DEFAULT_BLOCKED_PATTERNS),
                **{**spec, **preset.get(name, {})},
            )
            for name, spec in _TYPES.items()
            if name not in have
        )
        # One that staff wrote under the same name is theirs.
        EventSchema.objects.bulk_create(
            [
                EventSchema(name=name, description=description, properties=specs, is_builtin=True)
                for name, (description, specs) in SCHEMAS.items()
            ],
            ignore_conflicts=True,
        )


def _advance_sequence() -> None:
    """The fixed ids were given by hand; the sequence must start above them."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('profiles_source', 'id'),"
            " greatest((SELECT max(id) FROM profiles_source), 100))"
        )
