"""Columns of a profile → the words it is found by, as one immutable SQL expression of a generated column.

A generated column cannot be forgotten by any writer. Core PostgreSQL only: no unaccent, so accents are
folded by NFKD and dropping the combining marks; ``.@_-+`` part words, so that ``lee`` finds
``ann.lee@example.com``. A phone is found by all its digits, by its last nine and by its last seven.
"""

from typing import Any

from django.db import models
from django.db.models.expressions import Func

_FOLD = "regexp_replace(normalize(lower({text}), NFKD), '[\u0300-\u036f]', '', 'g')"
# Letters NFKD leaves whole.
_PLAIN = "translate({text}, 'łøđßæœı', 'lodsaoi')"
# Plain ASCII, by far the most: nothing to fold, which halves what filling the column costs.
_WORDS = "CASE WHEN octet_length({text}) = length({text}) THEN lower({text}) ELSE {folded} END"
_PART = "translate({text}, '@._+-''’/', '         ')"


def words_sql(text: str) -> str:
    """SQL that turns a text expression into the same plain words for the index and for a query.

    The expression stands in it several times: a parameter must be a named one.
    """
    folded = _PLAIN.format(text=_FOLD.format(text=text))
    return _PART.format(text=_WORDS.format(text=f"({text})", folded=folded))


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
