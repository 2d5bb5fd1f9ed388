"""Requests to the upstream, by S3's operation names and in boto3's shapes: `Upstream.call`.

Whatever goes wrong comes out as a class of `s4gw.s3.errors`; what concerns the way to the upstream rather than the
request is `UpstreamUnavailable`. An upstream's texts, hosts and request ids never stand in results or errors: they go
to the `observer`, which the log and the metrics listen through.

Connections must not be shared over a fork, so clients are made on first use in each process and shared by its threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore import exceptions as boto_errors
from botocore import xform_name

from s4gw.backends.remote.body import UpstreamBody
from s4gw.backends.remote.breaker import Breaker
from s4gw.backends.remote.clients import Clients
from s4gw.backends.remote.conditions import WriteConditions
from s4gw.backends.remote.config import UpstreamSettings
from s4gw.backends.remote.errors import OURS, UpstreamUnavailable, label_of, translate
from s4gw.backends.remote.lean import FAILURES, LEAN, Lean, NotSentError
from s4gw.s3.errors import InternalError, InvalidRequest, S3Error, ServiceUnavailable
from s4gw.s3.errors import NotImplemented as S3NotImplemented

_NOT_SENT: Final = (
    boto_errors.ConnectTimeoutError,
    boto_errors.EndpointConnectionError,
    boto_errors.NoCredentialsError,
    boto_errors.PartialCredentialsError,
    boto_errors.ProxyConnectionError,
)
"""Failures before the upstream can have seen the request."""
_NO_CREDENTIALS: Final = (
    boto_errors.CredentialRetrievalError,
    boto_errors.NoCredentialsError,
    boto_errors.PartialCredentialsError,
)
_STREAMED: Final = "Body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One finished call, for logs and metrics. Never shown to a client."""

    operation: str
    bucket: str
    status: int
    """Of the answer, 0 when there was none."""
    code: str
    """The upstream's error code or the failure's name, one of a bounded set; empty when all went well."""
    request_id: str
    """The upstream's."""
    attempts: int
    seconds: float
    """Until the answer's headers were there."""

    @property
    def failed(self) -> bool:
        """It says something about the upstream or about how the gateway asks, rather than about the request."""
        return bool(self.code) and (self.status == 0 or self.status >= InternalError.status or self.code in OURS)


Observer = Callable[[Answered], None]


def _ignore(_answered: Answered) -> None:
    """Nobody listens."""


