"""Which permissions each S3 operation needs, as data.

Every operation that the router knows has a row here; a test fails on one without. A rule is one decision: an action
on a bucket, an object, or the source of a copy. An operation may go ahead when all rules that apply to the request
are allowed.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from s4gw.policy.acl import ACL_HEADERS


class Target(Enum):
    """What an action is done to."""

    SERVICE = "service"
    BUCKET = "bucket"
    NEW_BUCKET = "new bucket"
    """A bucket that the caller would own; one that exists under the name is not asked."""
    OBJECT = "object"
    SOURCE = "source"
    """The object that a header names, see `Rule.source`."""
    LATER = "later"
    """Known only from the body: the resource asks per key, under another operation."""


class When(Enum):
    """Which requests a rule applies to."""

    ALWAYS = "always"
    ACL = "an ACL header is given"
    TAGGING = "x-amz-tagging is given"
    OWNERSHIP = "x-amz-object-ownership is given"
    LOCK = "x-amz-bucket-object-lock-enabled is given"
    RETENTION = "x-amz-object-lock-mode is given"
    LEGAL_HOLD = "x-amz-object-lock-legal-hold is given"
    BYPASS = "x-amz-bypass-governance-retention is given"
    SOURCE_TAGS = "the source has tags and they are copied"


HEADERS_OF: Final[Mapping[When, Collection[str]]] = {
    When.ACL: ACL_HEADERS,
    # A form calls the tags of its object "tagging".
    When.TAGGING: ("x-amz-tagging", "tagging"),
    When.OWNERSHIP: ("x-amz-object-ownership",),
    When.LOCK: ("x-amz-bucket-object-lock-enabled",),
    When.RETENTION: ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"),
    When.LEGAL_HOLD: ("x-amz-object-lock-legal-hold",),
    When.BYPASS: ("x-amz-bypass-governance-retention",),
}
"""Headers that say that a request is one of these; the others apply whatever the headers are."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One decision to take."""

    action: str
    """In IAM's spelling."""
    target: Target
    versioned: str = ""
    """Action instead of `action` when the request names a version."""
    when: When = When.ALWAYS
    deny_only: bool = False
    """Comes with the right to create: only an explicit Deny refuses it."""
    initiator: bool = False
    """Also allowed to whoever started the multipart upload."""
    source: str = ""
    """Header that names the object of a rule on a source, as the operation itself reads it."""
    granted_with: str = ""
    """Action whose ACL grant covers this one too, for what access control lists cannot express."""


@dataclass(frozen=True, slots=True)
class AclNeed:
    """The grant that allows an action."""

    on_object: bool
    permission: str


def _bucket(action: str) -> tuple[Rule, ...]:
    return (Rule(f"s3:{action}", Target.BUCKET),)


def _object(action: str, versioned: str = "") -> tuple[Rule, ...]:
    return (Rule(f"s3:{action}", Target.OBJECT, f"s3:{versioned}" if versioned else ""),)


_READ: Final = _object("GetObject", "GetObjectVersion")
_PUT: Final = _object("PutObject")
_PUT_WITH: Final = (
    *_PUT,
    # The writer is to own the object, and an owner sets its ACL.
    Rule("s3:PutObjectAcl", Target.OBJECT, when=When.ACL, deny_only=True),
    Rule("s3:PutObjectTagging", Target.OBJECT, when=When.TAGGING, granted_with="s3:PutObject"),
    Rule("s3:PutObjectRetention", Target.OBJECT, when=When.RETENTION),
    Rule("s3:PutObjectLegalHold", Target.OBJECT, when=When.LEGAL_HOLD),
)
_COPY: Final = "x-amz-copy-source"
_RENAME: Final = "x-amz-rename-source"
_READ_SOURCE: Final = Rule("s3:GetObject", Target.SOURCE, "s3:GetObjectVersion", source=_COPY)
_INVENTORY_LIKE: Final = {
    "Analytics": "AnalyticsConfiguration",
    "IntelligentTiering": "IntelligentTieringConfiguration",
    "Inventory": "InventoryConfiguration",
    "Metrics": "MetricsConfiguration",
}
_METADATA_UPDATES: Final = ("Annotation", "Inventory", "Journal")

