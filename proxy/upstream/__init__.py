"""Towards the providers: the HTTP client, and the tries of one request."""
