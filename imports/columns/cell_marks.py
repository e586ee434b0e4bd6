"""What a row's cleaning says of each cell, one letter a cell: whether it was filled, and if it gave no value, why not."""

EMPTY = "."
VALUE = "v"  # the plan decides what becomes of it
CLEARS = "c"  # the marker that empties a field
EMPTY_WORD = "w"  # NULL, n/a
UNREADABLE = "u"
STAND_IN = "b"  # a blocked identifier, such as 000000
NOTHING = "n"  # nothing is left of it, such as a cell of invisible characters
REPEATED = "r"  # another cell of the row says the same
NO_DECISION = "p"  # of a consent: decides nothing
SHARED = "h"  # an identifier that unlike people share; its attribute, if it has one, is a value
BEYOND = "x"  # in no column of the table: beside it, or above the header
