"""The standalone server: the same queue behind HTTP, WebSocket and TCP."""
