"""The remote backend's own tests; what all backends promise is tested one folder above."""
