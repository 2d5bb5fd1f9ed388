"""Keys of a bucket that are the gateway's or S4's own and never show in a listing.

Prefixes: ``.s4gw/`` (staged uploads of ours), ``.s4mpu/`` and ``.s4dict/`` (S4's uploads and dictionaries). Suffix:
``.s4index`` (S4's index of another object). Infix: ``.__s4ver__/`` (S4's older versions of a key).
"""

from __future__ import annotations

from typing import Final

OWN_PREFIX: Final = ".s4gw/"
PREFIXES: Final = (".s4dict/", OWN_PREFIX, ".s4mpu/")
"""Ascending, as a listing meets them."""
INDEX_SUFFIX: Final = ".s4index"
VERSION_INFIX: Final = ".__s4ver__/"
_BEGINNINGS: Final = tuple(name[:size] for name in (INDEX_SUFFIX, VERSION_INFIX) for size in range(1, len(name) + 1))


def is_reserved(key: str) -> bool:
    """Tell whether the object *key* is hidden from clients."""
    return key.startswith(PREFIXES) or key.endswith(INDEX_SUFFIX) or VERSION_INFIX in key


def hides_all(common_prefix: str) -> bool:
    """Tell whether everything under *common_prefix* is reserved."""
    return common_prefix.startswith(PREFIXES) or VERSION_INFIX in common_prefix


def may_hide_all(common_prefix: str) -> bool:
    """Tell whether a common prefix may have nothing but reserved keys below it: somebody has to look.

    With the delimiter ``/`` that is never so; others cut inside the reserved names.
    """
    return any(prefix.startswith(common_prefix) for prefix in PREFIXES) or common_prefix.endswith(_BEGINNINGS)


def reserved_prefix_of(key: str) -> str:
    """The reserved prefix that *key* lies under; empty if there is none."""
    return next((prefix for prefix in PREFIXES if key.startswith(prefix)), "")
