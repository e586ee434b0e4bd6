"""What a document names in backticks → the files, tests and folders among it that do not exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
_FOLDERS = ("tests/", "cdp/", "profiles/", "imports/", "segments/", "docs/", "templates/")


def missing(text: str) -> list[str]:
    """``tests/x.py::test_y`` needs the file and the function; a name without one of our folders is no reference."""
    named = [name for name in re.findall(r"`([^`]+)`", text) if name.startswith(_FOLDERS)]
    return [name for name in named if not _exists(name)]


def _exists(name: str) -> bool:
    path, _, function = name.partition("::")
    file = ROOT / path
    return file.exists() and (not function or function in _functions(file))


@cache
def _functions(file: Path) -> frozenset[str]:
    found = ast.walk(ast.parse(file.read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef))
