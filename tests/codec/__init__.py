"""Tests of s4gw.codec."""
