"""The backend in memory: all operations under one lock, nothing durable."""

from s4gw.backends.memory.backend import MemoryBackend

__all__ = ["MemoryBackend"]
