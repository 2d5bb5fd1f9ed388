"""What happens below is tied to the request that it happens for."""

from __future__ import annotations

import threading
from contextvars import copy_context

from s4gw.observability import begin, current
from s4gw.observability.link import IDS_MAX


def test_a_thread_works_for_the_request_it_began() -> None:
    """Others for theirs, or for none; whoever runs in its context works for it too."""
    link = begin("R1")
    seen = []
    contexts = (copy_context().run, lambda work: work())
    for run in contexts:
        thread = threading.Thread(target=lambda run=run: seen.append(run(current)))
        thread.start()
        thread.join()
    assert ([link, None], link) == (seen, current())


def test_ids_are_bounded_and_all_are_counted() -> None:
    """A line of the log stays a line."""
    link = begin("R1")
    for number in range(IDS_MAX + 5):
        link.add(f"UP{number}")
    link.add("")
    assert (IDS_MAX, IDS_MAX + 6, "UP0") == (len(link.ids), link.count, link.ids[0])