ACTIONS: Final[Mapping[str, tuple[Rule, ...]]] = {
    # -- service --------------------------------------------------------------------------------------------------
    "ListBuckets": (Rule("s3:ListAllMyBuckets", Target.SERVICE),),
    "ListDirectoryBuckets": (Rule("s3express:ListAllMyDirectoryBuckets", Target.SERVICE),),
    "WriteGetObjectResponse": (Rule("s3-object-lambda:WriteGetObjectResponse", Target.SERVICE),),
    # -- buckets --------------------------------------------------------------------------------------------------
    "CreateBucket": (
        Rule("s3:CreateBucket", Target.NEW_BUCKET),
        Rule("s3:PutBucketAcl", Target.NEW_BUCKET, when=When.ACL),
        Rule("s3:PutBucketOwnershipControls", Target.NEW_BUCKET, when=When.OWNERSHIP),
        Rule("s3:PutBucketObjectLockConfiguration", Target.NEW_BUCKET, when=When.LOCK),
    ),
    "HeadBucket": _bucket("ListBucket"),
    "DeleteBucket": _bucket("DeleteBucket"),
    "GetBucketLocation": _bucket("GetBucketLocation"),
    "ListObjects": _bucket("ListBucket"),
    "ListObjectsV2": _bucket("ListBucket"),
    "ListObjectVersions": _bucket("ListBucketVersions"),
    "ListMultipartUploads": _bucket("ListBucketMultipartUploads"),
    "CreateSession": (Rule("s3express:CreateSession", Target.BUCKET),),
    # -- bucket configuration -------------------------------------------------------------------------------------
    "GetBucketAbac": _bucket("GetBucketAbac"),
    "PutBucketAbac": _bucket("PutBucketAbac"),
    "GetBucketAccelerateConfiguration": _bucket("GetAccelerateConfiguration"),
    "PutBucketAccelerateConfiguration": _bucket("PutAccelerateConfiguration"),
    "GetBucketAcl": _bucket("GetBucketAcl"),
    "PutBucketAcl": _bucket("PutBucketAcl"),
    "GetBucketCors": _bucket("GetBucketCORS"),
    "PutBucketCors": _bucket("PutBucketCORS"),
    "DeleteBucketCors": _bucket("PutBucketCORS"),
    "GetBucketEncryption": _bucket("GetEncryptionConfiguration"),
    "PutBucketEncryption": _bucket("PutEncryptionConfiguration"),
    "DeleteBucketEncryption": _bucket("PutEncryptionConfiguration"),
    "GetBucketLifecycle": _bucket("GetLifecycleConfiguration"),
    "GetBucketLifecycleConfiguration": _bucket("GetLifecycleConfiguration"),
    "PutBucketLifecycle": _bucket("PutLifecycleConfiguration"),
    "PutBucketLifecycleConfiguration": _bucket("PutLifecycleConfiguration"),
    "DeleteBucketLifecycle": _bucket("PutLifecycleConfiguration"),
    "GetBucketLogging": _bucket("GetBucketLogging"),
    "PutBucketLogging": _bucket("PutBucketLogging"),
    "GetBucketNotification": _bucket("GetBucketNotification"),
    "GetBucketNotificationConfiguration": _bucket("GetBucketNotification"),
    "PutBucketNotification": _bucket("PutBucketNotification"),
    "PutBucketNotificationConfiguration": _bucket("PutBucketNotification"),
    "GetObjectLockConfiguration": _bucket("GetBucketObjectLockConfiguration"),
    "PutObjectLockConfiguration": _bucket("PutBucketObjectLockConfiguration"),
    "GetBucketOwnershipControls": _bucket("GetBucketOwnershipControls"),
    "PutBucketOwnershipControls": _bucket("PutBucketOwnershipControls"),
    "DeleteBucketOwnershipControls": _bucket("PutBucketOwnershipControls"),
    "GetBucketPolicy": _bucket("GetBucketPolicy"),
    "PutBucketPolicy": _bucket("PutBucketPolicy"),
    "DeleteBucketPolicy": _bucket("DeleteBucketPolicy"),
    "GetBucketPolicyStatus": _bucket("GetBucketPolicyStatus"),
    "GetPublicAccessBlock": _bucket("GetBucketPublicAccessBlock"),
    "PutPublicAccessBlock": _bucket("PutBucketPublicAccessBlock"),
    "DeletePublicAccessBlock": _bucket("PutBucketPublicAccessBlock"),
    "GetBucketReplication": _bucket("GetReplicationConfiguration"),
    "PutBucketReplication": _bucket("PutReplicationConfiguration"),
    "DeleteBucketReplication": _bucket("PutReplicationConfiguration"),
    "GetBucketRequestPayment": _bucket("GetBucketRequestPayment"),
    "PutBucketRequestPayment": _bucket("PutBucketRequestPayment"),
    "GetBucketTagging": _bucket("GetBucketTagging"),
    "PutBucketTagging": _bucket("PutBucketTagging"),
    "DeleteBucketTagging": _bucket("PutBucketTagging"),
    "GetBucketVersioning": _bucket("GetBucketVersioning"),
    "PutBucketVersioning": _bucket("PutBucketVersioning"),
    "GetBucketWebsite": _bucket("GetBucketWebsite"),
    "PutBucketWebsite": _bucket("PutBucketWebsite"),
    "DeleteBucketWebsite": _bucket("DeleteBucketWebsite"),
    **{f"GetBucket{name}Configuration": _bucket(f"Get{action}") for name, action in _INVENTORY_LIKE.items()},
    **{f"ListBucket{name}Configurations": _bucket(f"Get{action}") for name, action in _INVENTORY_LIKE.items()},
    **{f"PutBucket{name}Configuration": _bucket(f"Put{action}") for name, action in _INVENTORY_LIKE.items()},
    **{f"DeleteBucket{name}Configuration": _bucket(f"Put{action}") for name, action in _INVENTORY_LIKE.items()},
    **{
        f"{verb}BucketMetadata{table}Configuration": _bucket(f"{verb}BucketMetadataTableConfiguration")
        for verb in ("Create", "Get", "Delete")
        for table in ("", "Table")
    },
    **{
        f"UpdateBucketMetadata{table}TableConfiguration": _bucket(f"UpdateBucketMetadata{table}TableConfiguration")
        for table in _METADATA_UPDATES
    },
    # -- objects --------------------------------------------------------------------------------------------------
    "GetObject": _READ,
    "HeadObject": _READ,
    "GetObjectAttributes": (
        *_READ,
        Rule("s3:GetObjectAttributes", Target.OBJECT, "s3:GetObjectVersionAttributes"),
    ),
    "GetObjectTorrent": _object("GetObjectTorrent", "GetObjectVersionTorrent"),
    "SelectObjectContent": _object("GetObject"),
    "PutObject": _PUT_WITH,
    # A browser asks before it sends credentials; the answer comes from the bucket's CORS rules alone.
    "Preflight": (),
    "PostObject": (Rule("s3:PutObject", Target.LATER),),
    "CopyObject": (
        _READ_SOURCE,
        Rule("s3:GetObjectTagging", Target.SOURCE, "s3:GetObjectVersionTagging", When.SOURCE_TAGS, source=_COPY),
        *_PUT_WITH,
    ),
    "RenameObject": (
        Rule("s3:GetObject", Target.SOURCE, source=_RENAME),
        Rule("s3:DeleteObject", Target.SOURCE, source=_RENAME),
        *_PUT,
    ),
    "DeleteObject": (
        *_object("DeleteObject", "DeleteObjectVersion"),
        Rule("s3:BypassGovernanceRetention", Target.OBJECT, when=When.BYPASS),
    ),
    "DeleteObjects": (Rule("s3:DeleteObject", Target.LATER, "s3:DeleteObjectVersion"),),
    "RestoreObject": _object("RestoreObject"),
    "GetObjectAcl": _object("GetObjectAcl", "GetObjectVersionAcl"),
    "PutObjectAcl": _object("PutObjectAcl", "PutObjectVersionAcl"),
    "GetObjectTagging": _object("GetObjectTagging", "GetObjectVersionTagging"),
    "PutObjectTagging": _object("PutObjectTagging", "PutObjectVersionTagging"),
    "DeleteObjectTagging": _object("DeleteObjectTagging", "DeleteObjectVersionTagging"),
    "GetObjectLegalHold": _object("GetObjectLegalHold"),
    "PutObjectLegalHold": _object("PutObjectLegalHold"),
    "GetObjectRetention": _object("GetObjectRetention"),
    "PutObjectRetention": (
        *_object("PutObjectRetention"),
        Rule("s3:BypassGovernanceRetention", Target.OBJECT, when=When.BYPASS),
    ),
    "GetObjectAnnotation": _object("GetObjectAnnotation", "GetObjectVersionAnnotation"),
    "ListObjectAnnotations": _object("ListObjectAnnotations", "ListObjectVersionAnnotations"),
    "PutObjectAnnotation": _object("PutObjectAnnotation", "PutObjectVersionAnnotation"),
    "DeleteObjectAnnotation": _object("DeleteObjectAnnotation", "DeleteObjectVersionAnnotation"),
    "UpdateObjectEncryption": _object("UpdateObjectEncryption"),
    # -- multipart ------------------------------------------------------------------------------------------------
    "CreateMultipartUpload": _PUT_WITH,
    "UploadPart": _PUT,
    "UploadPartCopy": (_READ_SOURCE, *_PUT),
    "CompleteMultipartUpload": _PUT,
    "AbortMultipartUpload": (Rule("s3:AbortMultipartUpload", Target.OBJECT, initiator=True),),
    "ListParts": (Rule("s3:ListMultipartUploadParts", Target.OBJECT, initiator=True),),
}

