"""Upstreams without a network: one that answers by script, and a whole gateway of ours over a memory backend."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse

from s4gw.backends import MemoryBackend
from s4gw.backends.remote import Answered, Upstream, UpstreamSettings
from s4gw.backends.remote.breaker import Breaker
from s4gw.gateway.app import create_app
from tests.gateway.in_process import InProcess, Raw
from tests.gateway.kit import ALICE, make_services

ENDPOINT = "http://upstream.test"


@dataclass
class Script:
    """A transport that gives the next answer of *answers*; an exception is raised. Requests are kept in `seen`."""

    answers: list[Any]
    seen: list[Any] = field(default_factory=list)

    def send(self, request: Any, **_context: Any) -> AWSResponse:
        self.seen.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, headers, body = answer
        return AWSResponse(request.url, status, headers, body if hasattr(body, "read") else Raw(body))


def error_answer(status: int, code: str, *, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """An error document as S3 sends it, with what must not reach a client."""
    body = (
        f"<Error><Code>{code}</Code><Message>secret text</Message><RequestId>UP1</RequestId>"
        "<HostId>upstream.test</HostId></Error>"
    )
    return status, {"x-amz-request-id": "UP1", **(headers or {})}, body.encode()


def scripted(
    answers: list[Any],
    *,
    told: list[Answered] | None = None,
    attempts: int = 1,
    breaker: Breaker | None = None,
    notice: Callable[[str], None] = lambda _text: None,
) -> tuple[Upstream, Script]:
    """An upstream that answers by script."""
    script = Script(answers)
    upstream = Upstream(
        UpstreamSettings(endpoint_url=ENDPOINT, addressing="path", attempts=attempts),
        observer=(lambda _: None) if told is None else told.append,
        breaker=breaker,
        notice=notice,
        prepare=sent_by(script.send),
    )
    return upstream, script


def sent_by(send: Callable[..., AWSResponse]) -> Callable[[Any], None]:
    """Make boto3 clients send through *send* instead of a socket."""
    return lambda client: client.meta.events.register("before-send.s3", send)


def own_gateway(backend: MemoryBackend | None = None) -> Iterator[Upstream]:
    """A gateway of ours as upstream, in this process. boto3 speaks to it as to any other; nothing is scripted.

    The caller sets ALICE's key pair in the environment (see the fixture ``upstream``).
    """
    services = make_services(backend=backend, clock=time.time)
    upstream = Upstream(
        UpstreamSettings(endpoint_url=ENDPOINT, addressing="path", attempts=1),
        prepare=sent_by(InProcess(create_app(services)).send),
    )
    yield upstream
    upstream.close()
    services.objects.close()


def credentials() -> dict[str, str]:
    """What AWS's chain is to find."""
    return {"AWS_ACCESS_KEY_ID": ALICE.access_key, "AWS_SECRET_ACCESS_KEY": ALICE.secret_key}


def quiet_log() -> io.StringIO:
    """Where a test's log lines go."""
    return io.StringIO()
