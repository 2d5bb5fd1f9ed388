"""MFA delete, the same in every backend: versions and the versioning state are behind a second factor."""

from __future__ import annotations

import pytest

from s4gw.backends import Backend, DeleteTarget
from s4gw.s3.errors import AccessDenied
from tests.backends.kit import BUCKET, delete, make_bucket, needs_store, put, versions


@pytest.fixture(autouse=True)
def _asked_here(backend: Backend) -> None:
    needs_store(backend, "an upstream asks for second factors itself")


def test_versions_go_with_a_second_factor_only(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    obj = put(backend, "k")
    backend.set_versioning(BUCKET, "Enabled", mfa_delete="Enabled", mfa=True)
    refused = delete(backend, "k", obj.version_id)
    hidden = delete(backend, "k")
    left = len(versions(backend))
    backend.delete_objects(BUCKET, [DeleteTarget(key="k", version_id=obj.version_id, mfa=True)])
    assert (True, 2, 1) == (isinstance(refused, AccessDenied), left, len(versions(backend)))
    assert not isinstance(hidden, Exception)
    assert "Enabled" == backend.get_bucket(BUCKET).mfa_delete


def test_the_state_changes_with_a_second_factor_only(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    with pytest.raises(AccessDenied):
        backend.set_versioning(BUCKET, "Enabled", mfa_delete="Enabled")
    backend.set_versioning(BUCKET, "Enabled", mfa_delete="Disabled")
    before = backend.get_bucket(BUCKET).mfa_delete
    backend.set_versioning(BUCKET, "Enabled", mfa_delete="Enabled", mfa=True)
    for wanted in (None, "Disabled"):
        with pytest.raises(AccessDenied):
            backend.set_versioning(BUCKET, "Suspended", mfa_delete=wanted)
    backend.set_versioning(BUCKET, "Suspended", mfa_delete="Disabled", mfa=True)
    info = backend.get_bucket(BUCKET)
    assert ("Disabled", "Suspended", "Disabled") == (before, info.versioning, info.mfa_delete)


def test_a_code_is_used_once(backend: Backend) -> None:
    """Each device counts for itself; an older code is as good as used."""
    backend.use_mfa_code("d", 10)
    for step in (10, 9):
        with pytest.raises(AccessDenied):
            backend.use_mfa_code("d", step)
    backend.use_mfa_code("d", 11)
    backend.use_mfa_code("e", 10)
