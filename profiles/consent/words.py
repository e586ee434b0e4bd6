"""Channels and purposes of consent → the one name of each, however it is spelled; and those that ship. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from profiles.identity.text import fold

EMAIL, PHONE, NO_CONTACT = "email", "phone", "none"
CHANNEL, PURPOSE = "channel", "purpose"
_LISTED = 20
_PLURALS = {CHANNEL: "channels", PURPOSE: "purposes"}


@dataclass(frozen=True, slots=True)
class Word:
    """A channel or purpose; of a channel, ``contact`` is what it reaches somebody by: email, phone or none."""

    name: str
    label: str
    synonyms: tuple[str, ...] = ()
    is_archived: bool = False
    contact: str = NO_CONTACT

    @property
    def text(self) -> str:
        """Its label within a sentence: “e-mail”, “SMS”, “phone calls”."""
        rest = self.label[1:]
        return self.label[:1].lower() + rest if rest == rest.lower() else self.label


@dataclass(frozen=True)
class WordList:
    """The channels, or the purposes. ``kind`` is what one of them is called."""

    kind: str
    words: tuple[Word, ...]
    _by_spelling: dict[str, Word] = field(init=False, repr=False, compare=False)
    _by_name: dict[str, Word] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        spellings = {fold(synonym): word for word in self.words for synonym in word.synonyms}
        # A name is never taken over by a synonym of another one.
        names = {fold(word.name): word for word in self.words}
        object.__setattr__(self, "_by_spelling", {**spellings, **names})
        object.__setattr__(self, "_by_name", {word.name: word for word in self.words})

    def __iter__(self) -> Iterator[Word]:
        return iter(self.words)

    def find(self, raw: str) -> Word | None:
        """The word that ``raw`` is a spelling of: case, spaces, hyphens and underscores do not count."""
        return self._by_name.get(raw) or self._by_spelling.get(fold(raw))

    @property
    def active(self) -> tuple[Word, ...]:
        """Those that people can be asked for."""
        return tuple(word for word in self.words if not word.is_archived)

    def text(self, name: str) -> str:
        """The label within a sentence; a name that is in no list as it is."""
        word = self.find(name)
        return word.text if word else name

    def label(self, name: str) -> str:
        """The label as a heading; a name that is in no list as it is."""
        word = self.find(name)
        return word.label if word else name

    def unknown(self, raw: str) -> str:
        """The sentence that refuses a word: which there are, and where an admin adds one."""
        names = [word.name for word in self.active]
        listed = ", ".join(names[:_LISTED]) + (" …" if len(names) > _LISTED else "")
        plural = _PLURALS[self.kind]
        known = f"Known {plural}: {listed or 'none'}. An admin adds others under Privacy, Consent {plural}."
        if not raw.strip():
            return f"Name the {self.kind} of the consent. {known}"
        word = self.find(raw)
        if word is not None and word.is_archived:
            return f"The {self.kind} “{word.name}” is archived, so nobody can agree to it any more. {known}"
        return f"There is no {self.kind} “{raw.strip()[:60]}” of consents. {known}"


@dataclass(frozen=True, slots=True)
class ConsentLists:
    """Both lists as they are now."""

    channels: WordList
    purposes: WordList

    def contact_of(self, channel: str) -> str:
        """What the channel reaches somebody by: email, phone or none."""
        word = self.channels._by_name.get(channel)
        return word.contact if word else NO_CONTACT

    def channels_by(self, contact: str) -> list[str]:
        """The names of the channels that reach somebody by this contact."""
        return [word.name for word in self.channels if word.contact == contact]

    def text(self, channel: str, purpose: str) -> str:
        """“e-mail newsletter”."""
        return f"{self.channels.text(channel)} {self.purposes.text(purpose)}".strip()


def lists_of(channels: Iterable[Word], purposes: Iterable[Word]) -> ConsentLists:
    return ConsentLists(WordList(CHANNEL, tuple(channels)), WordList(PURPOSE, tuple(purposes)))


# --- What ships -----------------------------------------------------------------------------------------

SHIPPED = lists_of(
    (
        Word("email", "E-mail", ("mail", "e-mails", "e-mailing"), contact=EMAIL),
        Word("sms", "SMS", ("text", "text message", "text messages", "mobile"), contact=PHONE),
        Word("phone", "Phone calls", ("call", "calls", "phone call", "telephone", "voice"), contact=PHONE),
        Word("post", "Post", ("postal", "postal mail", "direct mail", "letter")),
        Word(
            "push", "Push messages", ("push message", "web push", "push notification", "push notifications")
        ),
        Word("whatsapp", "WhatsApp", ("whats app", "wa"), contact=PHONE),
    ),
    (
        Word("newsletter", "Newsletter", ("newsletters", "news", "mailing", "mailings", "mailing list")),
        Word("marketing", "Marketing", ("promotion", "promotions", "promo", "offers", "advertising")),
        Word("profiling", "Profiling", ("profile",)),
        Word("transactional", "Messages about orders", ("transaction", "service", "service messages")),
        Word("surveys", "Surveys", ("survey", "feedback", "research")),
        Word("personalization", "Personalization", ("personalisation",)),
        Word("analytics", "Analytics", ("statistics",)),
        Word("third_party", "Messages of partners", ("third parties", "partner", "partners")),
    ),
)
