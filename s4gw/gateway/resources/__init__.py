"""One class for each S3 operation, modules by noun; an operation without a class answers NotImplemented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from s4gw.gateway.resources import (
    acl,
    bucket_config,
    bucket_policy,
    buckets,
    listing,
    multipart,
    object_copy,
    object_delete,
    object_get,
    object_lock,
    object_post,
    object_put,
    object_tagging,
    preflight,
)
from s4gw.gateway.resources.base import Resource

_CLASSES: Final[tuple[type[Resource], ...]] = (
    acl.GetBucketAcl,
    acl.GetObjectAcl,
    acl.PutBucketAcl,
    acl.PutObjectAcl,
    *bucket_config.CLASSES,
    bucket_policy.DeleteBucketPolicy,
    bucket_policy.GetBucketPolicy,
    bucket_policy.GetBucketPolicyStatus,
    bucket_policy.PutBucketPolicy,
    buckets.CreateBucket,
    buckets.DeleteBucket,
    buckets.GetBucketLocation,
    buckets.HeadBucket,
    buckets.ListBuckets,
    listing.ListObjectVersions,
    listing.ListObjects,
    listing.ListObjectsV2,
    multipart.AbortMultipartUpload,
    multipart.CompleteMultipartUpload,
    multipart.CreateMultipartUpload,
    multipart.ListMultipartUploads,
    multipart.ListParts,
    multipart.UploadPart,
    object_copy.CopyObject,
    object_copy.RenameObject,
    object_copy.UploadPartCopy,
    object_delete.DeleteObject,
    object_delete.DeleteObjects,
    object_get.GetObject,
    object_get.GetObjectAttributes,
    object_get.HeadObject,
    object_lock.GetObjectLegalHold,
    object_lock.GetObjectLockConfiguration,
    object_lock.GetObjectRetention,
    object_lock.PutObjectLegalHold,
    object_lock.PutObjectLockConfiguration,
    object_lock.PutObjectRetention,
    object_post.PostObject,
    object_put.PutObject,
    object_tagging.DeleteObjectTagging,
    object_tagging.GetObjectTagging,
    object_tagging.PutObjectTagging,
    preflight.Preflight,
)

RESOURCES: Final[Mapping[str, type[Resource]]] = {resource.__name__: resource for resource in _CLASSES}
"""Operation name -> class."""
