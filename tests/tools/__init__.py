"""Tests of s4gw.tools."""
