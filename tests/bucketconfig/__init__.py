"""Tests of s4gw.bucketconfig."""
