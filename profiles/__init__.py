"""People: profiles, their identifiers, attributes, tags, events, consents, and everything that keeps them right."""
