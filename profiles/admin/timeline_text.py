"""Timeline item → entry of the card: one sentence, where it came from, and its details."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cdp.plurals import counted
from profiles.admin.event_text import consent_sentence, describe_event
from profiles.masking import DOTS, mask, mask_fields, mask_note
from profiles.models import Change, Message, Note
from profiles.privacy.delete import DeleteReason
from profiles.reading.timeline import TimelineItem
from profiles.values.attributes import AttributeSpec, display, label_of

# What was decided about an identifier, by the key of the journal that records it.
_DECIDED = {"confirmed": "confirmed", "blocked": "blocked", "shared": "marked as a shared device"}
_TAKEN_BACK = {"blocked": "unblocked", "shared": "not a shared device any more"}
_MANY = {"tags": "Tag", "identifiers": "Identifier", "addresses": "Address"}
# Keys of the journal whose values are ``type:value``.
_PAIRS = frozenset({"identifiers", *_DECIDED})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a change: “City changed **Warszawa → Kraków**”, “Tag **vip** added”."""

    before: str
    strong: str = ""
    after: str = ""


@dataclass(slots=True)
class Entry:
    """``dot`` is the color class; ``facts`` are listed when the row is opened; ``undo_id`` is a merge to undo;
    ``icon`` replaces the dot for tracked events."""

    item: TimelineItem
    dot: str
    parts: list[Part]
    source: str
    text: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    merge_other: int | None = None
    undo_id: int | None = None
    icon: str = ""

    @property
    def import_id(self) -> int | None:
        """The import that did it, where ``source`` names one."""
        row = self.item.row
        return row.cause_id if isinstance(row, Change) and row.cause == Change.Cause.IMPORT else None


