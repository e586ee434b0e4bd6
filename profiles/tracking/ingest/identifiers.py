"""One item → the identifiers it brings, cleaned and strongest first, or why it is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from profiles.identity.hidden_ids import soft_sentence, type_of_browser_id
from profiles.identity.normalize import BadValue
from profiles.identity.presets import BROWSER, CONTACTS, CUSTOMER, EMAIL
from profiles.identity.types import Blocked, TypeSpec, find_type
from profiles.models import IdentifierType
from profiles.tracking.parse.item_text import MAX_TEXT, name_text, pointer_part, problem_text
from profiles.tracking.parse.item_types import BLOCKED_VALUE, INVALID, Item, ItemProblem, RefusedItem
from profiles.tracking.sources.user_hash import matching_secret
from profiles.tracking.sources.write_keys import Sender

Key = tuple[int, str]


# Made for every item of a call. Nobody changes one; freezing it would take three times as long.
@dataclass(slots=True)
class SentIdentifier:
    """One identifier an item brings. Pending ones and contact values resolve to nobody."""

    spec: TypeSpec
    value: str
    raw: str
    pointer: str
    is_verified: bool = False
    is_pending: bool = False

    @property
    def key(self) -> Key:
        return (self.spec.id, self.value)

    @property
    def label(self) -> str:
        return f"{self.spec.name}:{self.value}"

    @property
    def is_soft(self) -> bool:
        return self.spec.row.strength == IdentifierType.Strength.SOFT

    @property
    def may_resolve(self) -> bool:
        return self.spec.row.is_unique and not self.is_pending


@dataclass(slots=True)
class ItemIdentifiers:
    """The identifiers of one item. ``previous`` are what alias's old id may be, likeliest first.

    ``secret`` names the signing secret its userId is signed with, empty for none.
    """

    item: Item
    strong: list[SentIdentifier] = field(default_factory=list)
    soft: list[SentIdentifier] = field(default_factory=list)
    contacts: list[SentIdentifier] = field(default_factory=list)
    previous: list[SentIdentifier] = field(default_factory=list)
    problems: list[ItemProblem] = field(default_factory=list)
    secret: str = ""

    @property
    def resolving(self) -> list[SentIdentifier]:
        return [*self.strong, *self.soft]

    @property
    def adopts(self) -> bool:
        """Whether the browser's history may go to the profile; ``context.adopt: false`` says no."""
        return self.item.context.get("adopt") is not False


def identifiers_of(
    item: Item,
    fields: dict[str, Any],
    sender: Sender,
    types: dict[str, TypeSpec],
    customer_ids: Sequence[tuple[str, Any]] = (),
) -> ItemIdentifiers | RefusedItem:
    """The identifiers of one item, or why it is about nobody.

    ``fields`` are its traits by attribute; ``customer_ids`` its traits that are a customer's id, by their names.
    """
    reader = _IdentifierReader(item, sender, types)
    reader.user_id()
    for name, raw in customer_ids:
        reader.customer_id(name, raw)
    if item.anonymous_id is not None:
        reader.add(BROWSER, item.anonymous_id, "/anonymousId")
    reader.external_ids()
    reader.contacts(fields)
    if item.previous_id is not None:
        reader.previous(item.previous_id)
    identifiers = reader.identifiers
    identifiers.strong.sort(key=_strength)
    names_itself = item.user_id is not None or item.anonymous_id is not None or bool(item.external_ids)
    # From a page anybody could call themselves anybody: there an e-mail alone says nothing.
    if (identifiers.resolving and (names_itself or not sender.is_web)) or identifiers.previous:
        return identifiers
    return _refuse(item, identifiers.problems, "" if names_itself else _missing(identifiers, sender))


def _strength(identifier: SentIdentifier) -> tuple[int, int]:
    return (identifier.spec.row.priority, identifier.spec.id)


