"""What must be done to a database before the product is served from it: one process, once per start."""

import json
import os
import secrets
import sys
from pathlib import Path

import django
from django.core.management import call_command, get_commands

from cdp.local.paths import FIRST_PASSWORD, keep_secret

ADMIN = "admin"


def migrate() -> None:
    """As the database's owner where CDP_APP_ROLE names the product's own role, which goes on from here."""
    from django.db import connection

    call_command("migrate", interactive=False, verbosity=1)
    if role := os.environ.get("CDP_APP_ROLE"):
        call_command("grant_rights", role)
        connection.close()
        connection.settings_dict["USER"] = role


def collect_static() -> None:
    """Collects the static files when any of them changed since the last time."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders

    stamps = [
        (path, os.stat(storage.path(path)).st_mtime_ns)
        for finder in get_finders()
        for path, storage in finder.list([])
    ]
    mark = json.dumps([str(django.get_version()), sorted(stamps)])
    seen = Path(settings.CDP_DATA) / "run" / "static-stamp"
    if seen.exists() and seen.read_text() == mark and Path(settings.STATIC_ROOT).is_dir():
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    seen.parent.mkdir(parents=True, exist_ok=True)
    seen.write_text(mark)


def load_demo(data: Path) -> bool:
    """Loads the demo people into an empty database, once: emptied by hand later, it stays empty."""
    mark = data / "demo-loaded"
    if os.environ.get("CDP_DEMO", "1") == "0" or "demo" not in get_commands():
        return False
    if mark.exists():
        return False
    call_command("demo", verbosity=1)
    mark.touch()
    return True


def ensure_admin(data: Path) -> bool:
    """Makes the first login, its random password kept in `data`. Whether that is its password still."""
    from django.contrib.auth import get_user_model

    file = data / FIRST_PASSWORD
    user = get_user_model().objects.filter(username=ADMIN).first()
    if user is None:
        if not file.exists():
            keep_secret(file, secrets.token_urlsafe(16))
        get_user_model().objects.create_superuser(ADMIN, "admin@localhost", file.read_text().strip())
        return True
    return file.exists() and user.check_password(file.read_text().strip())


def main() -> None:
    """Prepares everything; the last line of the output, which is a log, says as JSON what was found. No password is in it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cdp.settings")
    django.setup()
    from django.conf import settings

    migrate()
    is_first_password = ensure_admin(settings.CDP_DATA)
    demo = load_demo(settings.CDP_DATA)
    collect_static()
    sys.stdout.write(json.dumps({"is_first_password": is_first_password, "demo": demo}) + "\n")


if __name__ == "__main__":
    main()