@dataclass(frozen=True, slots=True)
class Reader:
    """Describes items; ``undoable`` are the merges that are active."""

    specs: dict[str, AttributeSpec]
    can_view_pii: bool
    undoable: frozenset[int] = frozenset()

    def entries(self, items: Iterable[TimelineItem]) -> list[Entry]:
        describe = {
            "event": self._event,
            "change": self._change,
            "note": self._note,
            "message": self._message,
        }
        return [describe[item.kind](item) for item in items]

    def _event(self, item: TimelineItem) -> Entry:
        text = describe_event(item.row, can_view_pii=self.can_view_pii)
        parts = [Part(text.before, text.strong, text.after)]
        return Entry(item, "", parts, " · ".join(text.where), facts=text.facts, icon=text.icon)

    def _note(self, item: TimelineItem) -> Entry:
        note: Note = item.row
        text = note.text if self.can_view_pii else mask_note(note.text)
        return Entry(item, "ok", [Part("Note")], _who(note.user, note.key), text=text)

    def _message(self, item: TimelineItem) -> Entry:
        message: Message = item.row
        address = message.address if self.can_view_pii else mask("email", message.address)
        state = message.mail.get_state_display().lower() if message.mail else "removed from the mailbox"
        text = message.text if self.can_view_pii else mask_note(message.text)
        subject = message.subject if self.can_view_pii else DOTS
        facts = [("To", address), ("Purpose", message.purpose), ("Text", text)]
        parts = [Part("E-mail", subject, f"· {state}")]
        return Entry(item, "mail", parts, _who(message.user, None), facts=facts)

    def _change(self, item: TimelineItem) -> Entry:
        change: Change = item.row
        fields = change.fields if self.can_view_pii else mask_fields(change.fields, self.specs)
        detail = change.detail or {}
        source = _origin(change)
        if change.kind in (Change.Kind.MERGED, Change.Kind.UNMERGED):
            return self._merge(item, change, detail, source)
        parts = list(self._parts(fields))
        if change.kind == Change.Kind.CREATED:
            facts = [(part.before, part.strong) for part in parts]
            return Entry(item, "sys", [Part("Profile", "created")], source, facts=facts)
        if change.kind != Change.Kind.UPDATED:
            return Entry(
                item,
                "sys",
                [Part(change.get_kind_display())],
                source,
                text=_reason(detail, self.can_view_pii),
            )
        return Entry(item, "sys", parts or [Part("Changed")], source)

    def _merge(self, item: TimelineItem, change: Change, detail: dict[str, Any], source: str) -> Entry:
        merge_id = detail.get("merge_id")
        if change.kind == Change.Kind.MERGED:
            moved = [
                counted(count, name)
                for name, count in detail.get("moved", {}).items()
                if count and name != "profiles"
            ]
            into = detail.get("winner_id")
            other_id = into or detail.get("loser_id")
            text = "Merged into" if into else "Merged into this profile:"
            undo = merge_id if merge_id in self.undoable and not into else None
            origin = " · ".join(filter(None, (source, ", ".join(moved))))
            return Entry(item, "merge", [Part(text)], origin, merge_other=other_id, undo_id=undo)
        is_winner = detail.get("side") != "loser"
        other_id = detail.get("loser_id" if is_winner else "winner_id")
        return Entry(item, "merge", [Part("Merge undone; separate again:")], source, merge_other=other_id)

    def _parts(self, fields: dict[str, list[Any]]) -> Iterator[Part]:
        for key, (old, new) in fields.items():
            if key in _DECIDED:
                yield from (Part("Identifier", _listed(key, value), _DECIDED[key]) for value in new or [])
                back = _TAKEN_BACK.get(key, f"not {key} any more")
                yield from (Part("Identifier", _listed(key, value), back) for value in old or [])
                continue
            if key == "consents":
                yield from (_consent_part(str(value)) for value in new or [])
                continue
            if key in _MANY:
                yield from (Part(_MANY[key], _listed(key, value), "added") for value in new or [])
                yield from (Part(_MANY[key], _listed(key, value), "removed") for value in old or [])
                continue
            label, before, after = label_of(key, self.specs), _display(key, old), _display(key, new)
            if old in (None, ""):
                yield Part(label, after, "set")
            elif new in (None, ""):
                yield Part(label, before, "cleared")
            else:
                yield Part(f"{label} changed", f"{before} → {after}")


def _listed(key: str, value: Any) -> str:
    """“email ann@example.com” of ``email:ann@example.com``; tags and addresses as they are."""
    text = str(value)
    return text.replace(":", " ", 1).replace("_", " ", 1) if key in _PAIRS else text


def _consent_part(text: str) -> Part:
    """``email/newsletter=granted`` as “Agreed to **e-mail newsletter**”."""
    pair, _, state = text.partition("=")
    channel, _, purpose = pair.partition("/")
    return Part(*consent_sentence(channel, purpose, state))


def _display(key: str, value: Any) -> str:
    return DOTS if value == DOTS else display(key, value)


def _who(user: Any, key: Any) -> str:
    return user.get_username() if user else key.name if key else "system"


def _origin(change: Change) -> str:
    """“sam · Staff”, “import #88, row 1,204”, “job #5”."""
    who = change.user.get_username() if change.user else change.key.name if change.key else ""
    if change.cause == Change.Cause.IMPORT:
        return f"import #{change.cause_id}" + (f", row {change.line:,}" if change.line else "")
    parts = [who, change.source.name]
    if change.cause == Change.Cause.JOB:
        parts.append(f"job #{change.cause_id}")
    return " · ".join(dict.fromkeys(filter(None, parts)))


def _reason(detail: dict[str, Any], can_view_pii: bool) -> str:
    """The choice in words, and the note, which may name anybody."""
    reason, note = str(detail.get("reason") or ""), str(detail.get("note") or "")
    label = dict(DeleteReason.choices).get(reason)
    if label is None:
        note = note or reason
    if note and not can_view_pii:
        note = mask_note(note)
    return ": ".join(filter(None, (str(label or ""), note)))
