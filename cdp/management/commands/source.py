"""``manage.py source create NAME --kind web|server``: sources and their write keys, from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cdp.actors import Actor
from profiles.errors import Refused
from profiles.models import Source, WriteKey
from profiles.sources import create_source


class Command(BaseCommand):
    help = "Create and list sources. The last line printed by “create” is the write key alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="Make a source; its write key is shown this once.")
        create.add_argument("name", help="For example “shop website”.")
        create.add_argument(
            "--kind",
            choices=WriteKey.Kind.values,
            default="server",
            help="web: the key stands in pages, public. server (default): the key is a secret.",
        )
        verbs.add_parser("list", help="Show the sources there are.")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, "_" + options["verb"])(**options)

    def _create(self, *, name: str, kind: str, **_: Any) -> None:
        try:
            made = create_source(name=name, kind=kind, actor=Actor.system())
        except Refused as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Source #{made.source.pk} “{made.source.name}” ({kind}), write key:")
        self.stdout.write(made.write_key)

    def _list(self, **_: Any) -> None:
        for source in Source.objects.order_by("pk"):
            self.stdout.write(f"#{source.pk}  {source.name}  ({source.get_door_display()})")
