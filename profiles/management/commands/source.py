"""``manage.py source create NAME --kind web|server``: sources and their write keys, from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import Refused
from profiles.models import Source, WriteKey
from profiles.tracking.sources.sources import OVERLAP_HOURS, create_key, create_source, revoke_key, rotate_key


class Command(BaseCommand):
    help = (
        "Sources and their write keys. The last line printed by create, add-key and rotate is the key alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        kinds = WriteKey.Kind.values
        of_kind = "web: the key stands in pages, public. server (default): the key is a secret."
        create = verbs.add_parser("create", help="Make a source; its write key is shown this once.")
        create.add_argument("name", help="For example “shop website”.")
        create.add_argument("--kind", choices=kinds, default="server", help=of_kind)
        verbs.add_parser("list", help="Show the sources there are.")
        shown = verbs.add_parser("keys", help="Show the write keys there are, of one source or of all.")
        shown.add_argument("source", nargs="?", help="A source's name or number.")
        add = verbs.add_parser("add-key", help="Make one more key for a source.")
        add.add_argument("source", help="Its name or number.")
        add.add_argument("--kind", choices=kinds, default="server", help=of_kind)
        rotate = verbs.add_parser("rotate", help="Make a new key in the place of one.")
        rotate.add_argument("key", type=int, help="The number “keys” shows.")
        rotate.add_argument(
            "--overlap",
            type=int,
            default=OVERLAP_HOURS,
            metavar="HOURS",
            help=f"How long the old key goes on working: {OVERLAP_HOURS} unless given, 0 ends it at once.",
        )
        revoke = verbs.add_parser("revoke", help="End a key for good, within five seconds.")
        revoke.add_argument("key", type=int, help="The number “keys” shows.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, "_" + options["verb"].replace("-", "_"))(**options)
        except Refused as error:
            raise CommandError(error.message) from error

    def _create(self, *, name: str, kind: str, **_: Any) -> None:
        made = create_source(name=name, kind=kind, actor=Actor.system())
        self.stdout.write(f"Source #{made.source.pk} “{made.source.name}” ({kind}), write key:")
        self.stdout.write(made.write_key)

    def _list(self, **_: Any) -> None:
        for source in Source.objects.order_by("pk"):
            self.stdout.write(f"#{source.pk}  {source.name}  ({source.get_channel_display()})")

    def _keys(self, *, source: str | None, **_: Any) -> None:
        found = WriteKey.objects.select_related("source").order_by("pk")
        for key in found.filter(source=_named(source)) if source else found:
            self.stdout.write(f"#{key.pk}  {key.prefix}…  {key.source.name}  {key.kind}  ({_state(key)})")

    def _add_key(self, *, source: str, kind: str, **_: Any) -> None:
        made = create_key(source_id=_named(source).pk, kind=kind, actor=Actor.system())
        self.stdout.write(f"Key #{made.key.pk} of “{made.key.source.name}” ({kind}):")
        self.stdout.write(made.write_key)

    def _rotate(self, *, key: int, overlap: int, **_: Any) -> None:
        made = rotate_key(key_id=key, overlap_hours=overlap, actor=Actor.system())
        self.stdout.write(
            f"Key #{made.key.pk} of “{made.key.source.name}”; #{key} works for {overlap} hours more:"
        )
        self.stdout.write(made.write_key)

    def _revoke(self, *, key: int, **_: Any) -> None:
        ended = revoke_key(key_id=key, actor=Actor.system())
        self.stdout.write(f"Key #{ended.pk} {ended.prefix}… of “{ended.source.name}” is revoked.")


def _named(text: str) -> Source:
    by = Q(name__iexact=text) | (Q(pk=int(text)) if text.isdecimal() and len(text) < 5 else Q())
    source = Source.objects.filter(by).first()
    if source is None:
        raise CommandError(f"There is no source “{text}”. “source list” shows them.")
    return source


def _state(key: WriteKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None:
        verb = "works until" if key.expires_at > timezone.now() else "ended"
        return f"{verb} {key.expires_at:%Y-%m-%d %H:%M} UTC"
    return f"last used {key.last_used_at:%Y-%m-%d %H:00} UTC" if key.last_used_at else "never used"
