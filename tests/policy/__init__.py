"""Tests of s4gw.policy."""
