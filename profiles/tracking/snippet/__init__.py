"""The browser snippet: its source, its minified twin, the addresses it is served at, and parts for Django sites."""
