"""Requests as middleware sees them, over a backend in memory, without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry

from s4gw.auth import ANONYMOUS, Identity, Principal
from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.backends.memory import MemoryBackend
from s4gw.gateway.middleware.authorization import PolicyAuthorizer
from s4gw.gateway.request import S3Request
from s4gw.observability.metrics import Metrics
from s4gw.policy import Policy, canned_acl, parse_network

ALICE = Principal("AKALICE", "alice", "alice-id")
BOB = Principal("AKBOB", "bob", "bob-id")
NOBODY = ANONYMOUS
NOW = 1_700_000_000.0


class World:
    """A backend with a bucket ``b`` of Alice's, and an authorizer that counts."""

    def __init__(self, *, policy: Policy | None = None, proxies: tuple[str, ...] = ()) -> None:
        self.backend = MemoryBackend()
        self.metrics = Metrics(CollectorRegistry())
        self.authorizer = PolicyAuthorizer(
            self.backend,
            metrics=self.metrics,
            clock=lambda: NOW,
            policy=policy,
            trusted_proxies=[parse_network(text) for text in proxies],
        )
        self.bucket("b")

    def bucket(self, name: str, owner: str = "alice-id", acl: str = "", **configs: bytes) -> None:
        """Make a bucket."""
        if acl:
            configs["acl"] = canned_acl(acl, owner=owner).to_json()
        self.backend.create_bucket(BucketInfo(name=name, owner=owner, created_ms=0, configs=configs))

    def object(self, bucket: str, key: str, owner: str = "alice-id", acl: str = "", **tags: str) -> None:
        """Make an object."""
        document = canned_acl(acl, owner=owner, bucket_owner="alice-id").to_json() if acl else b""
        writer = self.backend.open_writer(bucket, key, ObjectMeta())
        self.backend.put_object(
            bucket, key, writer, size=0, etag="e", meta=ObjectMeta(owner=owner, acl=document, tags=tags)
        )

    def request(
        self,
        who: Principal,
        *,
        bucket: str = "b",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        environ: Mapping[str, Any] | None = None,
        secure: bool = False,
    ) -> S3Request:
        """A request of *who*'s, as authorization finds it."""
        kind = "anonymous" if who.anonymous else "header"
        return cast(
            "S3Request",
            SimpleNamespace(
                identity=Identity(principal=who, auth_type=cast("Any", kind)),
                bucket=bucket,
                bucket_info=None,
                header_map=dict(headers or {}),
                query=dict(query or {}),
                env={"REMOTE_ADDR": "10.0.0.9", **(environ or {})},
                secure=secure,
                looked_up={},
            ),
        )

    def ask(
        self,
        who: Principal,
        operation: str,
        *,
        bucket: str = "b",
        key: str = "",
        version_id: str | None = None,
        **request: Any,
    ) -> None:
        """Authorize one request of its own."""
        self.authorizer.authorize(self.request(who, bucket=bucket, **request), operation, bucket, key, version_id)
