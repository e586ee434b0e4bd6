"""``manage.py login unlock NAME``: locked logins and their sessions, from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from cdp import accounts, lockout
from cdp.actors import Actor
from cdp.errors import NotFound
from cdp.models import User
from cdp.plurals import counted


class Command(BaseCommand):
    help = (
        "List logins that are locked after wrong passwords, unlock one or an address, end a login's sessions."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("locked", help="Show the logins that must wait, and until when.")
        unlock = verbs.add_parser("unlock", help="Forget a login's wrong passwords: it may sign in at once.")
        unlock.add_argument("name", help="The login's name.")
        address = verbs.add_parser("unlock-address", help="Forget the wrong passwords sent from an address.")
        address.add_argument("address", help="IPv4, or IPv6 (whose first 64 bits count).")
        end = verbs.add_parser("end-sessions", help="Sign a login out everywhere, or everybody.")
        whose = end.add_mutually_exclusive_group(required=True)
        whose.add_argument("name", nargs="?", help="The login's name.")
        whose.add_argument("--all", action="store_true", dest="everybody", help="Of all logins.")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, "_" + options["verb"].replace("-", "_"))(**options)

    def _locked(self, **_: Any) -> None:
        locks = lockout.locks()
        for user in User.objects.filter(pk__in=locks).order_by("username"):
            lock = locks[user.pk]
            self.stdout.write(
                f"{user}  {counted(lock.failures, 'wrong passwords')} from {counted(lock.addresses, 'addresses')},"
                f" until {timezone.localtime(lock.until):%H:%M}"
            )
        if not locks:
            self.stdout.write("No login is locked.")

    def _unlock(self, *, name: str, **_: Any) -> None:
        user = self._user(name)
        was_locked = lockout.unlock_login(user=user, actor=Actor.system())
        self.stdout.write(f"The login “{user}” {'is unlocked' if was_locked else 'was not locked'}.")

    def _unlock_address(self, *, address: str, **_: Any) -> None:
        try:
            lockout.unlock_address(address=address, actor=Actor.system())
        except NotFound as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Wrong passwords from {address} are forgotten.")

    def _end_sessions(self, *, name: str | None, everybody: bool, **_: Any) -> None:
        users = (
            User.objects.filter(sessions__isnull=False).distinct() if everybody else [self._user(name or "")]
        )
        count = sum(accounts.end_sessions(user=user, actor=Actor.system()) for user in users)
        self.stdout.write(f"{counted(count, 'sessions')} of {'all logins' if everybody else name} ended.")

    def _user(self, name: str) -> User:
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no login “{name}”.")
        return user
