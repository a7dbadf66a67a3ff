"""The HTTP and WebSocket interface: every route of the contract, one table in routes.py."""
