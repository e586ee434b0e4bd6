"""Columns of a profile → the words it is found by, as one immutable SQL expression of a generated column.

A generated column cannot be forgotten by any writer. Core PostgreSQL only: no unaccent, so accents are
folded by NFKD and dropping the combining marks; ``.@_-+`` part words, so that ``lee`` finds
``ann.lee@example.com``. Names are found without what parts them, too: ``obrien`` for O'Brien, ``annemarie`` for
Anne-Marie; Chinese, Japanese and Korean ones with family and given name together in either order. A phone is
found by all its digits, by its last nine, and by any number of its last ones: the digits from behind are a word.
"""

from typing import Any

from django.db import models
from django.db.models.expressions import Func

_FOLD = "regexp_replace(normalize(lower({text}), NFKD), '[\u0300-\u036f]', '', 'g')"
# Letters NFKD leaves whole, as people write them on a keyboard that lacks them.
_PLAIN = "replace(replace(replace(replace(translate({text}, 'łøđðı', 'loddi'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th')"
# Plain ASCII, by far the most: nothing to fold, which halves what filling the column costs.
_WORDS = "CASE WHEN octet_length({text}) = length({text}) THEN lower({text}) ELSE {folded} END"
_PART = "translate({text}, '@._+-''’/', '         ')"


def words_sql(text: str) -> str:
    """SQL that turns a text expression into the same plain words for the index and for a query.

    The expression stands in it several times: a parameter must be a named one.
    """
    folded = _PLAIN.format(text=_FOLD.format(text=text))
    return _PART.format(text=_WORDS.format(text=f"({text})", folded=folded))


# What stands within a name, and people leave out.
_WITHIN_NAMES = "''’ʼ`-"
# Scripts whose names are written without a blank: kana, Han, Hangul.
_UNSPACED = "[぀-ヿ㐀-鿿가-힯]"
# What digits from behind begin with in the index, so that they are no other word.
ENDING = "tel"


def _names_sql(first: str, last: str) -> str:
    """Further spellings of a name as plain words, each after a blank; nothing for nearly everybody."""
    both = f"({first} || ' ' || {last})"
    joined = words_sql(f"translate({both}, '{_WITHIN_NAMES}', '')")
    together = words_sql(f"({last} || {first} || ' ' || {first} || {last})")
    return (
        f"CASE WHEN {both} ~ '[{_WITHIN_NAMES}]' THEN ' ' || {joined} ELSE '' END"
        f" || CASE WHEN octet_length({both}) > length({both}) AND {last} ~ '{_UNSPACED}' THEN ' ' || {together} ELSE '' END"
    )


class SearchText(Func):
    """tsvector over the given text columns; names count without what parts them, a phone by its endings."""

    output_field = models.TextField()

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> Any:
        parts: list[str] = []
        names: list[str] = []
        for source in self.get_source_expressions():
            column, _ = compiler.compile(source)
            parts.append(f"coalesce({column}, '')")
            if column.endswith(('"first_name"', '"last_name"')):
                names.append(parts[-1])
            if column.endswith('"phone"'):
                digits = f"translate({column}, '+', '')"
                parts += [
                    f"coalesce(right({digits}, 9), '')",
                    f"coalesce('{ENDING}' || reverse({digits}), '')",
                ]
        text = words_sql(" || ' ' || ".join(parts))
        if len(names) == 2:
            text = f"({text}) || {_names_sql(*names)}"
        return f"to_tsvector('simple'::regconfig, {text})", []
