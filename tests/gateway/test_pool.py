"""Tests of s4gw.gateway.pool: threads come while clients are slow, and go again."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from s4gw.gateway import pool as pools
from s4gw.gateway.pool import Pool, client_wait, moved

OPEN: list[Connection] = []


class Connection:
    """What the pool sees of a connection, and the client's end of it."""

    def __init__(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            self.client = socket.create_connection(listener.getsockname())
            self.sock, _ = listener.accept()
        OPEN.append(self)


@client_wait
def read(conn: Connection) -> bytes:
    """Serve by waiting for the client."""
    return conn.sock.recv(1)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(2, extra_max=2)
    yield made
    made.shutdown()
    while OPEN:
        OPEN.pop().client.close()


def until(true: Callable[[], bool]) -> bool:
    """Wait for it to come true, ten seconds at most."""
    end = time.monotonic() + 10
    while not true() and time.monotonic() < end:
        time.sleep(0.001)
    return true()


def seen_to(pool: Pool) -> bool:
    """Do what the main thread does ten times a second."""
    pool.look_after()
    return True


def test_a_pool_whose_clients_are_slow_grows_for_those_that_wait(pool: Pool) -> None:
    """Two threads wait for slow clients; a third connection is served all the same, by a thread more."""
    slow = [pool.submit(read, Connection()) for _ in range(2)]
    served = pool.submit(lambda _: "served", Connection())
    assert until(lambda: seen_to(pool) and served.done())
    assert ("served", [False, False], 3) == (served.result(), [future.done() for future in slow], pool.threads)


def test_a_pool_that_works_does_not_grow(pool: Pool) -> None:
    """Threads that do something else than wait for a client are as many as were asked for."""
    free = threading.Event()
    futures = [pool.submit(lambda _: free.wait(), Connection()) for _ in range(5)]
    for _ in range(5):
        pool.look_after()
    threads = pool.threads
    free.set()
    assert ([True] * 5, 2) == ([future.result(10) for future in futures], threads)


def test_nobody_is_cut_while_nobody_waits(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowness alone is no offence: the limits on silence are others'."""
    monkeypatch.setattr(pools, "SLOW_S", 0.0)
    conns = [Connection() for _ in range(2)]
    futures = [pool.submit(read, conn) for conn in conns]
    for _ in range(5):
        pool.look_after()
    for conn in conns:
        conn.client.sendall(b"x")
    assert [b"x", b"x"] == [future.result(10) for future in futures]


def test_the_slowest_are_cut_when_all_threads_are_theirs(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four silent clients hold all that there may be; a fifth gets a thread, since they lose theirs."""
    monkeypatch.setattr(pools, "SLOW_S", 0.01)
    slow = [pool.submit(read, Connection()) for _ in range(4)]
    served = pool.submit(lambda _: "served", Connection())
    assert until(lambda: seen_to(pool) and served.done())
    assert (True, b"") == (until(lambda: any(future.done() for future in slow)), slow[0].result(10))


def test_threads_more_than_asked_for_go_again(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without work they end after a while."""
    monkeypatch.setattr(pools, "EXTRA_IDLE_S", 0.01)
    conns = [Connection() for _ in range(2)]
    for conn in conns:
        pool.submit(read, conn)
    served = pool.submit(lambda _: None, Connection())
    assert until(lambda: seen_to(pool) and served.done())
    for conn in conns:
        conn.client.sendall(b"x")
    assert until(lambda: pool.threads == 2)


def test_an_error_is_the_futures(pool: Pool) -> None:
    """A thread survives what it is given to do."""
    futures = [pool.submit(lambda _: 1 // 0, Connection()) for _ in range(4)]
    assert [ZeroDivisionError] * 4 == [type(future.exception(10)) for future in futures]


def test_the_kernel_counts_what_moved() -> None:
    """Both directions count; what is no TCP socket counts nothing."""
    conn = Connection()
    before = moved(conn.sock)
    conn.client.sendall(b"x" * 100)
    conn.sock.recv(100)
    conn.sock.sendall(b"y" * 11)
    conn.client.recv(11)
    assert (True, 0) == (until(lambda: moved(conn.sock) - before == 111), moved(socket.socketpair()[0]))
