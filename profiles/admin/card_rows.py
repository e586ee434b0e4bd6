"""A person's view → the rows of the card, each with where its value came from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cdp.plurals import counted
from profiles.admin.event_text import amount_of
from profiles.consent.ledger import describe_no
from profiles.consent.lists import consent_lists
from profiles.consent.reachable import Key, Reachability
from profiles.duplicates.review.pair_text import PairText
from profiles.identity.presets import CONTACTS
from profiles.masking import DOTS, mask_proof
from profiles.models import Consent, DuplicatePair, Identifier, Profile, Tag
from profiles.reading.carts import CartView
from profiles.reading.profiles import ProfileView
from profiles.reading.provenance import Provenance
from profiles.values.attributes import CUSTOM, AttributeSpec, display, label_of

# Attributes listed under “Contact”; the others have a panel of their own.
CONTACT = ("email", "phone", "street", "postcode", "city", "state", "country")
# Contact attributes that are identifiers, too: their other values are listed with them.


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: “import #88, row 1,204”, with a link for an import."""

    text: str
    at: datetime.datetime | None = None
    import_id: int | None = None
    from_id: int | None = None


@dataclass(frozen=True, slots=True)
class IdentifierRow:
    """An identifier, masked where need be. ``from_id``: the merged profile it belongs to;
    ``alternate_index``: its place among the values that lost in a merge."""

    identifier: Identifier
    label: str
    origin: Origin
    from_id: int | None = None
    alternate_index: int | None = None

    @property
    def is_browser(self) -> bool:
        return self.identifier.type.name == "anonymous_id"


@dataclass(slots=True)
class AttributeRow:
    """An attribute with where its value came from. ``alternates``: (index, text, where from) of values that
    lost. Of an e-mail or phone, ``identifier`` is the value itself and ``more`` are the others."""

    spec: AttributeSpec
    text: str
    origin: Origin | None
    alternates: list[tuple[int, str, Origin]] = field(default_factory=list)
    identifier: IdentifierRow | None = None
    more: list[IdentifierRow] = field(default_factory=list)

    @property
    def identifiers(self) -> list[IdentifierRow]:
        return [*([self.identifier] if self.identifier else []), *self.more]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A profile that may be the same person, and why; ``text`` is the message about the pair."""

    pair: DuplicatePair
    profile: Profile
    reasons: list[str]
    text: PairText


@dataclass(frozen=True, slots=True)
class Mailing:
    """Whether the person may be e-mailed, as a badge: its color, its text, and for what; ``short`` is for a list."""

    css: str
    text: str
    detail: str = ""
    short: str = ""


def mailing_of(email: str | None, reach: Mapping[Key, Reachability]) -> Mailing:
    """Can we mail this person? Needs an address and a consent that holds for it. No query."""
    decisions = {purpose: one for (channel, purpose), one in reach.items() if channel == "email"}
    purposes = consent_lists().purposes
    granted = sorted(purposes.text(purpose) for purpose, one in decisions.items() if one.is_reachable)
    if not email:
        return Mailing("mute", "no e-mail address", short="no address")
    if granted:
        return Mailing("ok", "can be e-mailed", ", ".join(granted), short="yes")
    if any(one.other for one in decisions.values()):
        return Mailing(
            "bad", "do not e-mail", "somebody with the same address said no", short="address said no"
        )
    if decisions:
        return Mailing("bad", "do not e-mail", "consent withdrawn", short="withdrawn")
    return Mailing("warn", "do not e-mail", "no consent recorded", short="no consent")


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision of the ledger: who recorded it, why, and what proves it, masked where need be."""

    consent: Consent
    channel: str
    purpose: str
    by: str
    proof: str

    @property
    def is_granted(self) -> bool:
        return self.consent.state == Consent.State.GRANTED


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """What holds for one channel and purpose, and why it is not enough where it is not.

    ``standing_no`` is the sentence that a yes would contradict, "" where there is none.
    """

    key: Key
    channel: str
    purpose: str
    reach: Reachability
    why_not: str
    standing_no: str
    decision: DecisionRow | None


def consent_rows(view: ProfileView, ledger: Sequence[DecisionRow], *, can_view_pii: bool) -> list[ConsentRow]:
    """A row for each channel and purpose the person decided about. No query."""
    lists = consent_lists()
    rows = []
    for key, reach in sorted(view.reach.items()):
        consent = reach.consent
        state = Consent.State.WITHDRAWN if consent.is_no else Consent.State.GRANTED
        deciding = (
            row
            for row in ledger
            if (row.consent.channel, row.consent.purpose, row.consent.state, row.consent.at)
            == (*key, state, consent.at)
        )
        why_not = reach.reason(with_name=can_view_pii) if consent.is_granted else ""
        rows.append(
            ConsentRow(
                key,
                lists.channels.label(key[0]),
                lists.purposes.text(key[1]),
                reach,
                f"Not reachable: {why_not}" if why_not else "",
                describe_no(*key, consent) if consent.is_no else "",
                next(deciding, None),
            )
        )
    return rows


