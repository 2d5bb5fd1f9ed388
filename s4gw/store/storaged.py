"""The committer's process: ``python -m s4gw.store.storaged --data-dir DIR --parent-pid PID``.

One event loop: take every request that has arrived, commit them as one batch, answer, again. While a batch is on its
way to the disk the next one gathers, so batches grow with the load and with the slowness of the disk; on a fast disk a
small batch waits half a millisecond for the others of a crowd.

It ends when the process it serves (the arbiter) is gone, after the batch in hand; SIGTERM ends it only when no worker
is connected any more, since a service manager signals all processes of a service at once and workers still drain.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from s4gw.store import wire
from s4gw.store.chores import Chore, Schedule, load_chore
from s4gw.store.committer import BATCH_BYTES_MAX, VOLUME_BYTES, Committer
from s4gw.store.errors import StoreError, StoreLocked
from s4gw.store.flusher import Flusher
from s4gw.store.ops import Request
from s4gw.store.recovery import open_committer, prepare

EXIT_OK: Final = 0
EXIT_LOCKED: Final = 4
EXIT_CANNOT_RUN: Final = 3

_BACKLOG: Final = 1024
_RECEIVE_BYTES: Final = 256 * 1024
_IDLE_S: Final = 1.0  # an idle second is when the write-ahead log is moved into the index
LINGER_S: Final = 0.0005
"""Seconds that a batch waits for more when a third of those who write are not in it.

A transaction and a flush cost as much for one as for five: some 200 us of CPU, against 50 us for each PUT. Eight
clients of a gateway, two cores, 2026-11: 150 us for a small PUT where a batch of less than two thirds waits, 195 us
where none does, and as many PUTs.
"""
LINGER_PEERS_MIN: Final = 4
LINGER_COUNT_MAX: Final = 6
"""A batch of so many has the fixed part down to a third of its cost. Sixteen writers of the store alone: 9,600 PUTs of
4 KiB per second, 7,900 where batches of 7 wait, too."""
LINGER_BATCHES: Final = 4
FLUSH_WATCHED_MIN: Final = 9
"""So many have been writing of late when the loop takes requests while a batch is flushed.

Then the next batch is decoded by the time the disk is done: 16 writers of the store alone, 9,300 PUTs of 4 KiB per
second instead of 7,200. But it means to be woken for each of them: eight clients of a gateway, two busy cores, 190 us
of CPU for a small PUT, and 165 us where they wait in their sockets.
"""
_READABLE: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


class _Peer:
    """One connected worker thread."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = bytearray()
        self.unsent = b""
        self.gone = False

    def take(self, data: memoryview) -> Request | None:
        """The request that has arrived whole with *data*, if one has. Raises: ValueError, msgspec.DecodeError."""
        head = wire.LENGTH.size
        if not self.received and len(data) >= head and wire.LENGTH.unpack_from(data)[0] == len(data) - head:
            return wire.decode_request(bytes(data[head:]))  # PERF: nearly always
        self.received += data
        if len(self.received) < wire.LENGTH.size:
            return None
        size = wire.LENGTH.unpack_from(self.received)[0]
        if size > BATCH_BYTES_MAX:
            raise ValueError(size)
        end = wire.LENGTH.size + size
        if len(self.received) < end:
            return None
        body = bytes(self.received[wire.LENGTH.size : end])
        del self.received[:end]
        return wire.decode_request(body)


def worth_waiting(count: int, recent: Iterable[set[int]]) -> bool:
    """Tell whether many of those who have been writing just now are still on their way with the next request.

    Args:
        count: Requests that have arrived.
        recent: Marks of those who were in each of the last batches.
    """
    if not 0 < count < LINGER_COUNT_MAX:
        return False
    crowd = len(set[int]().union(*recent))
    return crowd >= LINGER_PEERS_MIN and 3 * count < 2 * crowd


