"""What several expenses of privacy come to, by each rule of composition.

``basic``: epsilons and deltas add up (Dwork, Kenthapadi, McSherry, Mironov and Naor, EUROCRYPT 2006); so they do where
later expenses are chosen after the results of earlier ones (Rogers, Roth, Ullman and Vadhan, NeurIPS 2016).

``zcdp``: an epsilon-DP expense is (epsilon^2 / 2)-zCDP, an (epsilon, delta)-DP one delta-approximately so; rhos and
deltas add up, and the sum is converted to (epsilon, delta) (Bun and Steinke, TCC 2016, prop. 1.4 and lemmas 8.2, 8.8),
with dp-accounting's Renyi accountant. A bound that is fixed beforehand holds for expenses chosen on the way
(Whitehouse, Ramdas, Rogers and Wu, ICML 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from runner.spec.policy import Budget

ROUNDING = 1e-9  # relative; sums of decimal fractions are not exact


class Charge(Struct, frozen=True, kw_only=True):
    """One expense of privacy.

    Attributes:
        mechanism: what was randomised, and how.
        epsilon, delta: of (epsilon, delta)-differential privacy; delta is 0 for pure.
        rho: of zero-concentrated differential privacy, where the mechanism has it; or None.
        unit: what one record is: what two neighbouring tables differ in.
        draw: digest of the kept draw that is paid for, which may be used again at no cost; None for a draw used once.
        against: from whom the record is protected.
    """

    mechanism: str
    epsilon: float
    delta: float = 0.0
    rho: float | None = None
    unit: str = "one row"
    draw: str | None = None
    against: str = ""

    def __post_init__(self) -> None:
        bounded = math.isfinite(self.epsilon) and self.epsilon >= 0 and 0 <= self.delta < 1
        if not bounded or (self.rho is not None and not (math.isfinite(self.rho) and self.rho >= 0)):
            raise ValueError("an expense has epsilon >= 0, 0 <= delta < 1 and rho >= 0")


class Total(NamedTuple):
    """What expenses come to.

    Attributes:
        epsilon, delta: by basic composition.
        rho, rho_delta: by that of (approximate) zCDP.
    """

    epsilon: float
    delta: float
    rho: float
    rho_delta: float


def total(charges: Iterable[Charge]) -> Total:
    """The sums of the expenses."""
    charges = list(charges)
    return Total(
        math.fsum(charge.epsilon for charge in charges),
        math.fsum(charge.delta for charge in charges),
        math.fsum(charge.epsilon**2 / 2 if charge.rho is None else charge.rho for charge in charges),
        math.fsum(charge.delta for charge in charges if charge.rho is None),
    )


def zcdp_epsilon(spent: Total, delta: float) -> float:
    """The epsilon at ``delta`` that the sum of rhos comes to; infinite where ``delta`` leaves nothing to convert at."""
    left = delta - spent.rho_delta
    if spent.rho == 0:
        return 0.0 if left >= 0 else math.inf
    if left <= 0:
        return math.inf
    # Late: it takes seconds to import, and few runs convert.
    from dp_accounting import ZCDpEvent
    from dp_accounting.rdp import RdpAccountant

    return float(RdpAccountant().compose(ZCDpEvent(spent.rho)).get_epsilon(left))


def epsilon_by(rule: str, spent: Total, delta: float) -> float:
    """The epsilon that the expenses come to by a rule; infinite where they have more than ``delta``."""
    if rule == "zcdp":
        return zcdp_epsilon(spent, delta)
    return spent.epsilon if spent.delta <= delta * (1 + ROUNDING) else math.inf


def within(budget: Budget, spent: Total) -> bool:
    """Whether expenses keep to a budget."""
    return epsilon_by(budget.rule, spent, budget.delta) <= budget.epsilon * (1 + ROUNDING)
