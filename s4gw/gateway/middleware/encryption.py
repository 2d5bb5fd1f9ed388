"""Asks about every request that may write an object how it is to be encrypted; see `s4gw.bucketconfig.encryption`.

Which operations these are is not listed here: they need the permission to put an object, without which nothing is
written. Their resources describe what they write with `S3Request.encryption`, so that one that was not asked about
fails instead of storing in clear what was to be encrypted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from s4gw.bucketconfig import encryption
from s4gw.policy import ACTIONS, Target

if TYPE_CHECKING:
    import falcon

    from s4gw.bucketconfig.encryption import Encryption as Answer
    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services

WRITES: Final = frozenset(
    operation
    for operation, rules in ACTIONS.items()
    if any(rule.action == "s3:PutObject" and rule.target is Target.OBJECT for rule in rules)
)
READS: Final = frozenset({"GetObject", "GetObjectAttributes", "HeadObject"})


class Encryption:
    """Comes after authorization: whoever may not write is not told what is possible."""

    def __init__(self, services: Services) -> None:
        del services

    def process_resource(self, req: S3Request, _resp: falcon.Response, _resource: object, _params: object) -> None:
        name = req.operation.name
        if name in WRITES:
            req.encryption = decide(req, name, req.header_map)
        elif name in READS:
            encryption.check_read(req.header_map)


def decide(req: S3Request, operation: str, sent: Mapping[str, str]) -> Answer:
    """Answer for what *req* writes; a form brings its fields. Raises: as `s4gw.bucketconfig.encryption`."""
    if req.services.upstream is not None:
        return encryption.of_upstream(operation, sent)
    info = req.bucket_info
    return encryption.of_store(operation, None if info is None else info.configs.get(encryption.CONFIG), sent)
