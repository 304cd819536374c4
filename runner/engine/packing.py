"""Several sums in one ciphertext, so that the label holder decrypts once for many of them.

A gradient g and a hessian h of one row, or of a sum of rows, make one integer ``g + h * 2**gradient_bits``; several
such sums stand side by side in one plaintext, each in a slot of its own (the cipher compressing of SecureBoost+: Chen
et al. 2021). An evaluator multiplies what it packed so far with ``2**width``, and adds the next sum: ``width``
squarings a sum. With ``ou`` that is half of a decryption and with Paillier a tenth, the evaluators do it side by side,
and a tenth or less of the ciphertexts travels back.

The integers that come out are those of SecretFlow's batch encoder, so splits, gains and weights are the same bits. All
that a plan depends on is known to every party: settings, and the number of rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

INT64_BITS = 64


@dataclass(frozen=True)
class Plan:
    """How sums are packed.

    Attributes:
        gradient_bits, hessian_bits: what a sum over all rows needs at most, its sign included; with b bits, its
            absolute value is below 2^(b-1).
        slots: how many sums one ciphertext carries.
    """

    gradient_bits: int
    hessian_bits: int
    slots: int

    @property
    def width(self) -> int:
        """Bits of one slot."""
        return self.gradient_bits + self.hessian_bits


def sum_bits(rows: int, scale: int, largest: float | None) -> int:
    """Bits of a sum of ``rows`` numbers of at most ``largest`` times ``scale``, with a sign; None: of any that fits."""
    if largest is None:
        return INT64_BITS
    return min(INT64_BITS, math.ceil(rows * largest * scale).bit_length() + 1)


def make_plan(room: int, bits: tuple[int, int]) -> Plan:
    """As many slots as there is room for.

    Args:
        room: bits of a plaintext that may be used.
        bits: of a sum of gradients and of hessians.
    """
    return Plan(*bits, slots=max(1, room // sum(bits)))


def join(gradients: Integers, hessians: Integers, plan: Plan) -> NDArray[np.object_]:
    """The plaintexts of rows: shape (rows, 1), Python integers."""
    whole: NDArray[np.object_] = gradients.astype(object) + (hessians.astype(object) << plan.gradient_bits)
    return whole.reshape(-1, 1)


def split(packed: NDArray[np.object_], plan: Plan) -> tuple[Integers, Integers]:
    """Sums of gradients and of hessians from decrypted packs: int64, shape (packs * slots,), a pack's slots in turn."""
    gradients, hessians = [], []
    half, mask = 1 << (plan.width - 1), (1 << plan.width) - 1
    low_half, low_mask = 1 << (plan.gradient_bits - 1), (1 << plan.gradient_bits) - 1
    for rest in packed.ravel().tolist():
        for _ in range(plan.slots):
            one = ((rest + half) & mask) - half
            rest = (rest - one) >> plan.width
            gradient = ((one + low_half) & low_mask) - low_half
            gradients.append(gradient)
            hessians.append((one - gradient) >> plan.gradient_bits)
    return np.array(gradients, dtype=np.int64), np.array(hessians, dtype=np.int64)
