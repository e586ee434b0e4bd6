"""The answer to "what do you know about me" (G1): everything held about one person, in one JSON file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from django.utils import timezone

from cdp import audit, personal_data_registry
from cdp.actors import Actor
from cdp.errors import NotFound, RuleForbids
from cdp.looks import record_look
from profiles.identity.lookup import may_open
from profiles.masking import mask_profile
from profiles.models import Profile
from profiles.privacy.export_parts import Subject
from profiles.privacy.mask_export import ExportMask

FORMAT_VERSION = 1
_MASKED = (
    "Whoever made this file may not see personal data, so values that identify somebody are masked. It is not the copy"
    " that the person has a right to."
)
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def export_profile(*, profile_id: int, actor: Actor) -> dict[str, Any]:
    """Everything about the person behind any id they had, as JSON-ready values; noted in the audit log.

    Holds it all in memory; what may be long goes through ``stream_profile``. Raises NotFound, RuleForbids.
    """
    package: dict[str, Any] = orjson.loads(b"".join(stream_profile(profile_id=profile_id, actor=actor)))
    return package


def stream_profile(*, profile_id: int, actor: Actor) -> Iterator[bytes]:
    """The same file in pieces, one record to a line; a hundred thousand events take a few megabytes.

    The look-up and the note in the audit log are made before this returns, so that they are committed
    whether or not the reader takes the whole file. Deleted people can be exported, erased ones cannot.
    For an actor without *view PII* identifying values are masked, and the file says so.
    """
    row = Profile.objects.filter(pk=profile_id).select_related("canonical__source").first()
    if row is None or not may_open(actor, row.canonical):
        raise NotFound(f"No profile “{profile_id}”.")
    root = row.canonical
    if root.status == Profile.Status.ERASED:
        raise RuleForbids(f"Profile #{root.pk} was erased; nothing is left to export.")
    members = list(Profile.objects.members_of(root.pk).order_by("pk").values_list("pk", flat=True))
    detail = {"merged profiles": len(members) - 1} if len(members) > 1 else {}
    audit.record("profile.export", actor=actor, subject=f"profile:{root.pk}", detail=detail)
    record_look("gdpr_export", actor=actor, profile_ids=members)
    return _pieces(Subject(root.pk, members, root), actor)


def _pieces(subject: Subject, actor: Actor) -> Iterator[bytes]:
    is_masked = not actor.can("profiles.view_pii")
    to_row = ExportMask(subject.specs).row if is_masked else dict
    yield b'{"about": ' + _dump(_about(subject, actor, is_masked=is_masked))
    for name, section in personal_data_registry.sections().items():
        yield b',\n"' + name.encode() + b'": '
        found = section.make(subject)
        if isinstance(found, dict):
            yield _dump(to_row(found))
        else:
            yield from _list(map(to_row, found))
    yield b"}\n"


def file_name(root_id: int, actor: Actor) -> str:
    """Says whether the file is the person's own copy or a masked one."""
    return f"profile-{root_id}{'' if actor.can('profiles.view_pii') else '-masked'}.json"


def _list(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    opening = b"[\n"
    for row in rows:
        yield opening + _dump(row)
        opening = b",\n"
    yield b"[]" if opening == b"[\n" else b"\n]"


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=_OPTIONS)


def _about(subject: Subject, actor: Actor, *, is_masked: bool) -> dict[str, Any]:
    """What this file is, for the person who gets it and has never heard of a profile."""
    root = mask_profile(subject.root, subject.specs) if is_masked else subject.root
    return {
        "title": f"Everything stored about {root.name}",
        "is_masked": is_masked,
        **({"masked": _MASKED} if is_masked else {}),
        "what_this_is": (
            "A copy of all personal data this system holds about one person, as the General Data Protection"
            " Regulation (Article 15) gives everybody the right to. It is a text file in the JSON format, which"
            " other programs can read as well (Article 20)."
        ),
        "how_to_read_it": (
            "Each part below has a name. Times are in UTC. A source is where a value came from: staff, an"
            " import file, a website, another system. If this person was known under several records that were"
            " merged into one, all of them are included, each with its own values."
        ),
        "parts": {name: section.text for name, section in personal_data_registry.sections().items()},
        "what_is_not_in_it": (
            "Data of other people, and technical copies that say nothing more than what is here."
        ),
        "your_rights": (
            "You may ask the organisation that sent you this file to correct or delete your data, to restrict or"
            " stop its use, and why it is used, who receives it and how long it is kept. You may complain to your"
            " data protection authority."
        ),
        "profile_ids": subject.member_ids,
        "made_at": timezone.now(),
        "made_by": actor.name,
        "format": FORMAT_VERSION,
    }
