"""Changing one profile: create, update, identifiers, notes, events, addresses, the merge lock.

Every verb is atomic, locks the surviving profile first, writes the journal with the data, and takes who
does it (``actor``) and through which system (``source``).
"""

from profiles.editing.additions import (
    add_address,
    add_event,
    add_note,
    promote_alternate,
    remove_address,
    set_lock,
)
from profiles.editing.identifiers import attach_identifier, detach_identifier
from profiles.editing.profiles import Created, Updated, create_profile, update_profile

__all__ = [
    "Created",
    "Updated",
    "add_address",
    "add_event",
    "add_note",
    "attach_identifier",
    "create_profile",
    "detach_identifier",
    "promote_alternate",
    "remove_address",
    "set_lock",
    "update_profile",
]
