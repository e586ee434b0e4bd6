"""The room that fills an empty database with a made-up shop's people, so that there is something to look at."""
