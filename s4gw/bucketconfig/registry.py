"""Which sub-resources of a bucket are kept, and which are refused and why.

A configuration is *stored* only when the gateway does what it says, or when it says nothing that anybody relies on.
One that would promise safety, durability or a notification that never comes is *refused*: the client learns at once.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from s4gw.s3.errors import (
    NoSuchBucketPolicy,
    NoSuchConfiguration,
    NoSuchCORSConfiguration,
    NoSuchLifecycleConfiguration,
    NoSuchPublicAccessBlockConfiguration,
    NoSuchTagSet,
    NoSuchWebsiteConfiguration,
    ObjectLockConfigurationNotFoundError,
    OwnershipControlsNotFoundError,
    ReplicationConfigurationNotFoundError,
    S3Error,
    ServerSideEncryptionConfigurationNotFoundError,
)


@dataclass(frozen=True, slots=True)
class SubResource:
    """One sub-resource.

    Attributes:
        name: As in the query string, and in ``BucketInfo.configs``.
        get: Operation that reads it; empty strings where there is none.
        put: Operation that sets it.
        delete: Operation that removes it.
        missing: Error of reading what was never set; None when S3 answers with a default.
        refused: Why setting it is NotImplemented; empty when it is stored.
    """

    name: str
    get: str
    put: str
    delete: str = ""
    missing: type[S3Error] | None = None
    refused: str = ""

    @property
    def stored(self) -> bool:
        """The gateway keeps it and acts on it."""
        return not self.refused

    @property
    def operations(self) -> Iterator[str]:
        """Its operations, those that exist."""
        return (name for name in (self.get, self.put, self.delete) if name)


def _numbered(name: str, word: str, reason: str) -> SubResource:
    """A sub-resource with many numbered configurations."""
    return SubResource(
        name,
        f"GetBucket{word}Configuration",
        f"PutBucket{word}Configuration",
        f"DeleteBucket{word}Configuration",
        NoSuchConfiguration,
        reason,
    )


_TABLE: Final = (
    # -- kept, and acted upon -------------------------------------------------------------------------------------
    SubResource("acl", "GetBucketAcl", "PutBucketAcl"),
    SubResource("cors", "GetBucketCors", "PutBucketCors", "DeleteBucketCors", NoSuchCORSConfiguration),
    SubResource(
        "lifecycle",
        "GetBucketLifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
        "DeleteBucketLifecycle",
        NoSuchLifecycleConfiguration,
    ),
    SubResource(
        "ownershipControls",
        "GetBucketOwnershipControls",
        "PutBucketOwnershipControls",
        "DeleteBucketOwnershipControls",
        OwnershipControlsNotFoundError,
    ),
    SubResource(
        "object-lock",
        "GetObjectLockConfiguration",
        "PutObjectLockConfiguration",
        missing=ObjectLockConfigurationNotFoundError,
    ),
    SubResource("policy", "GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy", NoSuchBucketPolicy),
    SubResource(
        "publicAccessBlock",
        "GetPublicAccessBlock",
        "PutPublicAccessBlock",
        "DeletePublicAccessBlock",
        NoSuchPublicAccessBlockConfiguration,
    ),
    # Only the owner pays, which is what happens anyway; "Requester" is refused by its own check.
    SubResource("requestPayment", "GetBucketRequestPayment", "PutBucketRequestPayment"),
    SubResource("tagging", "GetBucketTagging", "PutBucketTagging", "DeleteBucketTagging", NoSuchTagSet),
    SubResource("versioning", "GetBucketVersioning", "PutBucketVersioning"),
    # -- refused: what they promise would not happen --------------------------------------------------------------
    SubResource(
        "accelerate",
        "GetBucketAccelerateConfiguration",
        "PutBucketAccelerateConfiguration",
        refused="There is no second network path to accelerate with.",
    ),
    SubResource("abac", "GetBucketAbac", "PutBucketAbac", refused="Bucket tags do not take part in access decisions."),
    SubResource(
        "encryption",
        "GetBucketEncryption",
        "PutBucketEncryption",
        "DeleteBucketEncryption",
        ServerSideEncryptionConfigurationNotFoundError,
        "Server-side encryption is not implemented; objects would be stored in clear.",
    ),
    SubResource(
        "logging", "GetBucketLogging", "PutBucketLogging", refused="Server access logs are not delivered to buckets."
    ),
    SubResource(
        "notification",
        "GetBucketNotificationConfiguration",
        "PutBucketNotificationConfiguration",
        refused="Events are not sent.",
    ),
    SubResource(
        "replication",
        "GetBucketReplication",
        "PutBucketReplication",
        "DeleteBucketReplication",
        ReplicationConfigurationNotFoundError,
        "Objects are not replicated.",
    ),
    SubResource(
        "website",
        "GetBucketWebsite",
        "PutBucketWebsite",
        "DeleteBucketWebsite",
        NoSuchWebsiteConfiguration,
        "There is no website endpoint that would serve it.",
    ),
    _numbered("analytics", "Analytics", "Storage class analysis is not carried out."),
    _numbered("intelligent-tiering", "IntelligentTiering", "There are no tiers to move objects between."),
    _numbered("inventory", "Inventory", "Inventories are not written."),
    _numbered("metrics", "Metrics", "Request metrics are at /metrics, for the whole gateway."),
)

SUB_RESOURCES: Final[Mapping[str, SubResource]] = {row.name: row for row in _TABLE}
"""By name in the query string."""
