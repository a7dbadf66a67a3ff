"""The version of the program, as /health, /openapi.json and --version say it."""

VERSION = "1.0.0"
