"""Tests of s4gw.observability."""
