"""The tables of profiles. The journal (Change) is written in the same transaction as the data it is about."""

from profiles.models.alternate import Alternate
from profiles.models.consent import Consent, ConsentChannel, ConsentPurpose
from profiles.models.definition import AttributeDefinition, IdentifierType, Source, WriteKey
from profiles.models.duplicate import DuplicateCase, DuplicatePair, DuplicatePolicy, Tier
from profiles.models.event import Event, EventName, EventSchema
from profiles.models.identifier import Identifier
from profiles.models.journal import Change
from profiles.models.matching import FrequentValue, MatchBase, MatchQueue, MatchRarity, MatchRow
from profiles.models.merge import Merge, MergeBatch, MergeBatchRow
from profiles.models.note import Message, Note
from profiles.models.profile import Address, Profile
from profiles.models.saved_view import SavedView
from profiles.models.scorecard import ScorecardState, SourceAlarm, SourceHour
from profiles.models.tag import ProfileTag, Tag
from profiles.models.tracking import Cart, HeldMerge, LinkInterval, Receipt, Visit

__all__ = [
    "Address",
    "Alternate",
    "AttributeDefinition",
    "Cart",
    "Change",
    "Consent",
    "ConsentChannel",
    "ConsentPurpose",
    "DuplicateCase",
    "DuplicatePair",
    "DuplicatePolicy",
    "Event",
    "EventName",
    "EventSchema",
    "FrequentValue",
    "HeldMerge",
    "Identifier",
    "IdentifierType",
    "LinkInterval",
    "MatchBase",
    "MatchQueue",
    "MatchRarity",
    "MatchRow",
    "Merge",
    "MergeBatch",
    "MergeBatchRow",
    "Message",
    "Note",
    "Profile",
    "ProfileTag",
    "Receipt",
    "SavedView",
    "ScorecardState",
    "Source",
    "SourceAlarm",
    "SourceHour",
    "Tag",
    "Tier",
    "Visit",
    "WriteKey",
]
