#!/usr/bin/env python
"""Django's command line. Beside `make run` it works on what is served there, with any Python that starts it."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

VENV = Path(__file__).resolve().parent / ".venv"


def main() -> None:
    python = VENV / "bin" / "python"
    if find_spec("django") is None and python.exists() and Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606
    from cdp.local.join_running import join
    from cdp.local.paths import LocalError

    try:
        join()
    except LocalError as problem:
        sys.exit(str(problem))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cdp.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
