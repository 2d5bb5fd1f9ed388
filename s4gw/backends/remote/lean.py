"""The short way to the upstream for operations on objects: own signature, own connections, the same model.

boto3 takes 1 ms of CPU for a small request; this takes a tenth of it. It is made of the tables that the gateway
speaks S3 by, so a parameter means what it means there. It covers the plain case only: bodies in memory, no checksum to
compute, answers that settle the matter. Everything else, and every failure that another attempt could mend, is left to
boto3 (`None`), which knows about redirects, retries, clocks and credentials that have run out.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlsplit

from s4gw.auth import OutgoingSigner
from s4gw.backends.bodies import Buffer
from s4gw.backends.remote.errors import OURS
from s4gw.backends.remote.wire import NotSentError, Pool, Reply
from s4gw.s3.scalars import READ, WRITE, parse_http_date
from s4gw.s3.shapes import OPERATIONS, Kind, Member, Message, input_of, output_of

LEAN: Final = frozenset({"DeleteObject", "GetObject", "HeadObject", "PutObject", "UploadPart"})
ERROR_BYTES_MAX: Final = 64 * 1024
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_META: Final = "x-amz-meta-"
_SENDABLE: Final = re.compile(r"[\x20-\x7e]*")
_CODE: Final = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_BOTO3_ONLY: Final = frozenset({"ChecksumAlgorithm", "SSECustomerKey", "CopySourceSSECustomerKey"})
"""Parameters that boto3 makes something else of."""
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]{3,255}")
"""SECURITY: a bucket stands in the request line and in a host name as it is."""
_REFUSED: Final = 300
_NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True)
class LeanKeys:
    """Credentials as they are now."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True, slots=True)
class LeanAnswer:
    """What the upstream said; an error has a code and no result."""

    status: int
    headers: Mapping[str, str]
    code: str
    result: dict[str, Any]


