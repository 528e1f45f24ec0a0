"""reasoning-proxy: one canonical schema for the reasoning of every provider."""

__version__ = "0.1.0"
