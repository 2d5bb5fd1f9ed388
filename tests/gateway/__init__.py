"""Tests of s4gw.gateway."""
