"""Tests against real gunicorn workers, with real clients."""