def _missing(identifiers: ItemIdentifiers, sender: Sender) -> str:
    """Why the e-mail or phone of an identify without any id says nobody, and what the call needs; "" without either."""
    if identifiers.item.kind != "identify":
        return ""
    ids = "a userId, an anonymousId or one of context.externalIds"
    if sender.is_web:
        return f"From a page an e-mail or phone alone identifies nobody. Give {ids}."
    names = {identifier.spec.name for identifier in identifiers.contacts}
    if EMAIL in names and not sender.source.identifies_by_email:
        return f"An e-mail identifies nobody at this source (its switch “an e-mail identifies” is off). Give {ids}."
    if EMAIL in names and sender.source.needs_confirmation:
        return f"An e-mail of this source identifies nobody before it is confirmed. Give {ids}."
    if EMAIL in names:
        return f"An e-mail is for contact only here and identifies nobody. Give {ids}."
    if names:
        return f"A phone is for contact only here and identifies nobody. Give {ids}, or traits.email."
    return f"traits.email is no e-mail address, or the phone no number, so they say nobody. Give one that is, or {ids}."


def _refuse(item: Item, problems: list[ItemProblem], missing_text: str) -> RefusedItem:
    """Why an item without identifiers is refused: a blocked value first, else its first problem, if it has one."""
    blocked = [problem for problem in problems if problem["code"] == "blocked_value"]
    missing: ItemProblem = {
        "code": "missing_identifier",
        "message": missing_text or "Give a userId, an anonymousId or one of context.externalIds.",
    }
    reason = [*blocked, *problems, missing][0]
    return RefusedItem.of(
        item,
        reason["code"],
        reason["message"],
        outcome=BLOCKED_VALUE if blocked else INVALID,
        problems=[*item.problems, *problems],
    )