class Upstream:
    """The upstream of one process and, after a fork, of its child. Safe to use from any thread.

    Args:
        settings: Where and how.
        observer: Told of every call, in the calling thread.
        breaker: Refuses calls while the upstream is down.
        notice: Told in words what an operator should know about the upstream.
        prepare: Gets each new boto3 client; tests put their transport in here.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        *,
        observer: Observer = _ignore,
        breaker: Breaker | None = None,
        notice: Callable[[str], None] = lambda _text: None,
        prepare: Callable[[Any], None] | None = None,
    ) -> None:
        self.settings = settings
        self._observer = observer
        self.breaker = Breaker() if breaker is None else breaker
        self._conditions = WriteConditions(self.call, notice)
        self._prepare = prepare
        self._lock = threading.Lock()
        self._pid = 0
        self._made: Clients | None = None

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        """Carry *operation* out upstream.

        Args:
            operation: In S3's spelling: "PutObject".
            params: In boto3's shape; None means absent. A ``Body`` is bytes-like, a list of such or a seekable
                readable. ``CopySource`` is a dict, as boto3 would quote a string a second time.

        Returns: the output in boto3's shape, without ``ResponseMetadata`` and ``Location``. GetObject's ``Body`` is
            an `UpstreamBody`, which the caller reads to its end or closes.
        Raises: classes of `s4gw.s3.errors`; `UpstreamUnavailable` when there is no answer.
        """
        given = {name: value for name, value in params.items() if value is not None}
        self._conditions.hold(operation, given)
        probe = self.breaker.enter()
        try:
            result = self._carry_out(operation, given)
        except S3Error as error:
            if _is_down(error):
                self.breaker.failed(probe=probe)
            elif error.status < InternalError.status:
                self.breaker.succeeded()
            else:
                self.breaker.undecided(probe=probe)
            raise
        except BaseException:
            self.breaker.undecided(probe=probe)
            raise
        self.breaker.succeeded()
        return result

    def check(self) -> None:
        """Return when the upstream answers and knows the gateway. Raises: UpstreamUnavailable."""
        try:
            self.call("ListBuckets", MaxBuckets=1)
        except S3Error as error:
            if isinstance(error, ServiceUnavailable):
                raise
            if error.status >= InternalError.status and error.status != S3NotImplemented.status:
                raise UpstreamUnavailable from error

    def _carry_out(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """One call, with as many attempts as are set."""
        started = time.monotonic()
        clients = self._clients()
        if clients.lean is not None and operation in LEAN:
            answer = self._try_lean(clients.lean, operation, given, started)
            if answer is not None:
                return answer
        sent = given.get(_STREAMED)
        if isinstance(sent, memoryview):
            given[_STREAMED] = bytes(sent)
        elif isinstance(sent, list):
            given[_STREAMED] = b"".join(sent)
        try:
            result: dict[str, Any] = getattr(clients.boto3(), xform_name(operation))(**given)
        except boto_errors.ClientError as error:
            raise self._refused(operation, given, started, error.response) from error
        except boto_errors.ParamValidationError as error:
            raise InvalidRequest from error  # what our client sent cannot be said to S3
        except boto_errors.BotoCoreError as error:
            self._tell(operation, given, started, {}, type(error).__name__)
            raise UpstreamUnavailable(
                sent=not isinstance(error, _NOT_SENT), ours=isinstance(error, _NO_CREDENTIALS)
            ) from error
        self._tell(operation, given, started, result.pop("ResponseMetadata", {}), "")
        result.pop("Location", None)  # names the upstream's host
        if _STREAMED in result:
            result[_STREAMED] = UpstreamBody(result[_STREAMED], result.get("ContentLength"))
        return result

    def _try_lean(self, lean: Lean, operation: str, given: dict[str, Any], started: float) -> dict[str, Any] | None:
        """The short way. Returns: the output, or None when boto3 has to do it. Raises: S3Error."""
        try:
            answer = lean.call(operation, given)
        except FAILURES as error:
            if self.settings.attempts > 1:
                return None
            self._tell(operation, given, started, {}, type(error).__name__)
            raise UpstreamUnavailable(sent=not isinstance(error, NotSentError)) from error
        if answer is None:
            return None
        headers = answer.headers
        metadata = {"HTTPStatusCode": answer.status, "RequestId": headers.get("x-amz-request-id", "")}
        self._tell(operation, given, started, metadata, answer.code and label_of(answer.code))
        if answer.code:
            raise translate(answer.code, answer.status, given, headers)
        result = answer.result
        if _STREAMED in result:
            result[_STREAMED] = UpstreamBody(result[_STREAMED], result.get("ContentLength"))
        return result

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None and self._pid == os.getpid():
            made.close()

    # -- what happened -----------------------------------------------------------------------------------------------
    def _refused(
        self, operation: str, params: Mapping[str, Any], started: float, response: Mapping[str, Any]
    ) -> S3Error:
        code = str(response.get("Error", {}).get("Code", ""))
        metadata = response.get("ResponseMetadata", {})
        self._tell(operation, params, started, metadata, label_of(code))
        return translate(code, metadata.get("HTTPStatusCode", 500), params, metadata.get("HTTPHeaders", {}))

    def _tell(
        self, operation: str, params: Mapping[str, Any], started: float, metadata: Mapping[str, Any], code: str
    ) -> None:
        self._observer(
            Answered(
                operation=operation,
                bucket=str(params.get("Bucket", "")),
                status=int(metadata.get("HTTPStatusCode", 0)),
                code=code,
                request_id=str(metadata.get("RequestId", "")),
                attempts=int(metadata.get("RetryAttempts", 0)) + 1,
                seconds=time.monotonic() - started,
            )
        )

    # -- the client --------------------------------------------------------------------------------------------------
    def _clients(self) -> Clients:
        """Of this process. Raises: InternalError, when the settings make none."""
        pid = os.getpid()
        if self._pid != pid or self._made is None:
            with self._lock:
                if self._pid != pid or self._made is None:
                    # Clients inherited over a fork are dropped without being closed: their sockets are the parent's.
                    self._made = Clients(self.settings, self._prepare)
                    self._pid = pid
        return self._made


def _is_down(error: S3Error) -> bool:
    """Whether it says that the upstream does not work."""
    return isinstance(error, ServiceUnavailable) and not (isinstance(error, UpstreamUnavailable) and error.ours)
