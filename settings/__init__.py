"""The settings. table.py has one line a variable, and is the one to read; the others read, check and show the values."""

from settings.addresses import is_loopback
from settings.showing import without_password
from settings.table import Settings, Variable

__all__ = ["Settings", "Variable", "is_loopback", "without_password"]
