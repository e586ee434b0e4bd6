"""``channel/purpose:state`` → the people of the list whose consent stands like that now, for the address they have."""

from __future__ import annotations

from cdp.errors import Invalid
from profiles.consent.lists import consent_lists
from profiles.consent.reachable import consenting_ids
from profiles.consent.words import Word, WordList
from profiles.models import Consent
from profiles.search.filters import TextFilter
from profiles.search.list_filters import Choices, ListFilter, Roots

REACHABLE = "reachable"
_STATES = ("", *Consent.State.values, REACHABLE)


def _by_consent(roots: Roots, value: str) -> Roots:
    """``channel[/purpose][:granted|withdrawn|reachable]`` as it stands now; ``granted`` when left out.

    Whose yes somebody else with the same address contradicts is among the withdrawn, so that nobody is in neither.
    """
    raw_channel, raw_purpose, state = _parts(value)
    if state not in _STATES:
        message = f"“{state}” is not a state of a consent. Write granted, withdrawn or reachable."
        raise Invalid([{"field": "consent", "value": value, "message": message}])
    lists = consent_lists()
    channel = _name(lists.channels, raw_channel, value)
    purpose = _name(lists.purposes, raw_purpose, value) if raw_purpose else ""
    granted = consenting_ids(channel, purpose, with_address=state == REACHABLE)
    if state != Consent.State.WITHDRAWN:
        return roots.filter(pk__in=granted)
    asked = Consent.objects.filter(channel=channel, **({"purpose": purpose} if purpose else {}))
    return roots.filter(pk__in=asked.values("profile__canonical_id")).exclude(pk__in=granted)


def _parts(value: str) -> tuple[str, str, str]:
    pair, _, state = value.partition(":")
    channel, _, purpose = pair.partition("/")
    return channel.strip(), purpose.strip(), state.strip().lower()


def _name(words: WordList, raw: str, value: str) -> str:
    word = words.find(raw)
    if word is None:
        raise Invalid([{"field": "consent", "value": value, "message": words.unknown(raw)}])
    return word.name


def _sentence(values: list[str]) -> tuple[str, str]:
    raw_channel, raw_purpose, state = _parts(values[-1])
    lists = consent_lists()
    texts = [
        word.text if (word := words.find(raw)) else raw
        for words, raw in ((lists.channels, raw_channel), (lists.purposes, raw_purpose))
        if raw
    ]
    operators = {Consent.State.WITHDRAWN: "withdrawn for", REACHABLE: "given, and reachable, for"}
    return operators.get(state, "given to"), " ".join(texts)


def _choices() -> Choices:
    """Each channel, and each with each purpose, as it is typed and as it reads."""
    lists = consent_lists()
    purposes: list[Word | None] = [None, *lists.purposes.active]
    return [
        (f"{channel.name}/{purpose.name}" if purpose else channel.name, _label(channel, purpose))
        for channel in lists.channels.active
        for purpose in purposes
    ]


def _label(channel: Word, purpose: Word | None) -> str:
    return f"{channel.label}: {purpose.text if purpose else 'any purpose'}"


FILTER = ListFilter(
    label="Consent",
    filter_class=TextFilter,
    apply=_by_consent,
    sentence=_sentence,
    template="admin/profiles/filter_consent.html",
    description="`channel[/purpose][:granted|withdrawn|reachable]` as it is now, for the address the person has: a later"
    " no of somebody else with the same address counts. `reachable`: given, and there is an address.",
    choices=_choices,
    names_people=False,
)
