"""Headers and cells of a file → a checked mapping, and per row clean values or problems. No database."""

from imports.columns.advice import Advice, advise, ignored_consents
from imports.columns.clean import LEFT_OUT, MAX_VALUES, Cleaner
from imports.columns.clean_consents import NO_PROOF, cannot_be_read
from imports.columns.cleaned import CellProblem, Cleaned
from imports.columns.consent_words import consent_reader
from imports.columns.file_settings import guess_settings, needs_birthday
from imports.columns.guess import ambiguous_columns, column_keys, guess_mapping
from imports.columns.mapping import ColumnMapping, Mapping, MappingError, parse_mapping
from imports.columns.targets import (
    APPEND,
    BAD_CELLS,
    BIRTHDAY,
    COUNTRY_OF_ROW,
    DEFAULT_IDENTIFIERS,
    FILL,
    LEAVE_OUT_CELL,
    NEVER,
    OVERWRITE,
    POLICIES,
    REJECT_ROW,
    WITHOUT_PLUS,
    AttributeSpec,
    Context,
    IdentifierSpec,
    Target,
    UnknownTarget,
    parse_target,
)

__all__ = [
    "APPEND",
    "BAD_CELLS",
    "BIRTHDAY",
    "COUNTRY_OF_ROW",
    "DEFAULT_IDENTIFIERS",
    "FILL",
    "LEAVE_OUT_CELL",
    "LEFT_OUT",
    "MAX_VALUES",
    "NEVER",
    "NO_PROOF",
    "OVERWRITE",
    "POLICIES",
    "REJECT_ROW",
    "WITHOUT_PLUS",
    "Advice",
    "AttributeSpec",
    "CellProblem",
    "Cleaned",
    "Cleaner",
    "ColumnMapping",
    "Context",
    "IdentifierSpec",
    "Mapping",
    "MappingError",
    "Target",
    "UnknownTarget",
    "advise",
    "ambiguous_columns",
    "cannot_be_read",
    "column_keys",
    "consent_reader",
    "guess_mapping",
    "guess_settings",
    "ignored_consents",
    "needs_birthday",
    "parse_mapping",
    "parse_target",
]
