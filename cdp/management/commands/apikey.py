"""``manage.py apikey create NAME --scopes all``: keys for integrations, from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from cdp.actors import Actor, block_of_key
from cdp.api.keys import create_key, hand_over_key, revoke_key
from cdp.errors import Invalid, Refused
from cdp.models import ApiKey, User
from cdp.roles_and_scopes import SCOPES


class Command(BaseCommand):
    help = "Create, list, hand over and revoke API keys. The last line printed by “create” is the key alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="Make a key; it is shown this once and kept as a hash.")
        create.add_argument("name", help="Which system uses it, for example “shop backend”.")
        create.add_argument(
            "--scopes", default="all", help=f"Comma-separated, or all (default): {', '.join(SCOPES)}."
        )
        create.add_argument(
            "--owner",
            default="",
            help="The login that answers for it. Without one it belongs to this machine.",
        )
        verbs.add_parser("list", help="Show the keys there are.")
        hand_over = verbs.add_parser("hand-over", help="Let another login answer for a key.")
        hand_over.add_argument("id", type=int, help="The number “list” shows.")
        hand_over.add_argument("owner", help="The login's name.")
        revoke = verbs.add_parser("revoke", help="End a key at once.")
        revoke.add_argument("id", type=int, help="The number “list” shows.")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, "_" + options["verb"].replace("-", "_"))(**options)

    @transaction.atomic
    def _create(self, *, name: str, scopes: str, owner: str, **_: Any) -> None:
        wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        try:
            made = create_key(name=name, scopes=wanted, actor=Actor.system())
        except Invalid as error:
            raise CommandError(error.message) from error
        if owner:
            self._give(made.key.pk, owner)
        self.stdout.write(f"API key #{made.key.pk} “{made.key.name}” ({', '.join(made.key.scopes)}):")
        self.stdout.write(made.secret)

    def _list(self, **_: Any) -> None:
        for key in ApiKey.objects.select_related("owner").order_by("pk"):
            block = block_of_key(key)
            state = "revoked" if key.revoked_at else "refused" if block else ", ".join(key.scopes)
            owner = f", owner {key.owner}" if key.owner else ""
            self.stdout.write(f"#{key.pk}  {key.prefix}…  {key.name}  ({state}{owner})")

    def _hand_over(self, *, id: int, owner: str, **_: Any) -> None:  # noqa: A002  (argparse's name)
        key = self._give(id, owner)
        self.stdout.write(f"{owner} answers for the API key #{key.pk} “{key.name}” from now on.")

    def _give(self, key_id: int, owner: str) -> ApiKey:
        user = User.objects.filter(username=owner).first()
        if user is None:
            raise CommandError(f"There is no login “{owner}”.")
        try:
            return hand_over_key(key_id=key_id, user_id=user.pk, actor=Actor.system())
        except Refused as error:
            raise CommandError(error.message) from error

    def _revoke(self, *, id: int, **_: Any) -> None:  # noqa: A002  (argparse's name)
        try:
            key = revoke_key(key_id=id, actor=Actor.system())
        except ApiKey.DoesNotExist as error:
            raise CommandError(f"There is no key #{id}. “apikey list” shows them.") from error
        self.stdout.write(f"API key #{key.pk} “{key.name}” is revoked.")
