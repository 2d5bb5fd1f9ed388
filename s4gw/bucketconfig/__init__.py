"""Rules that a bucket carries: checked when they are stored, read when they are applied.

Pure: documents arrive and leave boto3-shaped or as stored bytes; errors are S3's.
"""

from s4gw.bucketconfig import encryption, tagging
from s4gw.bucketconfig.cors import CorsRule, cors_headers, parse_cors, preflight_headers, stored_cors
from s4gw.bucketconfig.documents import dump_document, load_document
from s4gw.bucketconfig.lifecycle import Rule, stored_lifecycle
from s4gw.bucketconfig.lifecycle_plan import Action, Seen, abort_of, expiry_header, expiry_of, plan
from s4gw.bucketconfig.object_lock import DefaultRetention, LockChange, ObjectLock
from s4gw.bucketconfig.ownership import check_ownership, ownership_document, parse_ownership, stored_ownership
from s4gw.bucketconfig.public_access_block import (
    PublicAccessBlock,
    parse_public_access_block,
    public_access_block_document,
    stored_public_access_block,
)
from s4gw.bucketconfig.registry import SUB_RESOURCES, SubResource
from s4gw.bucketconfig.versioning import parse_versioning

__all__ = [
    "SUB_RESOURCES",
    "Action",
    "CorsRule",
    "DefaultRetention",
    "LockChange",
    "ObjectLock",
    "PublicAccessBlock",
    "Rule",
    "Seen",
    "SubResource",
    "abort_of",
    "check_ownership",
    "cors_headers",
    "dump_document",
    "encryption",
    "expiry_header",
    "expiry_of",
    "load_document",
    "ownership_document",
    "parse_cors",
    "parse_ownership",
    "parse_public_access_block",
    "parse_versioning",
    "plan",
    "preflight_headers",
    "public_access_block_document",
    "stored_cors",
    "stored_lifecycle",
    "stored_ownership",
    "stored_public_access_block",
    "tagging",
]
