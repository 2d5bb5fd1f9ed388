"""Tests of `s4gw.objects`."""