class _IdentifierReader:
    """Reads one item's ids; collects what is wrong with them."""

    def __init__(self, item: Item, sender: Sender, types: dict[str, TypeSpec]) -> None:
        self.item, self.sender, self.types = item, sender, types
        self.identifiers = ItemIdentifiers(item)
        self.seen: set[Key] = set()

    def user_id(self) -> None:
        item = self.item
        if item.user_id is None:
            return
        self._signed_id(self._main().name, item.user_id, "/userId", "userId")

    def _signed_id(self, type_name: str, value: str, pointer: str, name: str) -> None:
        """The id of the person a call is about, which a page may have to sign."""
        given, source = self.item.user_hash, self.sender.source
        secret = matching_secret(source, value, given) if given is not None else ""
        self.identifiers.secret, signed = secret, bool(secret)
        if self.sender.is_web and not signed and (source.needs_user_hash or given is not None):
            what = f"does not belong to this {name}" if given is not None else "is missing"
            message = f"context.userHash {what}, so the {name} was not used."
            self.problem("unverified_user", pointer, value, message)
            return
        self.add(type_name, value, pointer, is_verified=signed)

    def customer_id(self, name: str, raw: Any) -> None:
        """A customer's id among the traits of identify: ``customId``, for example. It counts where no userId says it."""
        pointer = f"/traits/{pointer_part(name)}"
        value = raw.strip() if isinstance(raw, str) else name_text(raw)
        user_id = self.item.user_id if self._main().name == CUSTOMER else None
        known = user_id or next(
            (key.raw for key in self.identifiers.strong if key.spec.name == CUSTOMER), None
        )
        if not value:
            message = f"“{name}” is neither a text nor a number, so it was not used as an id."
            self.problem("bad_identifier", pointer, problem_text(raw, MAX_TEXT), message)
        elif known is None and CUSTOMER in self.types:
            self._signed_id(CUSTOMER, value, pointer, name)
        elif value != known:
            message = (
                f"“{name}” was not used as an id: the call has the id “{known}”. It stays in the event only."
            )
            self.problem("other_customer_id", pointer, value, message)

    def _main(self) -> TypeSpec:
        main = self.sender.source.main_type_id
        for spec in self.types.values():
            if spec.id == main or (main is None and spec.name == CUSTOMER):
                return spec
        return self.types[CUSTOMER]

    def external_ids(self) -> None:
        for position, (name, value, is_verified) in enumerate(self.item.external_ids):
            pointer = f"/context/externalIds/{position}"
            spec = find_type(self.types, name)
            if spec is None:
                known = ", ".join(self.types)
                self.problem(
                    "unknown_type",
                    pointer,
                    name,
                    f"“{name}” is not an identifier type. Known types: {known}.",
                )
                continue
            # A public key proves nothing about whose value it is.
            self.add(spec.name, value, pointer, is_verified=is_verified and not self.sender.is_web)

    def contacts(self, fields: dict[str, Any]) -> None:
        """E-mail and phone among the traits: an identify's e-mail identifies, the rest is to write to."""
        for name in CONTACTS:
            raw = fields.get(name)
            if not isinstance(raw, str) or not raw.strip() or name not in self.types:
                continue
            identifies = self.item.kind == "identify" and (
                name != EMAIL or self.sender.source.identifies_by_email
            )
            pending = name == EMAIL and identifies and self.sender.source.needs_confirmation
            self.add(
                name,
                raw,
                f"/traits/{name}",
                is_pending=pending,
                is_contact=not identifies,
                reports_problems=False,  # the attribute's own cleaning does
            )

    def previous(self, raw: str) -> None:
        """An alias's old id may be a browser's or a user's."""
        for name in (BROWSER, self._main().name):
            identifier = self._clean(name, raw, "/previousId", reports_problems=name == BROWSER)
            if identifier is not None:
                self.identifiers.previous.append(identifier)

    def add(
        self,
        name: str,
        raw: str,
        pointer: str,
        *,
        is_verified: bool = False,
        is_pending: bool = False,
        is_contact: bool = False,
        reports_problems: bool = True,
    ) -> None:
        identifier = self._clean(
            name,
            raw,
            pointer,
            is_verified=is_verified,
            is_pending=is_pending,
            reports_problems=reports_problems,
        )
        if identifier is None or identifier.key in self.seen:
            return
        self.seen.add(identifier.key)
        if identifier.is_soft:
            self.check_soft(identifier)
        if not identifier.may_resolve or is_contact:
            self.identifiers.contacts.append(identifier)
        else:
            (self.identifiers.soft if identifier.is_soft else self.identifiers.strong).append(identifier)

    def check_soft(self, identifier: SentIdentifier) -> None:
        """Report an e-mail or a userId that is sent where a browser's own id belongs."""
        hidden_type = type_of_browser_id(identifier.value, self.item.user_id or "")
        if hidden_type:
            message = soft_sentence(identifier.pointer, hidden_type)
            self.problem("identifier_as_attribute", identifier.pointer, identifier.value, message)

    def _clean(
        self,
        name: str,
        raw: str,
        pointer: str,
        *,
        is_verified: bool = False,
        is_pending: bool = False,
        reports_problems: bool = True,
    ) -> SentIdentifier | None:
        spec = self.types[name]
        try:
            return SentIdentifier(spec, spec.clean(raw), raw, pointer, is_verified, is_pending)
        except Blocked as blocked:
            self.problem("blocked_value", pointer, raw, str(blocked))
        except BadValue as bad:
            if reports_problems:
                self.problem("bad_identifier", pointer, raw, str(bad))
        return None

    def problem(self, code: str, pointer: str, value: str, message: str) -> None:
        self.identifiers.problems.append(
            {"code": code, "pointer": pointer, "value": value[:255], "message": message}
        )


def keys_of(items: Iterable[ItemIdentifiers]) -> set[Key]:
    """Every identifier whose owner has to be known."""
    return {identifier.key for item in items for identifier in [*item.resolving, *item.previous]}
