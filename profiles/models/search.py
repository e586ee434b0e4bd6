"""The words a profile is found by, as one immutable SQL expression kept by the database itself.

A generated column cannot be forgotten by any door. Core PostgreSQL only: no unaccent, so accents are
folded by NFKD and dropping the combining marks; ``.@_-+`` part words, so that ``lee`` finds
``ann.lee@example.com``. A phone is found by all its digits, by its last nine and by its last seven.
"""

from typing import Any

from django.db import models
from django.db.models.expressions import Func

# In this order in ``SearchText``: the phone is the one column that is taken apart.
_FOLD = "regexp_replace(normalize(lower({text}), NFKD), '[\u0300-\u036f]', '', 'g')"
_PART = "translate({text}, '@._+-''’/', '         ')"
# Letters NFKD leaves whole.
_PLAIN = "translate({text}, 'łøđßæœı', 'lodsaoi')"


def words_sql(text: str) -> str:
    """SQL that turns a text expression into the same plain words for the index and for a query."""
    return _PART.format(text=_PLAIN.format(text=_FOLD.format(text=text)))


class SearchText(Func):
    """tsvector over the given text columns; a column named ``phone`` also counts by its endings."""

    output_field = models.TextField()

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> Any:
        parts: list[str] = []
        for source in self.get_source_expressions():
            column, _ = compiler.compile(source)
            parts.append(f"coalesce({column}, '')")
            if column.endswith('"phone"'):
                digits = f"translate({column}, '+', '')"
                parts += [f"coalesce(right({digits}, 9), '')", f"coalesce(right({digits}, 7), '')"]
        text = words_sql(" || ' ' || ".join(parts))
        return f"to_tsvector('simple'::regconfig, {text})", []