class Server:
    """The event loop around a `Committer`.

    Args:
        committer: What commits.
        listener: Listening socket, non-blocking.
        parent: A pidfd that becomes readable when the process served has ended, or None.
        wake: A socket that becomes readable when a signal came, or None.
        schedule: What else is to be done from time to time.
    """

    def __init__(
        self,
        committer: Committer,
        listener: socket.socket,
        *,
        parent: int | None,
        wake: socket.socket | None,
        schedule: Schedule | None = None,
    ) -> None:
        self._schedule = schedule or Schedule((), _report)
        self._committer = committer
        self._listener = listener
        self._parent = parent
        self._wake = wake
        self._peers: dict[int, _Peer] = {}
        self._recent: deque[set[int]] = deque(maxlen=LINGER_BATCHES)
        self._batch: list[tuple[_Peer, Request]] = []  # what has arrived for the next commit, and its bytes
        self._size = 0
        self._flusher = Flusher()
        committer.flush_with(self._flush)
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self._stopping = False
        self._parent_gone = False
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        for descriptor in (parent, wake.fileno() if wake else None, self._flusher.done):
            if descriptor is not None:
                self._epoll.register(descriptor, select.EPOLLIN)

    def serve(self) -> None:
        """Run until the parent is gone, or a signal came and nobody is connected."""
        while not (self._parent_gone or (self._stopping and not self._peers)):
            self.step()
            self._schedule.tend()
        self._schedule.end()
        for peer in list(self._peers.values()):
            self._drop(peer)
        self._epoll.close()

    def step(self) -> None:
        """Wait for something, then commit all requests that have arrived."""
        events = self._epoll.poll(0 if self._batch else _IDLE_S)
        if not events and not self._batch:
            self._committer.checkpoint(idle=True)
            return
        self._take(events)
        if worth_waiting(len(self._batch), self._recent):
            time.sleep(LINGER_S)
            self._take(self._epoll.poll(0))
        batch, self._batch, self._size = self._batch, [], 0
        if batch:
            self._recent.append({id(peer) for peer, _ in batch})
            replies = self._committer.commit([request for _, request in batch])
            for (peer, _), reply in zip(batch, replies, strict=True):
                self._send(peer, wire.encode(reply))
            self._committer.checkpoint()

    def _flush(self, fd: int) -> None:
        """Flush, and in a crowd take meanwhile what arrives for the next batch. Raises: OSError."""
        if len(set[int]().union(*self._recent)) < FLUSH_WATCHED_MIN:
            os.fdatasync(fd)
            return
        self._flusher.begin(fd)
        events: Sequence[tuple[int, int]] = ()
        while self._size < BATCH_BYTES_MAX and all(descriptor != self._flusher.done for descriptor, _ in events):
            events = self._epoll.poll()
            self._take(events)
        self._flusher.end()

    def _take(self, events: Sequence[tuple[int, int]]) -> None:
        """Do what *events* ask for; requests that have arrived whole go into the next batch."""
        for descriptor, event in events:
            peer = self._peers.get(descriptor)
            if peer is not None:
                if event & select.EPOLLOUT:
                    self._send(peer, b"")
                elif self._size < BATCH_BYTES_MAX:  # the others stay readable and are in the next batch
                    self._receive(peer)
            elif descriptor == self._listener.fileno():
                self._accept()
            elif descriptor == self._parent:
                self._parent_gone = True
            elif self._wake is not None and descriptor == self._wake.fileno():
                self._wake.recv(64)
                self._stopping = True
            # else a flush has ended, which is noted where it was begun

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # nobody more, or no descriptor for one: it is asked again
                return
            connection.setblocking(False)
            self._peers[connection.fileno()] = _Peer(connection)
            self._epoll.register(connection.fileno(), _READABLE)

    def _receive(self, peer: _Peer) -> None:
        """Take what the peer has sent."""
        try:
            size = peer.connection.recv_into(self._buffer)
            request = peer.take(self._buffer[:size])
        except BlockingIOError:
            return
        except (OSError, ValueError, msgspec.DecodeError):
            size, request = 0, None
        if not size:
            self._drop(peer)
        elif request is not None:
            self._batch.append((peer, request))
        self._size += size

    def _send(self, peer: _Peer, data: bytes) -> None:
        """Send to a peer that may have gone; its descriptor may be another's by now."""
        if peer.gone:
            return
        if peer.unsent:
            data = peer.unsent + data
        try:
            sent = peer.connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(peer)
            return
        if peer.unsent or sent < len(data):
            peer.unsent = data[sent:]
            self._epoll.modify(peer.connection, select.EPOLLOUT if peer.unsent else _READABLE)

    def _drop(self, peer: _Peer) -> None:
        self._epoll.unregister(peer.connection)
        del self._peers[peer.connection.fileno()]
        peer.connection.close()
        peer.gone = True


def run(
    data_dir: Path,
    *,
    parent_pid: int | None,
    volume_bytes: int,
    ready_fd: int | None,
    chores: Sequence[Chore] = (),
) -> None:
    """Serve *data_dir* until it is time to end.

    Raises: StoreError, OSError.
    """
    prepare(data_dir)
    try:
        parent = None if parent_pid is None else os.pidfd_open(parent_pid)
    except ProcessLookupError:
        return  # it has ended in the meantime
    lock, committer = open_committer(data_dir, volume_bytes, _report, background=True)
    with lock:
        listener = wire.listen(data_dir, _BACKLOG)
        wake, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        if ready_fd is not None:
            os.write(ready_fd, b"1")
            os.close(ready_fd)
        schedule = Schedule(chores, _report)
        Server(committer, listener, parent=parent, wake=wake, schedule=schedule).serve()
        listener.close()
        committer.close()


def _report(line: str) -> None:
    sys.stderr.write(f"storaged: {line}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the process. Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="storaged", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    parser.add_argument("--volume-bytes", type=int, default=VOLUME_BYTES)
    parser.add_argument("--ready-fd", type=int, help="write a byte to this descriptor when serving")
    parser.add_argument("--chore", type=load_chore, action="append", default=[], help="JSON of a `Chore`")
    parser.add_argument("--detach", action="store_true", help="serve in a child and return at once")
    options = parser.parse_args(arguments)
    if options.detach and os.fork():
        return EXIT_OK
    os.umask(0o077)
    try:
        run(
            options.data_dir,
            parent_pid=options.parent_pid,
            volume_bytes=options.volume_bytes,
            ready_fd=options.ready_fd,
            chores=options.chore,
        )
    except StoreLocked:
        return EXIT_LOCKED
    except (StoreError, OSError) as error:
        _report(str(error))
        return EXIT_CANNOT_RUN
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
