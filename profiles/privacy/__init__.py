"""The room for what people may ask of us: consent, access (GDPR export), deletion, and masking of personal data."""