# S3 has more actions than this gateway has operations; policies written for S3 name them.
_FOREIGN_ACTIONS: Final = (
    "s3:GetObjectVersionForReplication",
    "s3:InitiateReplication",
    "s3:ObjectOwnerOverrideToBucketOwner",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
    "s3:ReplicateTags",
)

KNOWN_ACTIONS: Final = frozenset(
    action.lower()
    for action in (
        *_FOREIGN_ACTIONS,
        *(name for rules in ACTIONS.values() for rule in rules for name in (rule.action, rule.versioned) if name),
    )
)
"""Every action that a policy may name, in lower case."""

_BUCKET_READ: Final = AclNeed(on_object=False, permission="READ")
_BUCKET_WRITE: Final = AclNeed(on_object=False, permission="WRITE")
_OBJECT_READ: Final = AclNeed(on_object=True, permission="READ")

ACL_NEEDS: Final[Mapping[str, AclNeed]] = {
    "s3:ListBucket": _BUCKET_READ,
    "s3:ListBucketVersions": _BUCKET_READ,
    "s3:ListBucketMultipartUploads": _BUCKET_READ,
    "s3:PutObject": _BUCKET_WRITE,
    "s3:DeleteObject": _BUCKET_WRITE,
    "s3:GetBucketAcl": AclNeed(on_object=False, permission="READ_ACP"),
    "s3:PutBucketAcl": AclNeed(on_object=False, permission="WRITE_ACP"),
    "s3:GetObject": _OBJECT_READ,
    "s3:GetObjectVersion": _OBJECT_READ,
    "s3:GetObjectAttributes": _OBJECT_READ,
    "s3:GetObjectVersionAttributes": _OBJECT_READ,
    "s3:GetObjectTorrent": _OBJECT_READ,
    "s3:GetObjectVersionTorrent": _OBJECT_READ,
    "s3:GetObjectAcl": AclNeed(on_object=True, permission="READ_ACP"),
    "s3:GetObjectVersionAcl": AclNeed(on_object=True, permission="READ_ACP"),
    "s3:PutObjectAcl": AclNeed(on_object=True, permission="WRITE_ACP"),
    "s3:PutObjectVersionAcl": AclNeed(on_object=True, permission="WRITE_ACP"),
}
"""Grants of access control lists as actions: whoever holds the grant may do the action.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#acl-access-policy-permission-mapping
"""

OBJECT_OWNER_ACTIONS: Final = frozenset(action for action, need in ACL_NEEDS.items() if need.on_object)
"""What an object's owner may do even in a bucket of somebody else, and a bucket's owner may not do to objects of
somebody else: read the object, read and write its ACL."""
