"""How jobs are carried out is read of all of them."""

from __future__ import annotations

import pytest

from runner.errors import SpecError
from runner.spec.sweep import Sweep as Settings
from runner.sweep.compose import Composer
from runner.sweep.launcher import read_settings


def test_of_the_first_job_that_is_right(composer: Composer) -> None:
    jobs = [[wrong, "sweep.parallel=3", "sweep.keep_going=false"] for wrong in ("sgb.max_depth=17", "sgb.max_depth=3")]
    assert read_settings(composer, jobs) == Settings(parallel=3, keep_going=False)
    assert read_settings(composer, [["crypto=ouu"]]) == Settings()


@pytest.mark.parametrize(
    "jobs", [[["sweep.parallel=1"], ["sweep.parallel=2"]], [["sweep.parallel=0"]], [["sweep.reports=most"]]]
)
def test_what_is_swept_over_or_wrong_is_refused(composer: Composer, jobs: list[list[str]]) -> None:
    with pytest.raises(SpecError) as caught:
        read_settings(composer, jobs)
    assert caught.value.where.startswith("sweep")
