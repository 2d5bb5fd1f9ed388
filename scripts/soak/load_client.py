"""One connection of a load run: what it may do, how answers are judged, what it counts.

An operation counts only if its status and size are right (with `Load.verify` its CRC-32 too). Each client has its own
keys, so that it always knows what a read must give.
"""

from __future__ import annotations

import array
import dataclasses
import random
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import quote

from s3wire import Auth, Body, Connection, Endpoint, Keys

READS: Final = frozenset({"get", "range", "head"})
OK, NO_CONTENT, PARTIAL, CONFLICT = 200, 204, 206, 409
OPERATIONS_MAX: Final = 5_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run: where, what, how long."""

    endpoint: Endpoint
    keys: Keys
    bodies: Sequence[Body]
    mix: Mapping[str, int]
    """Operation (a key of `OPERATIONS`) -> weight."""
    auth: Auth = Auth.UNSIGNED
    bucket: str = "load"
    prefix: str = "load/"
    connections: int = 4
    processes: int = 1
    duration_s: float = 5.0
    operations_max: int = OPERATIONS_MAX
    keys_per_connection: int = 64
    range_bytes: int = 4096
    list_keys: int = 100
    timeout_s: float = 60.0
    expect_100: bool = False
    verify: bool = False
    seed: int = 1

    def connection(self, auth: Auth | None = None) -> Connection:
        """Make a connection as this run has them."""
        return Connection(
            self.endpoint, self.keys, auth=auth or self.auth, timeout_s=self.timeout_s, expect_100=self.expect_100
        )

    def create_bucket(self) -> None:
        """Create the bucket, if it is not there.

        Raises: ConnectionError, if the server refuses.
        """
        link = self.connection(Auth.NONE if self.auth is Auth.NONE else Auth.UNSIGNED)
        status = link.request("PUT", f"/{self.bucket}").status
        link.close()
        if status not in {OK, CONFLICT}:
            raise ConnectionError(f"creating the bucket answered {status}")


class Client:
    """One connection of a run: its keys, its random choices, its counts."""

    def __init__(self, load: Load, process: int, number: int) -> None:
        self.load, self.stem = load, f"{load.prefix}{process}-{number}/"
        self.rng = random.Random(load.seed * 1_000_003 + process * 1009 + number)
        self.link = load.connection()
        self.stored: dict[int, Body] = {}
        self.written = number  # connections start at different bodies
        self.latencies: dict[str, array.array[float]] = {name: array.array("d") for name in load.mix}
        self.moved_bytes = 0
        self.errors: Counter[str] = Counter()

    def path(self, number: int) -> str:
        """Give the path of this client's key *number*."""
        return f"/{self.load.bucket}/{self.stem}{number:06d}"

    def prefill(self) -> None:
        """Write every key that reads will ask for."""
        if READS.isdisjoint(self.load.mix) and "list" not in self.load.mix:
            return
        for _ in range(self.load.keys_per_connection):
            self.attempt("put", timed=False)

    def work(self, until_s: float) -> None:
        """Send requests until the clock shows *until_s* or the share of operations is spent."""
        names = [name for name, weight in self.load.mix.items() for _ in range(weight)]
        left = self.load.operations_max // self.load.connections + 1
        while time.perf_counter() < until_s and left:
            self.attempt(self.rng.choice(names), timed=True)
            left -= 1
        self.link.close()

    def attempt(self, name: str, *, timed: bool) -> None:
        """Do one operation and book it."""
        start = time.perf_counter()
        try:
            size = OPERATIONS[name](self)
        except (OSError, ValueError, WrongAnswerError) as error:
            if not isinstance(error, WrongAnswerError):
                self.link.close()
            self.errors[f"{name} {type(error).__name__}: {error}"] += 1
            return
        if timed:
            self.latencies[name].append(time.perf_counter() - start)
            self.moved_bytes += size

    def choose(self) -> tuple[int, Body]:
        """Pick a key that is there."""
        if not self.stored:
            raise WrongAnswerError("no key to read")
        number = self.rng.randrange(self.load.keys_per_connection)
        if number not in self.stored:
            number = next(iter(self.stored))
        return number, self.stored[number]


class WrongAnswerError(Exception):
    """The server answered, but not as it had to."""


class Operation(Protocol):
    """Does one operation for a client and gives the bytes moved."""

    def __call__(self, client: Client) -> int: ...


def _expect(condition: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise WrongAnswerError(what)


def _put(client: Client) -> int:
    number = client.written % client.load.keys_per_connection
    body = client.load.bodies[client.written % len(client.load.bodies)]
    client.written += 1
    answer = client.link.request("PUT", client.path(number), body=body)
    _expect(answer.status == OK, f"status {answer.status}")
    client.stored[number] = body
    return body.size


def _get(client: Client) -> int:
    number, body = client.choose()
    answer = client.link.request("GET", client.path(number), check=client.load.verify)
    right = answer.status == OK and answer.size == body.size
    _expect(
        right and (not client.load.verify or answer.crc32 == body.crc32), f"status {answer.status}, {answer.size} B"
    )
    return body.size


def _range(client: Client) -> int:
    number, body = client.choose()
    if not body.size:
        return _get(client)  # no range of nothing can be asked for
    start = client.rng.randrange(max(1, body.size - client.load.range_bytes))
    end = min(body.size, start + client.load.range_bytes)
    header = ("range", f"bytes={start}-{end - 1}")
    answer = client.link.request("GET", client.path(number), headers=[header], check=client.load.verify)
    right = answer.status == PARTIAL and answer.size == end - start
    if client.load.verify:
        right = right and answer.crc32 == zlib.crc32(body.data[start:end])
    _expect(right, f"status {answer.status}, {answer.size} B")
    return end - start


def _head(client: Client) -> int:
    number, body = client.choose()
    answer = client.link.request("HEAD", client.path(number))
    size = answer.headers.get(b"content-length")
    _expect(answer.status == OK and size == str(body.size).encode(), f"status {answer.status}")
    return 0


def _delete(client: Client) -> int:
    number, _ = client.choose()
    answer = client.link.request("DELETE", client.path(number))
    _expect(answer.status in {OK, NO_CONTENT}, f"status {answer.status}")
    del client.stored[number]
    return 0


def _list(client: Client) -> int:
    query = f"list-type=2&max-keys={client.load.list_keys}&prefix={quote(client.load.prefix, safe='')}"
    answer = client.link.request("GET", f"/{client.load.bucket}", query=query)
    _expect(answer.status == OK, f"status {answer.status}")
    return answer.size


OPERATIONS: Final[Mapping[str, Operation]] = {
    "put": _put,
    "get": _get,
    "range": _range,
    "head": _head,
    "delete": _delete,
    "list": _list,
}
