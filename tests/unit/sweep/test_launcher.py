"""Which jobs a sweep has, and how they are carried out, which is read of all of them."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from runner.errors import SpecError
from runner.spec.sweep import Sweep as Settings
from runner.sweep.compose import Composer
from runner.sweep.launcher import JobSweeper, combinations, read_settings, refuse_searches_among


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


def test_an_experiment_says_what_is_swept_over(composer: Composer) -> None:
    typed = ["experiment=label_dp_curve"]
    settings = dict(composer.look(typed).hydra.sweeper)
    assert settings.pop("_target_").endswith(f".{JobSweeper.__name__}")
    JobSweeper(**settings)  # takes all that the menu gives it
    jobs = combinations(OverridesParser.create(), settings["params"], [*typed, "privacy.epsilon=1,2"])
    assert jobs == [
        [f"privacy.epsilon={epsilon}", f"privacy.debias={debias}", *typed]
        for epsilon in (1, 2)
        for debias in (True, False)
    ]


def test_runs_and_searches_do_not_share_a_folder(composer: Composer) -> None:
    runs, searches = [["sgb.max_depth=3"]], [["tune=optuna"]]
    refuse_searches_among(runs, [["task=check"]], composer)
    refuse_searches_among([], searches, composer)
    with pytest.raises(SpecError) as caught:
        refuse_searches_among(runs, searches, composer)
    assert caught.value.where == "tune"
