"""Tests of the remote backend."""
