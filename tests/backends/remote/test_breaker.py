"""The circuit breaker: fast refusals while the upstream is down, and a way back without help."""

from __future__ import annotations

import pytest
from botocore import exceptions as boto_errors

from s4gw.backends.remote import Upstream, UpstreamUnavailable
from s4gw.backends.remote.breaker import FAILURES_MAX, OPEN_S, OPEN_S_MAX, Breaker, State
from s4gw.s3 import errors
from tests.backends.remote.kit import ENDPOINT, error_answer, scripted
from tests.backends.remote.test_buckets import PLAIN, Clock

DOWN = boto_errors.EndpointConnectionError(endpoint_url=ENDPOINT)


def opened(clock: Clock) -> tuple[Breaker, list[bool]]:
    """A breaker that has just opened, and what it told."""
    told: list[bool] = []
    breaker = Breaker(clock=clock, changed=told.append)
    for _ in range(FAILURES_MAX):
        breaker.enter()
        breaker.failed()
    return breaker, told


def test_it_opens_after_failures_in_a_row() -> None:
    """One success between them starts the count again."""
    breaker = Breaker(clock=Clock())
    for _ in range(FAILURES_MAX - 1):
        breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert (State.CLOSED, State.OPEN) == (breaker.state, opened(Clock())[0].state)


def test_open_it_refuses_at_once_and_says_until_when() -> None:
    """503 with Retry-After, in whole seconds."""
    breaker, told = opened(Clock())
    with pytest.raises(UpstreamUnavailable) as caught:
        breaker.enter()
    assert ("1", [True]) == (caught.value.headers["Retry-After"], told)


def test_one_probe_closes_it() -> None:
    """While the probe is on its way the others are still refused."""
    clock = Clock()
    breaker, told = opened(clock)
    clock.now += OPEN_S
    probe = breaker.enter()
    with pytest.raises(UpstreamUnavailable):
        breaker.enter()
    breaker.succeeded()
    assert (True, False, [True, False]) == (probe, breaker.enter(), told)


def test_a_failed_probe_doubles_the_wait() -> None:
    """Up to a bound."""
    clock = Clock()
    breaker, _ = opened(clock)
    waits = []
    for _ in range(8):
        while True:
            try:
                breaker.enter()
            except UpstreamUnavailable as error:
                waits.append(int(error.headers["Retry-After"]))
                clock.now += waits[-1]
            else:
                break
        breaker.failed(probe=True)
    assert [1, 2, 4, 8, 16, 30, 30, 30] == waits
    assert OPEN_S_MAX == waits[-1]


def test_a_straggler_does_not_count_as_the_probe() -> None:
    """What began before the breaker opened says nothing new."""
    clock = Clock()
    breaker, _ = opened(clock)
    clock.now += OPEN_S
    breaker.enter()
    breaker.failed()
    assert State.PROBING is breaker.state


def test_a_probe_without_a_verdict_lets_the_next_call_probe() -> None:
    """A request that could not be said to S3, or a 500 of one object."""
    clock = Clock()
    breaker, _ = opened(clock)
    clock.now += OPEN_S
    breaker.undecided(probe=breaker.enter())
    assert breaker.enter()


def failing(upstream: Upstream, times: int) -> None:
    for _ in range(times):
        with pytest.raises(errors.S3Error):
            upstream.call("GetBucketVersioning", Bucket="b-1")


def test_calls_go_through_it() -> None:
    """Down: no request is sent; up again: one is, and all are from then on."""
    clock = Clock()
    upstream, script = scripted([DOWN] * FAILURES_MAX + [PLAIN] * 2, breaker=Breaker(clock=clock))
    failing(upstream, FAILURES_MAX + 3)
    sent = len(script.seen)
    clock.now += OPEN_S
    for _ in range(2):
        upstream.call("GetBucketVersioning", Bucket="b-1")
    assert (FAILURES_MAX, FAILURES_MAX + 2) == (sent, len(script.seen))


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (error_answer(503, "ServiceUnavailable"), State.OPEN),
        (error_answer(502, "BadGateway"), State.OPEN),
        (error_answer(503, "SlowDown"), State.CLOSED),
        (error_answer(500, "InternalError"), State.CLOSED),
        (error_answer(404, "NoSuchBucket"), State.CLOSED),
        (error_answer(403, "InvalidAccessKeyId"), State.CLOSED),
    ],
)
def test_only_a_dead_upstream_opens_it(answer: object, state: State) -> None:
    """Not one that refuses, throttles, or fails on one object."""
    breaker = Breaker(clock=Clock())
    upstream, _ = scripted([answer] * FAILURES_MAX, breaker=breaker)
    failing(upstream, FAILURES_MAX)
    assert state is breaker.state
