"""Tests of s4gw.gpu."""
