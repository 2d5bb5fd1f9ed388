"""What S4 (Rust) publishes about its codecs: the table "Benchmarks" of its README, as data.

Last measured there on 2026-05-13, on an RTX 4070 Ti SUPER (nvCOMP 5.2.0.10, CUDA 13.2) and a Ryzen 9 9950X; one call
over the whole buffer, without frames, the type hinted where it says bitcomp. GB/s are original bytes, 1e9 each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Published:
    """One row of the table."""

    codec: str
    ratio: float
    compress_gb_s: float
    decompress_gb_s: float


PUBLISHED: Final[Mapping[str, tuple[Published, ...]]] = {
    "nginx": (
        Published("cpu-zstd-3", 155.01, 3.71, 3.27),
        Published("nvcomp-zstd", 95.60, 1.70, 2.86),
        Published("nvcomp-gdeflate", 1.51, 1.07, 2.51),
    ),
    "parquet-like": (
        Published("cpu-zstd-3", 1.92, 0.75, 1.89),
        Published("nvcomp-zstd", 1.94, 1.44, 2.62),
        Published("nvcomp-gdeflate", 1.40, 1.05, 2.62),
        Published("nvcomp-bitcomp", 2.09, 1.49, 1.44),
    ),
    "postings": (
        Published("cpu-zstd-3", 1.48, 1.22, 1.65),
        Published("nvcomp-zstd", 1.52, 1.29, 2.52),
        Published("nvcomp-gdeflate", 1.51, 1.06, 2.44),
        Published("nvcomp-bitcomp", 11.93, 1.61, 1.50),
    ),
    "timestamps": (
        Published("cpu-zstd-3", 2.63, 0.35, 0.92),
        Published("nvcomp-zstd", 2.61, 1.14, 2.70),
        Published("nvcomp-gdeflate", 1.32, 0.89, 2.26),
        Published("nvcomp-bitcomp", 2.95, 1.45, 1.39),
    ),
    "doc_values": (
        Published("cpu-zstd-3", 1.45, 0.26, 1.01),
        Published("nvcomp-zstd", 1.86, 1.04, 2.59),
        Published("nvcomp-gdeflate", 1.33, 0.96, 2.54),
        Published("nvcomp-bitcomp", 1.72, 1.41, 1.48),
    ),
    "random": (
        Published("cpu-zstd-3", 1.00, 2.23, 3.15),
        Published("nvcomp-zstd", 1.00, 0.83, 2.37),
        Published("nvcomp-gdeflate", 1.00, 0.92, 2.39),
    ),
}
"""Name of the data set -> rows, in the order of the README."""


def best(name: str) -> Published | None:
    """The row with the best ratio, None for sets that S4 does not publish."""
    return max(PUBLISHED.get(name, ()), key=lambda row: row.ratio, default=None)
