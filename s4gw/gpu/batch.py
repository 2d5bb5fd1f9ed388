"""Which chunks go into one launch, and when it starts: decided here, carried out by the worker.

Pure: times come in as arguments. Chunks of one codec, operation and parameters wait together. A batch is due when it
is full, or when its oldest chunk has waited for the linger time and a stream is free for it; a batch that runs past
its deadline is the worker's end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")

RECOVERY_BATCHES: Final = 64
"""Sound batches after which a size that was halved for want of memory is doubled again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an engine wants its work.

    Attributes:
        batch_bytes_max: Bytes of chunks in one launch.
        linger_s: How long a chunk waits for others while nothing runs; 0: not at all.
        streams: Launches at a time.
    """

    batch_bytes_max: int
    linger_s: float
    streams: int


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item]):
    """Chunks for one launch, which all have *key* in common."""

    key: Hashable
    items: list[Item]
    size: int


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    """One chunk that waits."""

    item: Item
    size: int
    since_s: float


class Batcher(Generic[Item]):
    """Chunks that wait, by what they have in common.

    Args:
        plan: How the engine wants its work.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._limit = plan.batch_bytes_max
        self._sound = 0
        self._queues: dict[Hashable, deque[_Waiting[Item]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def batch_bytes(self) -> int:
        """Bytes that a launch may have now."""
        return self._limit

    def add(self, key: Hashable, item: Item, size: int, now_s: float) -> None:
        """Let a chunk of *size* bytes wait, from *now_s* on."""
        self._queues.setdefault(key, deque()).append(_Waiting(item, size, now_s))

    def drop(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Take out the chunks that nobody wants any more, and give them."""
        dropped: list[Item] = []
        for key, queue in list(self._queues.items()):
            dropped += [waiting.item for waiting in queue if unwanted(waiting.item)]
            kept = deque(waiting for waiting in queue if not unwanted(waiting.item))
            if kept:
                self._queues[key] = kept
            else:
                del self._queues[key]
        return dropped

    def take(self, now_s: float, running: int) -> Batch[Item] | None:
        """Give the next batch that is due.

        Args:
            now_s: The time, on the clock of `add`.
            running: Launches under way.
        """
        if running >= self._plan.streams:
            return None
        due: Hashable | None = None
        oldest = now_s
        for key, queue in self._queues.items():
            since = queue[0].since_s
            if since <= oldest and (now_s - since >= self._plan.linger_s or self._full(queue)):
                due, oldest = key, since
        return None if due is None else self._cut(due)

    def wait_s(self, now_s: float, running: int) -> float | None:
        """Seconds until `take` may have something; None: not before another chunk or the end of a launch."""
        if running >= self._plan.streams or not self._queues:
            return None
        oldest = min(queue[0].since_s for queue in self._queues.values())
        return max(0.0, oldest + self._plan.linger_s - now_s)

    def out_of_memory(self) -> None:
        """The device had no room for a batch: make them half as big, one chunk at least."""
        self._limit = max(1, self._limit // 2)
        self._sound = 0

    def sound(self) -> None:
        """A batch went well."""
        self._sound += 1
        if self._sound >= RECOVERY_BATCHES and self._limit < self._plan.batch_bytes_max:
            self._limit = min(self._plan.batch_bytes_max, self._limit * 2)
            self._sound = 0

    def _full(self, queue: deque[_Waiting[Item]]) -> bool:
        return sum(waiting.size for waiting in queue) >= self._limit

    def _cut(self, key: Hashable) -> Batch[Item]:
        """Take a batch off one queue: one chunk at least, the limit at most."""
        queue = self._queues[key]
        items: list[Item] = []
        size = 0
        while queue and (not items or size + queue[0].size <= self._limit):
            waiting = queue.popleft()
            items.append(waiting.item)
            size += waiting.size
        if not queue:
            del self._queues[key]
        return Batch(key, items, size)
