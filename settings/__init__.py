"""The settings. Read table.py first: it has one line per variable. The others parse, check and show the values."""

from settings.addresses import is_loopback
from settings.showing import without_password
from settings.table import Settings, Variable

__all__ = ["Settings", "Variable", "is_loopback", "without_password"]
