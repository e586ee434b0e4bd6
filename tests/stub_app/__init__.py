"""An app that fills every place to plug in, as an app above ``profiles`` does."""
