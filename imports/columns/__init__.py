"""The room that says which column of a file means what, and turns its cells into clean values. Pure."""

from imports.columns.advice import Advice, advise
from imports.columns.clean import Cleaned, Cleaner, Complaint
from imports.columns.guess import ambiguous_columns, column_keys, guess_mapping
from imports.columns.mapping import ColumnMapping, Mapping, MappingError, parse_mapping
from imports.columns.targets import (
    DEFAULT_IDENTIFIERS,
    POLICIES,
    AttributeSpec,
    Context,
    IdentifierSpec,
    Target,
    UnknownTarget,
    parse_target,
)

__all__ = [
    "DEFAULT_IDENTIFIERS",
    "POLICIES",
    "Advice",
    "AttributeSpec",
    "Cleaned",
    "Cleaner",
    "ColumnMapping",
    "Complaint",
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
