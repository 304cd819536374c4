"""The guarantee in words: it says who is protected, against whom, how well, and what is not protected."""

from __future__ import annotations

from support import make_spec

from runner.privacy.guarantee import guarantees
from runner.report.privacy import describe_privacy, spent_words

SPENT = {
    "data": "loans",
    "now": 1.0,
    "epsilon": 3.0,
    "delta": 0.0,
    "budgets": [{"epsilon": 4.0, "delta": 1e-6, "rule": "zcdp", "counts": "all"}],
}


def test_no_noise_no_guarantee() -> None:
    assert guarantees(make_spec()) == []


def test_of_training_labels() -> None:
    (told,) = guarantees(make_spec("privacy=label_dp", "privacy.epsilon=2"))
    assert "against everybody but its owner (carol)" in told
    assert "(epsilon 2, delta 0)" in told
    assert "by a factor of 7.39 at most" in told
    assert "Not protected: features" in told


def test_of_labels_of_several_owners() -> None:
    alone = ("label.predict=carol", "label.predict_column=confirmed")
    (told,) = guarantees(make_spec("privacy=label_dp", "data=clinics", "label=row_sharded", *alone))
    assert "what one owner's column says" in told
    assert "by their epsilons together (6 at most)" in told


def test_true_labels_in_metrics_are_told() -> None:
    (told,) = guarantees(make_spec("privacy=label_dp"))
    assert told.endswith("what metrics tell of the labels of test rows (which another run may train on).")
    (told,) = guarantees(make_spec("privacy=label_dp", "task=cv"))
    assert told.endswith("every row is a test row of one fold.")
    (told,) = guarantees(make_spec("privacy=label_dp", "+data.split.hold_out=validation"))
    assert told.endswith("of validation rows (which another run may train on).")


def test_of_metrics() -> None:
    (told,) = guarantees(make_spec("privacy=output_dp", "privacy.epsilon=0.5"))
    assert "label and score of one test row are protected against everybody but carol" in told
    assert "by a factor of 1.65 at most" in told
    assert "Not protected: the rows of the training." in told


def test_whoever_gets_scores_as_they_are_is_named() -> None:
    (told,) = guarantees(make_spec("privacy=output_dp", "policy=lab"))
    assert "scores from alice, bob, which get predictions without noise" in told


def test_a_row_has_the_epsilons_of_its_metrics_and_of_its_score() -> None:
    metrics, scores = guarantees(make_spec("privacy=output_dp", "policy=lab", "privacy.scores_epsilon=4"))
    assert "the label of one test row is protected" in metrics
    assert "(epsilon 1, delta 0)" in metrics
    assert "(epsilon 5, delta 0)" in scores


def test_what_was_spent() -> None:
    assert spent_words(SPENT) == (
        "Spent on 'loans': epsilon 1 with this run; epsilon 3 and delta 0 in all (basic composition). "
        "Budget: epsilon 4 and delta 1e-06 by zcdp composition."
    )
    assert "nothing with this run: its noise was paid for" in spent_words({**SPENT, "now": 0.0})
    assert "There is no budget" in spent_words({**SPENT, "budgets": []})


def test_the_summarys_lines_fit_the_terminal() -> None:
    lines = describe_privacy({"guarantee": ["a sentence of several words. " * 20], "spent": SPENT})
    assert lines[0].startswith("Privacy      a sentence")
    assert max(map(len, lines)) <= 120
