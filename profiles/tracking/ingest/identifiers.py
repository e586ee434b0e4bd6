"""Who a call says it is about: its ids as identifiers, cleaned, strongest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from profiles.identity.normalize import BadValue
from profiles.identity.types import Blocked, TypeSpec
from profiles.models import IdentifierType
from profiles.tracking.parse.item_types import BLOCKED_VALUE, INVALID, Item, ItemProblem, RefusedItem
from profiles.tracking.sources.user_hash import matching_secret
from profiles.tracking.sources.write_keys import Sender

Key = tuple[int, str]

BROWSER = "anonymous_id"
EMAIL = "email"
CUSTOMER = "customer_id"


# Made for every item of a call. Nobody changes one; freezing it would take three times as long.
@dataclass(slots=True)
class Claim:
    """One identifier a call brings. Pending ones and contact values lead nowhere."""

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
    def leads(self) -> bool:
        return self.spec.row.is_unique and not self.is_pending


@dataclass(slots=True)
class Claims:
    """What one item claims. ``previous`` are the readings of alias's old id, likeliest first.

    ``secret`` names the one its userId is signed with, empty for none.
    """

    item: Item
    strong: list[Claim] = field(default_factory=list)
    soft: list[Claim] = field(default_factory=list)
    contacts: list[Claim] = field(default_factory=list)
    previous: list[Claim] = field(default_factory=list)
    problems: list[ItemProblem] = field(default_factory=list)
    secret: str = ""

    @property
    def leading(self) -> list[Claim]:
        return [*self.strong, *self.soft]

    @property
    def adopts(self) -> bool:
        """Whether the browser's history may join the person; ``context.adopt: false`` says no (I8)."""
        return self.item.context.get("adopt") is not False


def claims_of(
    item: Item, fields: dict[str, Any], sender: Sender, types: dict[str, TypeSpec]
) -> Claims | RefusedItem:
    """The claims of one item, or why it is about nobody. ``fields`` are its traits by attribute."""
    reading = _Reading(item, sender, types)
    reading.user_id()
    if item.anonymous_id is not None:
        reading.add(BROWSER, item.anonymous_id, "/anonymousId")
    reading.external_ids()
    reading.contacts(fields)
    if item.previous_id is not None:
        reading.previous(item.previous_id)
    claims = reading.claims
    claims.strong.sort(key=_strength)
    if claims.leading or claims.previous:
        return claims
    return _nobody(item, claims.problems)


def _strength(claim: Claim) -> tuple[int, int]:
    return (claim.spec.row.priority, claim.spec.id)


def _nobody(item: Item, problems: list[ItemProblem]) -> RefusedItem:
    blocked = [problem for problem in problems if problem["code"] == "blocked_value"]
    first: ItemProblem = {
        "code": "missing_identifier",
        "message": "Give a userId, an anonymousId or one of context.externalIds.",
    }
    for problem in [*blocked, *problems][:1]:
        first = problem
    return RefusedItem(
        item.index,
        code=first["code"],
        message=first["message"],
        raw=item.raw,
        kind=item.kind,
        name=item.name,
        message_text=item.message_text,
        outcome=BLOCKED_VALUE if blocked else INVALID,
        problems=(*item.problems, *problems),
    )


class _Reading:
    """Reads one item's ids; collects what is wrong with them."""

    def __init__(self, item: Item, sender: Sender, types: dict[str, TypeSpec]) -> None:
        self.item, self.sender, self.types = item, sender, types
        self.claims = Claims(item)
        self.seen: set[Key] = set()

    def user_id(self) -> None:
        item, source = self.item, self.sender.source
        if item.user_id is None:
            return
        secret = matching_secret(source, item.user_id, item.user_hash) if item.user_hash is not None else ""
        self.claims.secret, signed = secret, bool(secret)
        if self.sender.is_web and not signed and (source.needs_user_hash or item.user_hash is not None):
            what = "does not belong to this userId" if item.user_hash is not None else "is missing"
            self.problem(
                "unverified_user",
                "/userId",
                item.user_id,
                f"context.userHash {what}, so the userId was not used.",
            )
            return
        self.add(self._main().name, item.user_id, "/userId", is_verified=signed)

    def _main(self) -> TypeSpec:
        main = self.sender.source.main_type_id
        for spec in self.types.values():
            if spec.id == main or (main is None and spec.name == CUSTOMER):
                return spec
        return self.types[CUSTOMER]

    def external_ids(self) -> None:
        for place, (name, value, is_verified) in enumerate(self.item.external_ids):
            pointer = f"/context/externalIds/{place}"
            if name not in self.types:
                known = ", ".join(self.types)
                self.problem(
                    "unknown_type",
                    pointer,
                    name,
                    f"“{name}” is not an identifier type. Known types: {known}.",
                )
                continue
            # A public key proves nothing about whose value it is.
            self.add(name, value, pointer, is_verified=is_verified and not self.sender.is_web)

    def contacts(self, fields: dict[str, Any]) -> None:
        """E-mail and phone among the traits: an identify's e-mail identifies, the rest is to write to."""
        for name in (EMAIL, "phone"):
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
                only_contact=not identifies,
                is_told=False,  # the attribute's own cleaning tells
            )

    def previous(self, raw: str) -> None:
        """An alias's old id may be a browser's or a user's."""
        for name in (BROWSER, self._main().name):
            claim = self._clean(name, raw, "/previousId", is_told=name == BROWSER)
            if claim is not None:
                self.claims.previous.append(claim)

    def add(
        self,
        name: str,
        raw: str,
        pointer: str,
        *,
        is_verified: bool = False,
        is_pending: bool = False,
        only_contact: bool = False,
        is_told: bool = True,
    ) -> None:
        claim = self._clean(
            name, raw, pointer, is_verified=is_verified, is_pending=is_pending, is_told=is_told
        )
        if claim is None or claim.key in self.seen:
            return
        self.seen.add(claim.key)
        if not claim.leads or only_contact:
            self.claims.contacts.append(claim)
        else:
            (self.claims.soft if claim.is_soft else self.claims.strong).append(claim)

    def _clean(
        self,
        name: str,
        raw: str,
        pointer: str,
        *,
        is_verified: bool = False,
        is_pending: bool = False,
        is_told: bool = True,
    ) -> Claim | None:
        spec = self.types[name]
        try:
            return Claim(spec, spec.clean(raw), raw, pointer, is_verified, is_pending)
        except Blocked as blocked:
            self.problem("blocked_value", pointer, raw, str(blocked))
        except BadValue as bad:
            if is_told:
                self.problem("bad_identifier", pointer, raw, str(bad))
        return None

    def problem(self, code: str, pointer: str, value: str, message: str) -> None:
        self.claims.problems.append(
            {"code": code, "pointer": pointer, "value": value[:255], "message": message}
        )


def keys_of(many: Iterable[Claims]) -> set[Key]:
    """Every key whose owner decides something."""
    return {claim.key for claims in many for claim in [*claims.leading, *claims.previous]}
