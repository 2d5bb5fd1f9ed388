"""Every client and data set of the live tests, through a gateway in front of S4GW and of SeaweedFS.

The tests are those of a gateway on its own disk, which is the point: clients cannot tell.
"""

from __future__ import annotations

import pytest

from tests.live.test_awscli import (
    aws,
    test_api_buckets,
    test_api_listings,
    test_api_multipart,
    test_api_objects,
    test_api_tagging,
    test_copy_every_kind_of_file,
    test_move_remove_list_presign,
    test_streams,
    test_sync_a_tree_and_back,
)
from tests.live.test_boto3 import (
    test_checksums,
    test_conditional_writes_are_atomic,
    test_part_numbers,
    test_presigned_get_put,
    test_presigned_post,
    test_transfer_manager,
    test_whole_and_by_ranges,
)
from tests.live.test_clients import (
    rclone,
    test_curl_signs_for_itself,
    test_pyarrow_reads_parquet_by_ranges,
    test_rclone_copies_and_checks,
    test_rclone_multipart,
    test_restic_backs_up_and_restores,
    test_s3fs_and_duckdb,
)

pytestmark = [pytest.mark.clients, pytest.mark.upstreams]

__all__ = [
    "aws",
    "rclone",
    "test_api_buckets",
    "test_api_listings",
    "test_api_multipart",
    "test_api_objects",
    "test_api_tagging",
    "test_checksums",
    "test_conditional_writes_are_atomic",
    "test_copy_every_kind_of_file",
    "test_curl_signs_for_itself",
    "test_move_remove_list_presign",
    "test_part_numbers",
    "test_presigned_get_put",
    "test_presigned_post",
    "test_pyarrow_reads_parquet_by_ranges",
    "test_rclone_copies_and_checks",
    "test_rclone_multipart",
    "test_restic_backs_up_and_restores",
    "test_s3fs_and_duckdb",
    "test_streams",
    "test_sync_a_tree_and_back",
    "test_transfer_manager",
    "test_whole_and_by_ranges",
]
