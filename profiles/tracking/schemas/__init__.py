"""Event schemas: written, inferred from traffic, enforced, and their violations."""
