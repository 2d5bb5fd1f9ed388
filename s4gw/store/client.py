"""The workers' side of storaged: sending requests, and starting it when nobody serves the data directory."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from s4gw.store import wire
from s4gw.store.chores import Chore, dump_chore
from s4gw.store.committer import VOLUME_BYTES
from s4gw.store.errors import Unavailable
from s4gw.store.lock import SPAWN_LOCK, FileLock
from s4gw.store.ops import Reply, Request

ANSWER_TIMEOUT_S: Final = 60.0
"""How long one commit may take: a batch behind a slow checkpoint on a busy disk, many times over."""

_START_TIMEOUT_S: Final = 30.0  # recovery of a large write-ahead log on a slow disk
_TRIES_MAX: Final = 3
_RECEIVE_BYTES: Final = 64 * 1024


def ensure_running(
    data_dir: Path, parent_pid: int, *, volume_bytes: int = VOLUME_BYTES, chores: Sequence[Chore] = ()
) -> None:
    """Start storaged unless one answers already; returns when it does.

    Args:
        data_dir: The data directory, prepared.
        parent_pid: storaged ends when this process is gone; 0 never starts one.
        volume_bytes: Size at which it begins a new volume.
        chores: What it is to have done beside itself.

    Raises: Unavailable.
    """
    if not parent_pid:
        raise Unavailable("nobody serves the data directory")
    with FileLock(data_dir / SPAWN_LOCK, wait=True):
        if _answers(data_dir):
            return
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "s4gw.store.storaged", "--detach", "--data-dir", str(data_dir)]
        command += ["--parent-pid", str(parent_pid), "--volume-bytes", str(volume_bytes), "--ready-fd", str(writing)]
        for chore in chores:
            command += ["--chore", dump_chore(chore)]
        try:
            # A session of its own: Ctrl-C in the terminal goes to the arbiter, which ends its workers in order.
            subprocess.run(  # noqa: S603 - our own module, our own interpreter
                command, pass_fds=(writing,), start_new_session=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, check=True, timeout=_START_TIMEOUT_S,
            )  # fmt: skip
            os.close(writing)
            writing = -1
            select.select([reading], [], [], _START_TIMEOUT_S)  # readable when it serves, and when it ended
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(error) if isinstance(error, OSError) else type(error).__name__  # not its long command line
            raise Unavailable(f"storaged does not start: {reason}") from error
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        if not _answers(data_dir):
            raise Unavailable("storaged does not answer")


def _answers(data_dir: Path) -> bool:
    try:
        wire.connect(data_dir, ANSWER_TIMEOUT_S).close()
    except OSError:
        return False
    return True


class CommitterClient:
    """One thread's connection to storaged.

    Args:
        data_dir: The data directory, prepared.
        parent_pid: For `ensure_running`, as are *volume_bytes* and *chores*.
    """

    def __init__(
        self, data_dir: Path, parent_pid: int, *, volume_bytes: int = VOLUME_BYTES, chores: Sequence[Chore] = ()
    ) -> None:
        self._data_dir = data_dir
        self._parent_pid = parent_pid
        self._volume_bytes = volume_bytes
        self._chores = chores
        self._connection: socket.socket | None = None

    def submit(self, request: Request) -> Reply:
        """Have the request committed.

        Raises: Unavailable; with ``outcome_known=False`` when it was sent and no answer came.
        """
        message = wire.encode(request)
        connection = self._send(message)
        try:
            return wire.decode_reply(_receive(connection))
        except (OSError, msgspec.DecodeError) as error:
            self.close()
            raise Unavailable("the answer to a commit was lost", outcome_known=False) from error

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, message: bytes) -> socket.socket:
        """Send the whole message. A send that fails did not deliver all of it, so it may be repeated."""
        for _ in range(_TRIES_MAX):
            try:
                if self._connection is None:
                    self._connection = wire.connect(self._data_dir, ANSWER_TIMEOUT_S)
                self._connection.sendall(message)
            except OSError:
                self.close()
                ensure_running(self._data_dir, self._parent_pid, volume_bytes=self._volume_bytes, chores=self._chores)
            else:
                return self._connection
        raise Unavailable("storaged does not take requests")


def _receive(connection: socket.socket) -> memoryview:
    """One message without its size. Raises: ConnectionError, when the peer ends first; BlockingIOError: too late."""
    data = bytearray()
    wanted = wire.LENGTH.size
    while len(data) < wanted:
        more = connection.recv(_RECEIVE_BYTES)  # PERF: nearly always the whole message at once
        if not more:
            raise ConnectionError
        data += more
        if wanted == wire.LENGTH.size <= len(data):
            wanted += wire.LENGTH.unpack_from(data)[0]
            if wanted > wire.REPLY_BYTES_MAX:
                raise ConnectionError(wanted)
    return memoryview(data)[wire.LENGTH.size :]
