"""The live tests of clients once more, through a gateway in front of an upstream."""
