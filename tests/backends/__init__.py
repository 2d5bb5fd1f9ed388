"""The shared backend suite: one set of promises over every backend."""
