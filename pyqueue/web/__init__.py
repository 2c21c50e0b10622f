"""The HTTP API as data: a table of routes that any framework can serve."""
