"""Raw items of a call → checked items, or the reason they are rejected. Pure."""
