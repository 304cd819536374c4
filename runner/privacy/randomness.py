"""Where noise comes from: OpenDP, which samples exactly from the operating system's secure generator.

Nothing in a spec seeds it. For the project's own tests there is a stand-in that gives the same numbers again; it works
under pytest only.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.errors import SpecError
from runner.spec.privacy import keep_probability

Codes = NDArray[np.int64]
BATCH = 10_000
STAND_IN = "SGB_RUNNER_TEST_NOISE"


def draw_categories(codes: Codes, categories: tuple[int, ...], epsilon: float) -> Codes:
    """Randomised response (Warner 1965) of each code among ``categories``, by ``opendp.make_randomized_response``.

    A code is kept with probability e^epsilon / (e^epsilon + k - 1), else replaced by one of the others, all as likely.
    One that is no category becomes any of them, all as likely. Exact: Bernoulli draws are made bit by bit.

    Args:
        codes: shape (rows,), int64.

    Returns:
        shape (rows,), int64, each one of ``categories``.
    """
    generator = stand_in()
    if generator is not None:
        return _categories_like(generator, codes, categories, epsilon)
    from opendp.measurements import make_randomized_response

    _enable()
    keep = keep_probability(epsilon, len(categories))
    measurement: Any = make_randomized_response(list(categories), keep, T="i64")
    while measurement.map(1) > epsilon:
        keep = math.nextafter(keep, 0.0)
        measurement = make_randomized_response(list(categories), keep, T="i64")
    drawn = np.empty_like(codes)
    for code in np.unique(codes):
        drawn[codes == code] = _repeat(measurement, int(code), int(np.sum(codes == code)))
    return drawn


def _repeat(measurement: Any, code: int, times: int) -> list[int]:
    """So many independent draws for rows of one code, asked for together: one at a time takes six times as long."""
    from opendp.combinators import make_composition

    drawn: list[int] = []
    for start in range(0, times, BATCH):
        drawn += make_composition([measurement] * min(BATCH, times - start))(code)
    return drawn


def draw_laplace(codes: Codes, span: int, epsilon: float) -> Codes:
    """Each code plus discrete Laplace noise of scale ``span`` / epsilon, by ``opendp.make_laplace``.

    Ghosh, Roughgarden, Sundararajan, "Universally utility-maximizing privacy mechanisms" (STOC 2009); sampled exactly
    as in Canonne, Kamath, Steinke, "The discrete Gaussian for differential privacy" (NeurIPS 2020).

    Args:
        codes: shape (rows,), int64, within a range of width ``span``.
    """
    generator = stand_in()
    if generator is not None:
        shrink = 1 - math.exp(-epsilon / span)
        up, down = (generator.geometric(shrink, len(codes)).astype(np.int64) for _ in range(2))
        return codes + up - down
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_laplace
    from opendp.metrics import l1_distance

    _enable()
    space, scale = (vector_domain(atom_domain(T="i64")), l1_distance(T="i64")), span / epsilon
    measurement: Any = make_laplace(*space, scale=scale)
    while measurement.map(span) > epsilon:
        scale = math.nextafter(scale, math.inf)
        measurement = make_laplace(*space, scale=scale)
    return np.array(measurement(codes.tolist()), dtype=np.int64)


def stand_in() -> np.random.Generator | None:
    """The tests' generator, where the environment asks for it; else None.

    Raises:
        SpecError: where it is asked for, and nothing is being tested.
    """
    seed = os.environ.get(STAND_IN)
    if seed is None:
        return None
    if "PYTEST_CURRENT_TEST" not in os.environ:
        raise SpecError(
            "noise that can be foretold protects nobody",
            where=f"environment variable {STAND_IN}",
            why="it asks for the stand-in of the project's tests",
            fix=f"unset {STAND_IN}",
        )
    return np.random.default_rng([int(word) for word in seed.split(",")])


def _categories_like(
    generator: np.random.Generator, codes: Codes, categories: tuple[int, ...], epsilon: float
) -> Codes:
    known = np.array(categories)
    any_of_them = known[generator.integers(len(known), size=len(codes))]
    # Kept outright, or any category: together the probability of the true one is keep_probability.
    outright = 1 - len(known) * math.exp(-epsilon) / (1 + (len(known) - 1) * math.exp(-epsilon))
    kept = (generator.uniform(size=len(codes)) < outright) & np.isin(codes, known)
    return np.where(kept, codes, any_of_them)


def _enable() -> None:
    from opendp.mod import enable_features

    enable_features("contrib")
