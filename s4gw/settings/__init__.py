"""Command line and environment, read into one frozen `Settings`.

Flags win over the environment, the environment over defaults. What cannot be meant is refused with one clear line
(`SettingsError`) before anything is opened; what a later release will bring is refused too, never accepted in silence.
Secrets come from the environment or from files, never from flags, which every user of the machine can read.

`model` holds what there is to set, `flags` what it is called, `values` how one text is read, `loading` all of it.
"""

from s4gw.settings.flags import LATER, UPSTREAM_FLAGS, add_arguments
from s4gw.settings.loading import load
from s4gw.settings.model import (
    CODECS,
    CODECS_GPU,
    LIFECYCLE_DAY_S,
    RECLAIM_GRACE_S,
    THREADS_DEFAULT,
    UPKEEP_BYTES_PER_S,
    VOLUME_BYTES_DEFAULT,
    Settings,
    SettingsError,
    default_workers,
)

__all__ = [
    "CODECS",
    "CODECS_GPU",
    "LATER",
    "LIFECYCLE_DAY_S",
    "RECLAIM_GRACE_S",
    "THREADS_DEFAULT",
    "UPKEEP_BYTES_PER_S",
    "UPSTREAM_FLAGS",
    "VOLUME_BYTES_DEFAULT",
    "Settings",
    "SettingsError",
    "add_arguments",
    "default_workers",
    "load",
]
