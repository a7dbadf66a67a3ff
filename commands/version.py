"""The program's version, as shown by /health, /openapi.json and --version."""

VERSION = "1.0.0"
