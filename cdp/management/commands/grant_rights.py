"""``manage.py grant_rights ROLE``: what web and workers may do in the database, given by its owner after ``migrate``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError, connection

from cdp.database_roles import grant_rights
from cdp.plurals import counted


class Command(BaseCommand):
    help = (
        "Give the role that web and workers connect as its rights: every table but the audit log, to which it may only"
        " add. Run it after each migrate, with the DATABASE_URL of the database's owner."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", help="The role in the DATABASE_URL of web and workers.")

    def handle(self, *args: Any, role: str, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user, EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role])
            owner, is_there = cursor.fetchone()
        if not is_there:
            raise CommandError(
                f"There is no role “{role}”. Create it first: CREATE ROLE {role} LOGIN PASSWORD '…'."
            )
        if owner == role:
            raise CommandError(
                f"This is connected as “{role}” itself, which would keep every right. Run it with the DATABASE_URL of"
                " the database's owner."
            )
        try:
            handed_over = grant_rights(role)
        except ProgrammingError as error:
            raise CommandError(
                f"“{owner}” may not give “{role}” its rights ({str(error).splitlines()[0]}). It has to own the"
                f" database and be a member of the role: GRANT {role} TO {owner}."
            ) from None
        self.stdout.write(
            f"“{role}” may use every table ({counted(handed_over, 'tables')} handed over) and only add to the audit log."
        )
