"""What tests of pages share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write_template(settings: Any, tmp_path: Path) -> Callable[[str, str], str]:
    """``write_template("stub/panel.html", "…")``: a template as an app of its own would bring it; its name."""
    folder = tmp_path / "templates"
    changed = copy.deepcopy(settings.TEMPLATES)
    changed[0]["DIRS"].append(folder)
    settings.TEMPLATES = changed

    def write(name: str, text: str) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return write
