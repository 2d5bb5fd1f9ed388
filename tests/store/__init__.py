"""Tests of s4gw.store."""
