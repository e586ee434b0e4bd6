"""Values → the placeholders that stand for them in one SQL statement."""

from __future__ import annotations

from typing import Any


class Binds(dict[str, Any]):
    """Collects parameters: ``bind("x")`` gives the placeholder that stands for it."""

    def __call__(self, value: Any) -> str:
        name = f"p{len(self)}"
        self[name] = value
        return f"%({name})s"
