"""The tables of people. The journal (Change) is written by the same statement as the data it tells about."""

from profiles.models.consent import Consent
from profiles.models.definition import AttributeDefinition, IdentifierType, Source, WriteKey
from profiles.models.duplicate import DuplicatePair
from profiles.models.event import Event, EventName
from profiles.models.identifier import Identifier
from profiles.models.journal import Change
from profiles.models.merge import Merge
from profiles.models.note import Message, Note
from profiles.models.profile import Address, Profile
from profiles.models.tag import ProfileTag, Tag

__all__ = [
    "Address",
    "AttributeDefinition",
    "Change",
    "Consent",
    "DuplicatePair",
    "Event",
    "EventName",
    "Identifier",
    "IdentifierType",
    "Merge",
    "Message",
    "Note",
    "Profile",
    "ProfileTag",
    "Source",
    "Tag",
    "WriteKey",
]
