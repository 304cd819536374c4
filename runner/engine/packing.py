"""Several sums in one ciphertext, so that the label holder decrypts once for many of them.

A gradient g and a hessian h of one row, or of a sum of rows, make one integer ``g + h * 2**gradient_bits``; several
such sums stand side by side in one plaintext, each in a slot of its own (the cipher compressing of SecureBoost+: Chen
et al. 2021). An evaluator brings a sum into its slot in one of two ways:

- by columns: each row's gradients come encrypted once for each slot, shifted there already, and a feature's histogram
  is summed from its slot's column. Packing is then one addition a sum. It pays where sums are many against rows.
- by shifts: what was packed so far is multiplied with ``2**width``, and the next sum is added. It costs ``width``
  squarings a sum, and pays where these are fewer than a decryption.

The integers that come out are those of SecretFlow's batch encoder, so splits, gains and weights are the same bits. All
that a plan depends on is known to every party: settings, numbers of rows, and numbers of buckets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

INT64_BITS = 64
# What one operation costs, in homomorphic additions of the same key, measured with HEU 0.6: (encryption, decryption).
COSTS = {"ou": (20, 120), "paillier": (190, 810), "zpaillier": (190, 810)}


@dataclass(frozen=True)
class Plan:
    """How gradients are encrypted, and sums are packed.

    Attributes:
        gradient_bits, hessian_bits: what a sum over all rows needs at most, its sign included; with b bits, its
            absolute value is below 2^(b-1).
        columns: in how many shifted forms each row's gradients are encrypted.
        slots: how many sums one ciphertext carries.
    """

    gradient_bits: int
    hessian_bits: int
    columns: int
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


def make_plan(scheme: str, room: int, bits: tuple[int, int], rows: int, buckets: Sequence[int], nodes: int) -> Plan:
    """The plan that costs least.

    Args:
        scheme: the encryption.
        room: bits of a plaintext that may be used.
        bits: of a sum of gradients and of hessians.
        rows: how many are encrypted.
        buckets: of each evaluator, features times bins.
        nodes: whose histograms are wanted, about.
    """
    encryption, decryption = COSTS[scheme]
    width, sums = sum(bits), sum(buckets) * nodes
    most = max(1, room // width)
    by_columns = {k: rows * k * encryption + sums * decryption / k for k in range(1, most + 1)}
    columns = min(by_columns, key=by_columns.__getitem__)
    by_shifts = rows * encryption + sums * (width + decryption / most)
    if most > 1 and by_shifts < by_columns[columns]:
        return Plan(*bits, columns=1, slots=most)
    return Plan(*bits, columns=columns, slots=columns)


def join(gradients: Integers, hessians: Integers, plan: Plan) -> NDArray[np.object_]:
    """The plaintexts of rows: shape (rows, columns), Python integers; column j is meant for slot j."""
    whole = gradients.astype(object) + (hessians.astype(object) << plan.gradient_bits)
    return np.stack([whole << (plan.width * column) for column in range(plan.columns)], axis=1)


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
