"""Headers and cells of a file → a checked mapping, and per row clean values or problems. No database."""

from imports.columns.advice import Advice, advise
from imports.columns.clean import CellProblem, Cleaned, Cleaner
from imports.columns.guess import ambiguous_columns, column_keys, guess_mapping
from imports.columns.mapping import ColumnMapping, Mapping, MappingError, parse_mapping
from imports.columns.targets import (
    APPEND,
    DEFAULT_IDENTIFIERS,
    FILL,
    NEVER,
    OVERWRITE,
    POLICIES,
    AttributeSpec,
    Context,
    IdentifierSpec,
    Target,
    UnknownTarget,
    parse_target,
)

__all__ = [
    "APPEND",
    "DEFAULT_IDENTIFIERS",
    "FILL",
    "NEVER",
    "OVERWRITE",
    "POLICIES",
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
    "column_keys",
    "guess_mapping",
    "parse_mapping",
    "parse_target",
]
