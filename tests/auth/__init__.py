"""Tests of s4gw.auth."""