class Lean:
    """Sends hot operations without boto3. Safe to use from any thread of the process that made it.

    Args:
        endpoint_url: Of the upstream.
        pool: Connections there.
        region: To sign for.
        virtual: The bucket stands in the host name.
        sign_payload: Bodies are hashed for the signature.
        keys: Gives the credentials of the moment, None when there are none.
        clock: Seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913
        self,
        endpoint_url: str,
        pool: Pool,
        *,
        region: str,
        virtual: bool,
        sign_payload: bool,
        keys: Callable[[], LeanKeys | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(endpoint_url)
        self.pool = pool
        self._host = parts.netloc
        self._hostname = parts.hostname or ""
        self._base = quote(parts.path.rstrip("/"), safe="/%~")
        self._region = region
        self._virtual = virtual
        self._sign_payload = sign_payload
        self._keys = keys
        self._clock = clock
        self._signer: tuple[LeanKeys, OutgoingSigner] | None = None
        self._now = (0, "")

    def call(self, operation: str, params: Mapping[str, Any]) -> LeanAnswer | None:
        """Try *operation*; *params* in boto3's shape.

        Returns: the answer; None when boto3 has to carry it out, whether something was sent or not.
        Raises: NotSentError, OSError, HTTPException, when there was no answer.
        """
        keys = self._keys()
        request = None if keys is None else self._request(operation, params)
        if keys is None or request is None:
            return None
        method, host, path, query, headers, body = request
        hostname = f"{params['Bucket']}.{self._hostname}" if self._virtual else self._hostname
        head = self._head(keys, method, path, query, headers | {"host": host}, body)
        reply = self.pool.request(hostname, method, head, body)
        if reply.status >= _REFUSED:
            return _refused(reply, head_only=method == "HEAD")
        result = _result(operation, reply)
        if operation == "GetObject":
            result["Body"] = reply.body
        else:
            reply.body.read()
        return LeanAnswer(reply.status, reply.headers, "", result)

    def _request(
        self, operation: str, params: Mapping[str, Any]
    ) -> tuple[str, str, str, str, dict[str, str], Sequence[Buffer]] | None:
        """Method, host, path, query, headers and pieces of the body; None for what is boto3's to say."""
        body = params.get("Body", ())
        bucket = params["Bucket"]
        if isinstance(body, bytes | bytearray | memoryview):
            body = (body,)
        if not isinstance(body, list | tuple) or not _BOTO3_ONLY.isdisjoint(params):
            return None
        message, method, fixed = _plan(operation)
        headers: dict[str, str] = {}
        query: list[str] = [fixed] if fixed else []
        members = _members(operation)
        for name, value in params.items():
            if name in ("Bucket", "Key", "Body", "ContentLength"):
                continue
            if message.metadata is not None and name == message.metadata.name:
                headers.update({_META + key: text for key, text in value.items()})
                continue
            found = members.get(name)
            if found is None:
                return None
            member, in_query = found
            text = WRITE[member.shape.kind](member.shape, value)
            if in_query:
                query.append(f"{quote(member.wire, safe='-_.~')}={quote(text, safe='-_.~')}")
            else:
                headers[member.wire.lower()] = text
        if not _BUCKET.fullmatch(bucket) or not _SENDABLE.fullmatch("".join(headers.values())):
            return None
        key = quote(params["Key"], safe="/-_.~")
        path = f"{self._base}/{key}" if self._virtual else f"{self._base}/{bucket}/{key}"
        host = f"{bucket}.{self._host}" if self._virtual else self._host
        return method, host, path, "&".join(query), headers, body

    def _head(  # noqa: PLR0913
        self,
        keys: LeanKeys,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        body: Sequence[Buffer],
    ) -> bytes:
        """Request line and headers, signed."""
        timestamp = self._timestamp()
        size = sum(map(len, body))
        payload_hash = _UNSIGNED if size else _EMPTY_SHA256
        if size and self._sign_payload:
            digest = hashlib.sha256()
            for piece in body:
                digest.update(piece)
            payload_hash = digest.hexdigest()
        headers["x-amz-date"] = timestamp
        headers["x-amz-content-sha256"] = payload_hash
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        kept = self._signer
        if kept is None or kept[0] != keys:
            kept = self._signer = (keys, OutgoingSigner(keys.access_key, keys.secret_key, self._region))
        headers["authorization"] = kept[1].authorization(method, path, query, headers, payload_hash, timestamp)
        lines = [f"{method} {path}{'?' if query else ''}{query} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "PUT":
            lines.append(f"content-length: {size}")
        lines.append("accept-encoding: identity\r\nuser-agent: s4gw\r\n\r\n")
        return "\r\n".join(lines).encode("latin-1")

    def _timestamp(self) -> str:
        """Now, as ``x-amz-date`` has it."""
        second = int(self._clock())
        kept, text = self._now
        if kept != second:
            text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._now = (second, text)
        return text


@cache
def _plan(operation: str) -> tuple[Message, str, str]:
    """Input, method and fixed query of *operation*."""
    http_entry = OPERATIONS[operation]["http"]
    return input_of(operation), http_entry["method"], http_entry["requestUri"].partition("?")[2]


@cache
def _members(operation: str) -> Mapping[str, tuple[Member, bool]]:
    """boto3's name -> the member, and whether it travels in the query."""
    message = input_of(operation)
    found = {member.name: (member, False) for member in message.headers.values()}
    return found | {member.name: (member, True) for member in message.query.values()}


@cache
def _answered(operation: str) -> tuple[Mapping[str, Member], str]:
    """Lower-case header -> member of the output, and the name of its metadata."""
    message = output_of(operation)
    if message is None:
        return {}, ""
    return message.headers, message.metadata.name if message.metadata else ""


def _result(operation: str, reply: Reply) -> dict[str, Any]:
    """The output in boto3's shape, without a body."""
    known, metadata_name = _answered(operation)
    result: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for name, text in reply.headers.items():
        member = known.get(name)
        if member is not None:
            try:
                kind = member.shape.kind
                result[member.name] = text if kind is Kind.STRING else READ[kind](member.shape, text)
            except ValueError:
                continue
        elif name.startswith(_META):
            metadata[name[len(_META) :]] = text
    if metadata_name:
        result[metadata_name] = metadata
    if "Expires" in result:  # boto3 gives both, the first only where it is a date
        text = result["ExpiresString"] = result.pop("Expires")
        moment = parse_http_date(text)
        if moment is not None:
            result["Expires"] = moment
    return result


def _refused(reply: Reply, *, head_only: bool) -> LeanAnswer | None:
    """The answer to a request that the upstream did not carry out, when it settles the matter."""
    status = reply.status
    body = b"" if head_only else reply.body.read(ERROR_BYTES_MAX)
    reply.body.close()
    found = _CODE.search(body)
    code = found.group(1).decode() if found else str(status)
    mendable = status >= 500 or status == 429 or (status < 400 and status != _NOT_MODIFIED)  # noqa: PLR2004
    if mendable or code in OURS or (head_only and status == 400):  # noqa: PLR2004 - what S3 says in the wrong region
        return None
    return LeanAnswer(status, reply.headers, code, {})


def goes_direct(endpoint_url: str) -> bool:
    """Whether no proxy stands between; boto3 knows how to talk to one."""
    parts = urlsplit(endpoint_url)
    host = parts.hostname or ""
    return parts.scheme not in urllib.request.getproxies() or bool(urllib.request.proxy_bypass(host))


FAILURES: Final = (OSError, http.client.HTTPException)
"""No answer."""

__all__ = ["FAILURES", "LEAN", "Lean", "LeanAnswer", "LeanKeys", "NotSentError", "goes_direct"]
