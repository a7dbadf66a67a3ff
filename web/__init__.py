"""The HTTP and WebSocket interface; routes.py lists every route in one table."""
