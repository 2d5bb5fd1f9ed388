"""What lost data, leaked it or let strangers in elsewhere, and the tests that keep it from happening here.

Numbers are faults that the store we learnt from has mended, letters those it had when we looked. The list is checked:
each test that it names exists.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TRAPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "1": (
        "compaction forgets kinds of records",
        ("store/test_traps.py::test_1_compaction_keeps_every_kind_of_record",),
    ),
    "2": ("reference counts lose updates", ("store/test_dedup.py::test_racing_with_deletes_and_compaction",)),
    "3": (
        "multipart keeps references to what it gave up",
        (
            "store/test_traps.py::test_3_multipart_releases_what_it_held",
            "store/test_traps.py::test_3_bytes_of_writers_that_died_are_dead",
        ),
    ),
    "4": ("pages of a listing repeat prefixes", ("backends/test_listing.py::test_pages_equal_the_model",)),
    "5": (
        "a volume goes with what lies behind a damaged record",
        ("store/test_compaction.py::test_a_damaged_record_stays_and_its_volume_with_it",),
    ),
    "6": (
        "deleted objects come back, abandoned parts stay",
        (
            "store/test_traps.py::test_6_nothing_comes_back_after_everything_was_deleted",
            "backends/test_lifecycle.py::test_uploads_in_progress_end",
        ),
    ),
    "7": ("a bucket goes with hidden versions", ("store/test_traps.py::test_7_a_bucket_with_hidden_versions_stays",)),
    "A": (
        "volume ids are used again, the open volume is compacted",
        ("store/test_traps.py::test_a_volume_ids_grow_and_the_open_volume_is_never_compacted",),
    ),
    "B": (
        "a source goes before its copy is flushed",
        (
            "store/test_traps.py::test_b_copies_are_flushed_before_the_switch",
            "crash/test_store_disk.py::test_power_cuts",
        ),
    ),
    "C": (
        "a move undoes what changed meanwhile",
        (
            "store/test_traps.py::test_c_what_changes_during_a_move_stays_changed",
            "store/test_upkeep.py::test_racing_with_everything_else",
        ),
    ),
    "D": ("garbage collection fails open", ("store/test_traps.py::test_d_garbage_collection_fails_closed",)),
    "E": (
        "equal bytes are found while they are being given up",
        (
            "store/test_dedup.py::test_what_is_gone_within_the_grace_is_found_again",
            "store/test_dedup.py::test_racing_with_deletes_and_compaction",
        ),
    ),
    "F": (
        "a failed write moves every later offset",
        (
            "store/test_traps.py::test_f_a_write_that_fails_in_the_middle_moves_no_offset",
            "store/test_traps.py::test_f_a_writer_that_died_in_the_middle_hides_nothing",
            "crash/test_store_disk.py::test_failing_writes",
        ),
    ),
    "G": (
        "object bytes pass for records, volumes do not tell everything",
        (
            "store/test_traps.py::test_g_object_bytes_do_not_pass_for_records",
            "store/test_references.py::test_counts_hold_and_the_volumes_are_the_truth",
        ),
    ),
    "H": (
        "references are counted where they are not made",
        ("store/test_traps.py::test_h_references_are_counted_where_they_are_made",),
    ),
    "I": (
        "puts of one moment drop versions, locks have ways around them",
        (
            "store/test_traps.py::test_i_no_version_is_dropped_by_puts_of_one_moment",
            "store/test_locks.py::test_locked_versions_outlive_compaction",
            "backends/test_lifecycle.py::test_locked_versions_stay",
        ),
    ),
    "J": ("a slow client holds everybody up", ("store/test_traps.py::test_j_a_slow_client_holds_nobody_up",)),
    "K": ("plans read every byte", ("store/test_traps.py::test_k_plans_read_no_volume",)),
    "L": (
        "each page begins at the first key again",
        (
            "store/test_traps.py::test_l_the_last_page_costs_what_the_first_does",
            "store/test_listing.py::test_a_common_prefix_is_left_by_seeking",
        ),
    ),
    "M": ("a GET reads twice", ("store/test_traps.py::test_m_a_read_reads_once",)),
    "N": ("'#' parts keys", ("store/test_traps.py::test_n_keys_have_no_reserved_characters",)),
    "O": (
        "rules for noncurrent versions never fire, long listings are cut",
        (
            "bucketconfig/test_lifecycle_plan.py::test_noncurrent_versions_count_from_their_successor",
            "backends/test_lifecycle.py::test_versions_are_hidden_then_removed_then_forgotten",
            "backends/test_lifecycle.py::test_a_pass_over_many_pages_can_be_stopped_and_taken_up",
        ),
    ),
    "P": ("requests are not counted", ("gateway/test_app.py::test_a_request_is_logged_and_counted_once",)),
    "Q": (
        "a wrong secret is a fault of the server",
        ("auth/test_sigv4.py::test_another_secret_is_refused", "live/test_hostile.py::test_forged_signature"),
    ),
    "R": ("the first secret is public", ("gateway/test_access.py::test_a_root_pair_is_made_once",)),
    "S": (
        "a form skips authentication",
        (
            "gateway/test_app.py::test_no_operation_is_reached_without_authentication_and_authorization",
            "auth/test_post_policy.py::test_a_form_without_signature_is_anonymous",
            "live/test_hostile.py::test_anonymous",
        ),
    ),
    "T": ("bodies of 5 GB in memory", ("live/test_large.py::test_memory_of_a_long_upload",)),
    "crash tests that crash nothing": (
        "a promise without a test",
        ("crash/test_store_disk.py::test_kills", "crash/test_kill.py::test_killed_at_each_step_of_a_commit"),
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_has_its_tests(trap: str) -> None:
    """A test that is renamed or removed takes its trap along in here."""
    _, names = TRAPS[trap]
    missing = []
    for name in names:
        file, _, function = name.partition("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        if function not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(name)
    assert [] == missing
