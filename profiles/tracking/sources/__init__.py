"""Sources that send data: settings, origins, write keys, signing secrets."""
