"""The addresses of ``profiles`` that show people → what kind of look each is; who is behind a mail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdp import looks

if TYPE_CHECKING:
    from profiles.models import Receipt

_PROFILE = "admin/profiles/profile/<int:profile_id>"
_API = "api/v1/profiles/<ref:ref>"

# Kind → what people read after “looked at”, and the addresses, as the resolver has them.
_PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "list": ("a list of people", ("admin/profiles/profile", "api/v1/profiles")),
    "deleted": ("the list of deleted people", ("admin/profiles/profile/deleted",)),
    "card": (
        "the card",
        (f"{_PROFILE}/change", _API, f"{_API}/lock", f"{_API}/unlock", f"{_API}/restore"),
    ),
    "history": (
        "the history",
        (
            f"{_PROFILE}/timeline",
            f"{_API}/timeline",
            f"{_API}/events",
            f"{_API}/notes",
            f"{_API}/consents",
            f"{_API}/carts",
        ),
    ),
    "edit": (
        "the form to edit",
        (
            "admin/profiles/profile/add",
            f"{_PROFILE}/edit",
            f"{_PROFILE}/field/<str:field>",
            f"{_API}/addresses",
            f"{_API}/alternates/promote",
            f"{_API}/identifiers/<str:type>/<text:value>",
            f"{_API}/identifiers/<str:type>/<text:value>/confirm",
            f"{_API}/tags/<text:tag>",
            "api/v1/identifiers/confirm",
        ),
    ),
    "delete": ("the page to delete or restore", (f"{_PROFILE}/delete", f"{_PROFILE}/restore")),
    "bulk": (
        "the confirmation of a bulk action",
        ("admin/profiles/profile/bulk/<slug:action>", "admin/profiles/profile/bulk/export"),
    ),
    "merge": (
        "a merge or its preview",
        (
            "admin/profiles/profile/merge",
            "admin/profiles/merge/<int:merge_id>/undo",
            f"{_API}/merge",
            "api/v1/merges/<int:merge_id>/unmerge",
        ),
    ),
    "merges": (
        "the history of merges",
        ("admin", "admin/profiles/merge", "admin/profiles/mergebatch/<int:batch_id>/change"),
    ),
    "duplicates": (
        "possible duplicates",
        (
            "admin/profiles/duplicatepair",
            "admin/profiles/duplicatepair/<int:pair_id>/change",
            "admin/profiles/duplicatecase",
            "admin/profiles/duplicatecase/<int:case_id>/change",
            "api/v1/duplicates",
            "api/v1/duplicates/<int:pk>",
            "api/v1/duplicates/<int:pk>/decide",
            "api/v1/duplicate-cases",
            "api/v1/duplicate-cases/<int:pk>",
        ),
    ),
    "why": (
        "why two are separate",
        (
            f"{_PROFILE}/why",
            f"{_PROFILE}/why/<int:other>",
            "admin/profiles/duplicatepair/<int:pair_id>/why",
            f"{_API}/why/<ref:other>",
            f"{_API}/why/<ref:other>/fix",
            "api/v1/duplicates/<int:pair_id>/why",
            "api/v1/duplicates/<int:pair_id>/why/fix",
        ),
    ),
    "waiting": (
        "waiting merges or addresses",
        (
            "admin/profiles/heldmerge",
            "admin/profiles/source/unconfirmed",
            "api/v1/held-joins",
            "api/v1/unconfirmed-identifiers",
        ),
    ),
    "tracking": (
        "what tracking received",
        (
            "admin/profiles/receipt",
            "admin/profiles/receipt/<int:receipt_id>/change",
            "admin/profiles/receipt/bulk",
            "admin/profiles/source",
            "admin/profiles/source/<int:source_id>/live",
            "admin/profiles/source/<int:source_id>/live/rows",
            "admin/profiles/source/<int:source_id>/check-up",
            "admin/profiles/source/<int:source_id>/check-up/browser",
            "admin/profiles/eventschema/<int:eventschema_id>/change",
            "api/v1/receipts",
            "api/v1/receipts/<int:pk>",
            "api/v1/receipts/<int:pk>/replay",
            "api/v1/receipts/<int:pk>/dismiss",
            "api/v1/event-schemas/<int:pk>/violations",
        ),
    ),
    "events": ("a list of events", ("api/v1/events",)),
    "lookup": ("whom an identifier belongs to", ("api/v1/resolve",)),
    "mail": (
        "the mailbox",
        (
            "admin/cdp/mail",
            "admin/cdp/mail/<path:object_id>/change",
            "admin/cdp/mail/<path:object_id>/history",
            "admin/cdp/mail/<int:mail_id>/attachment/<int:number>",
        ),
    ),
    "looks": ("who looked at the person", (f"{_PROFILE}/looks",)),
    # Written by the verbs that make the files.
    "gdpr_export": ("the GDPR export", ()),
    "export": ("an export of many people", ()),
    "download": ("a download of an export", ()),
}


def register() -> None:
    """Called once, when the app is ready."""
    for kind, (label, routes) in _PAGES.items():
        looks.register_pages(kind, label, routes)
    looks.kinds.register(looks.SEARCH, "a search for people")
    looks.people_behind.register("mail", _people_of_mails)


def _people_of_mails(mail_ids: Sequence[int]) -> list[int]:
    """Whom these mails were written to as messages. One query."""
    from profiles.models import Message

    rows = Message.objects.filter(mail_id__in=mail_ids)
    return list(rows.values_list("profile__canonical_id", flat=True))


def saw_receipts(rows: Sequence[Receipt]) -> None:
    """These receipts are shown. Items are about people whether or not they were found, so the items are recorded, too."""
    if rows:
        looks.saw(
            (row.profile_id for row in rows), subject=looks.subject_of("receipt", [row.pk for row in rows])
        )
