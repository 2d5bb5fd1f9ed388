"""S4GW: an S3 endpoint that stores fewer bytes."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("s4gw")
except PackageNotFoundError:  # run from a tree that was never installed
    __version__ = "0+unknown"
