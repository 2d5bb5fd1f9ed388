"""Tests of s4gw.s3."""