def decision_rows(ledger: Sequence[Consent], *, can_view_pii: bool) -> list[DecisionRow]:
    """The ledger as the card lists it; expects users, keys and sources joined in. No query."""
    lists = consent_lists()
    return [
        DecisionRow(
            row,
            lists.channels.label(row.channel),
            lists.purposes.text(row.purpose),
            row.user.get_username() if row.user else row.key.name if row.key else row.source.name,
            _proof_text(row.proof if can_view_pii else mask_proof(row.proof)),
        )
        for row in ledger
    ]


def _proof_text(proof: Mapping[str, Any]) -> str:
    return ", ".join(
        str(value) if name == "proof" else f"{name.replace('_', ' ')}: {value}"
        for name, value in proof.items()
    )


@dataclass(frozen=True, slots=True)
class CartRow:
    """``amount`` is what the latest event says the cart is worth; empty without one."""

    cart_id: str
    state: str
    at: datetime.datetime
    last_event: str
    amount: str
    events: str
    source: str


def cart_row(view: CartView) -> CartRow:
    cart = view.row
    state: str = cart.get_state_display()
    return CartRow(
        cart_id=cart.cart_id,
        state=state.lower(),
        at=cart.last_event_at,
        last_event=view.last_event,
        amount=amount_of(view.properties),
        events=counted(view.events, "events"),
        source=cart.source.name,
    )


def tag_rows(view: ProfileView, origins: dict[str, Provenance]) -> list[tuple[Tag, str]]:
    """(tag, where it came from)."""
    rows = []
    for tag in view.tags:
        provenance = origins.get(f"tags:{tag.name}")
        rows.append((tag, provenance.text if provenance else ""))
    return rows


def identifier_rows(
    view: ProfileView, display_view: ProfileView, origins: dict[str, Provenance]
) -> list[IdentifierRow]:
    """Every identifier of the person, in the view's order."""
    rows = []
    for identifier, masked in zip(view.identifiers, display_view.identifiers, strict=True):
        provenance = origins.get(f"identifiers:{identifier}")
        from_id = identifier.profile_id if identifier.profile_id != view.profile.pk else None
        origin = (
            Origin(provenance.text, provenance.at, provenance.import_id, from_id)
            if provenance
            else Origin(identifier.source.name, identifier.first_seen_at, None, from_id)
        )
        rows.append(IdentifierRow(masked, str(identifier.type), origin, from_id))
    return rows


def attribute_rows(
    view: ProfileView,
    display_view: ProfileView,
    specs: dict[str, AttributeSpec],
    origins: dict[str, Provenance],
    identifiers: list[IdentifierRow],
) -> list[AttributeRow]:
    """Every attribute that is set, has an alternate or is an e-mail or phone of the person."""
    alternates: dict[str, list[tuple[int, str, Origin]]] = {}
    for index, (real, masked) in enumerate(zip(view.alternates, display_view.alternates, strict=True)):
        text = DOTS if masked["value"] == DOTS else display(real["field"], masked["value"])
        alternates.setdefault(real["field"], []).append((index, text, _alternate_origin(real)))
    real_values = {identifier.pk: identifier.value for identifier in view.identifiers}
    rows = []
    for key in dict.fromkeys([*specs, *(CUSTOM + name for name in view.profile.attributes)]):
        spec = specs.get(key) or AttributeSpec(key, label_of(key, specs), "text", is_custom=True)
        value = _value(display_view.profile, key)
        provenance = origins.get(key)
        row = AttributeRow(
            spec,
            DOTS if value == DOTS else display(key, value),
            Origin(provenance.text, provenance.at, provenance.import_id) if provenance else None,
            alternates.get(key, []),
        )
        if key in CONTACTS:
            _add_identifiers(row, identifiers, real_values, real=_value(view.profile, key))
        if row.text or row.alternates or row.more:
            rows.append(row)
    return rows


def _alternate_origin(alternate: dict[str, Any]) -> Origin:
    """“import #88, line 12” of a value that came in, “#7” of one that a merged profile keeps."""
    import_id, line_no = alternate.get("import_id"), alternate.get("line")
    if import_id:
        return Origin(f"import #{import_id}, line {line_no:,}", import_id=import_id)
    return Origin(alternate.get("source") or f"#{alternate['from_id']}")


def _add_identifiers(
    row: AttributeRow, identifiers: list[IdentifierRow], real_values: dict[int, str], *, real: Any
) -> None:
    """The identifiers that are e-mails or phones, with the attribute; each value is listed once."""
    indexes = {text: index for index, text, _ in row.alternates}
    for identifier_row in identifiers:
        identifier = identifier_row.identifier
        if identifier.type.name != row.spec.field:
            continue
        if real_values[identifier.pk] == real:
            row.identifier = identifier_row
        else:
            index = indexes.get(identifier.value)
            row.more.append(replace(identifier_row, alternate_index=index))
    listed = {extra.identifier.value for extra in row.more}
    row.alternates = [alternate for alternate in row.alternates if alternate[1] not in listed]


def _value(profile: Profile, key: str) -> Any:
    """A value of a profile that may be masked: a masked date is text."""
    if key.startswith(CUSTOM):
        return profile.attributes.get(key.removeprefix(CUSTOM))
    return getattr(profile, key)
