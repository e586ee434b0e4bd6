"""``manage.py apikey create NAME --scopes all``: keys for integrations, from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cdp.actors import Actor
from cdp.api.keys import create_key, revoke_key
from cdp.errors import Invalid
from cdp.models import ApiKey
from cdp.roles_and_scopes import SCOPES


class Command(BaseCommand):
    help = "Create, list and revoke API keys. The last line printed by “create” is the key alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="Make a key; it is shown this once and kept as a hash.")
        create.add_argument("name", help="Which system uses it, for example “shop backend”.")
        create.add_argument(
            "--scopes", default="all", help=f"Comma-separated, or all (default): {', '.join(SCOPES)}."
        )
        verbs.add_parser("list", help="Show the keys there are.")
        revoke = verbs.add_parser("revoke", help="End a key at once.")
        revoke.add_argument("id", type=int, help="The number “list” shows.")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, "_" + options["verb"])(**options)

    def _create(self, *, name: str, scopes: str, **_: Any) -> None:
        wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        try:
            made = create_key(name=name, scopes=wanted, actor=Actor.system())
        except Invalid as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"API key #{made.key.pk} “{made.key.name}” ({', '.join(made.key.scopes)}):")
        self.stdout.write(made.secret)

    def _list(self, **_: Any) -> None:
        for key in ApiKey.objects.order_by("pk"):
            state = "revoked" if key.revoked_at else ", ".join(key.scopes)
            self.stdout.write(f"#{key.pk}  {key.prefix}…  {key.name}  ({state})")

    def _revoke(self, *, id: int, **_: Any) -> None:  # noqa: A002  (argparse's name)
        try:
            key = revoke_key(key_id=id, actor=Actor.system())
        except ApiKey.DoesNotExist as error:
            raise CommandError(f"There is no key #{id}. “apikey list” shows them.") from error
        self.stdout.write(f"API key #{key.pk} “{key.name}” is revoked.")
