"""An identifier of an item that was not taken as the sender meant it → the sentence its receipt says."""

from __future__ import annotations

from profiles.tracking.ingest.candidates import CandidateProfile
from profiles.tracking.ingest.identifiers import SentIdentifier
from profiles.tracking.parse.item_text import item_problem
from profiles.tracking.parse.item_types import ItemProblem


def _problem(code: str, identifier: SentIdentifier, message: str) -> ItemProblem:
    return item_problem(code, identifier.pointer, identifier.raw, message)


def stays_with_owner(identifier: SentIdentifier, owner: CandidateProfile) -> ItemProblem:
    whose = f"profile #{owner.id}" if owner.id else "another person of this call"
    message = f"This {identifier.spec.row} was {whose}'s after this call was made, so it stays there."
    return _problem("stays_with_owner", identifier, message)


def changed_hands(identifier: SentIdentifier, before: CandidateProfile) -> ItemProblem:
    message = (
        f"This {identifier.spec.row} belonged to profile #{before.id} until now; earlier events stay there."
    )
    return _problem("changed_hands", identifier, message)


def waits_for_confirmation(identifier: SentIdentifier) -> ItemProblem:
    message = (
        f"This {identifier.spec.row} identifies nobody until its owner confirms it: the call is not signed,"
        " and the person is known already."
    )
    return _problem("waits_for_confirmation", identifier, message)


def shared_by_people(identifier: SentIdentifier) -> ItemProblem:
    message = f"{identifier.spec.row} {identifier.raw} is a shared device; it merges nobody."
    return _problem("shared_device", identifier, message)


def not_linked(identifier: SentIdentifier) -> ItemProblem:
    message = f"This {identifier.spec.row} is a shared device's, so it was not given to the person; it stays with the event."
    return _problem("not_linked", identifier, message)


def too_many(identifier: SentIdentifier) -> ItemProblem:
    limit, name = identifier.spec.row.max_per_profile, identifier.spec.name
    message = f"One person has at most {limit} {name}; this one is kept for contact only."
    return _problem("too_many", identifier, message)
