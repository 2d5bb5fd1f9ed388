"""Tests that kill writers at every step."""
