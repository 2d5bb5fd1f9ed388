"""Version ids cannot be guessed or meet each other, however many are made at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from s4gw.backends.embedded.base import nonce
from s4gw.store import NONCE_BYTES


def test_each_is_given_once() -> None:
    """Also to threads that ask at the same time."""
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: nonce(), range(2000)))
    assert ({NONCE_BYTES}, len(made)) == ({len(one) for one in made}, len(set(made)))


def test_a_child_process_makes_its_own() -> None:
    """What the parent had ready is the parent's."""
    nonce()  # some are ready now
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"".join(nonce() for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 100 * NONCE_BYTES)
    os.close(reading)
    os.close(writing)
    ours = {nonce() for _ in range(300)}
    assert ours.isdisjoint(theirs[at : at + NONCE_BYTES] for at in range(0, len(theirs), NONCE_BYTES))
