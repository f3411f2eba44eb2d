"""What runs may spend: about the source's octets, and some of what the copied part of a file leaves.

The budget is the file's own size, and `_SURPLUS` of what is copied: a short edit in a long file may take all it needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipsmith.engine.media.gops import PacketIndex

_SURPLUS = 0.12  # of the octets that are copied
_LARGEST_RATIO = 16.0
_REACTION = 0.7  # how much of a budget's error the next run makes good


@dataclass
class Budget:
    """Octets of the file: what the source took, and what was spent so far in the place of how much."""

    total: int
    to_replace: int
    replaced: int = 0
    spent: int = 0

    @classmethod
    def of(cls, index: PacketIndex, replaced: np.ndarray) -> Budget:
        return cls(int(index.octets.sum()), int(index.octets[replaced].sum()))

    @property
    def doublings(self) -> float:
        """How often the next run may double its own octets."""
        more = math.log2(self._spare)
        if self.replaced:
            more += _REACTION * math.log2(self._spare * self.replaced / max(self.spent, 1))
        return more

    @property
    def _spare(self) -> float:
        """How many times its own octets a run may take, were the file's surplus spent on all alike."""
        surplus = _SURPLUS * (self.total - self.to_replace)
        return min(1 + surplus / max(self.to_replace, 1), _LARGEST_RATIO)

    def account(self, replaced: int, spent: int) -> None:
        self.replaced += replaced
        self.spent += spent
