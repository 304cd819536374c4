"""The figures of a report, as SVG that stands in the page: texts stay texts, colours are the page's.

matplotlib is told everything that could differ between machines or users (settings, font, the salt of ids), so that the
same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.report.html.svg import BAND, FIRST, GRID, INK, SECOND, to_markup

# Whatever a user's matplotlibrc says; naming a backend would import pyplot.
DEFAULTS = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")}
STYLE = {
    "svg.hashsalt": "sgb-runner",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}


class Drawing(NamedTuple):
    """A figure of the page: its id, its title, its text for those who do not see it, and the SVG."""

    name: str
    title: str
    text: str
    svg: Markup


def draw(files: Mapping[str, Any]) -> list[Drawing]:
    """Every figure for which the party has the numbers.

    Args:
        files: what is in the party's own JSON files, by name; None where there is no such file.
    """
    found = []
    tables = files["evaluation"] or {}
    with matplotlib.rc_context({**DEFAULTS, **STYLE}):
        for name, title, needs, of, paint in FIGURES:
            values = tables.get(needs) if of == "evaluation" else files[of]
            if values:
                found.append(_figure(name, title, values, paint))
    return found


def _figure(name: str, title: str, values: Any, paint: Callable[[Axes, Any], str]) -> Drawing:
    figure = Figure(figsize=(4.6, 3.3))
    text = paint(figure.add_axes((0.16, 0.15, 0.81, 0.81)), values)
    return Drawing(name, title, text, to_markup(figure, name, text))


def _roc(axes: Axes, curve: Mapping[str, Sequence[float | None]]) -> str:
    x, y = _known(curve["false_positive_rate"], curve["true_positive_rate"])
    axes.plot([0, 1], [0, 1], color=GRID, linestyle="--", linewidth=1)
    axes.plot(x, y, color=FIRST)
    _unit(axes, "false positive rate", "true positive rate")
    return f"True positive rate against false positive rate, {len(x)} points; the dashed diagonal is chance."


def _precision_recall(axes: Axes, curve: Mapping[str, Sequence[float | None]]) -> str:
    x, y = _known(curve["recall"], curve["precision"])
    axes.step([0, *x], [*y[:1], *y], where="pre", color=FIRST)
    _unit(axes, "recall", "precision")
    return f"Precision against recall, {len(x)} points."


def _calibration(axes: Axes, groups: Sequence[Mapping[str, Any]]) -> str:
    axes.plot([0, 1], [0, 1], color=GRID, linestyle="--", linewidth=1)
    axes.plot([g["mean_score"] for g in groups], [g["positive_rate"] for g in groups], "o-", color=FIRST)
    _unit(axes, "mean predicted probability", "share that is positive")
    return f"Share of positive rows against mean predicted probability in {len(groups)} groups; ideal is the diagonal."


def _gain(axes: Axes, groups: Sequence[Mapping[str, Any]]) -> str:
    x, y = _known([0.0, *(g["share_of_rows"] for g in groups)], [0.0, *(g["gain"] for g in groups)])
    axes.plot([0, 1], [0, 1], color=GRID, linestyle="--", linewidth=1)
    axes.plot(x, y, "o-", color=FIRST)
    _unit(axes, "share of rows, highest scores first", "share of positives found")
    return "Share of all positives found among the rows with the highest scores; the dashed diagonal is chance."


def _residuals(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> str:
    edges = [0.0]
    for group in bins:
        edges.append(edges[-1] + group["rows"])
    axes.axhline(0, color=GRID, linewidth=1)
    axes.bar(
        [edge / edges[-1] for edge in edges[:-1]],
        [group["mean"] for group in bins],
        width=[group["rows"] / edges[-1] for group in bins],
        align="edge",
        color=FIRST,
        edgecolor=BAND,
    )
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of rows, by residual")
    axes.set_ylabel("mean residual (label − prediction)")
    return f"Mean residual of {len(bins)} groups of rows, ordered by residual."


def _by_prediction(axes: Axes, groups: Sequence[Mapping[str, Any]]) -> str:
    predicted, seen = ([group[name] for group in groups] for name in ("mean_prediction", "mean_label"))
    ends = [min(*predicted, *seen), max(*predicted, *seen)]
    axes.plot(ends, ends, color=GRID, linestyle="--", linewidth=1)
    axes.plot(predicted, seen, "o-", color=FIRST)
    axes.set_xlabel("mean prediction")
    axes.set_ylabel("mean label")
    return f"Mean label against mean prediction in {len(groups)} groups of rows; ideal is the diagonal."


def _learning(axes: Axes, points: Sequence[Mapping[str, Any]]) -> str:
    """One line; of several classes, a line each, by the class's number."""
    classes = sorted({point.get("class", 0) for point in points})
    for number in classes:
        own = [point for point in points if point.get("class", 0) == number]
        x, y = _known([point["trees"] for point in own], [point["metric"] for point in own])
        color = FIRST if len(classes) == 1 else None
        axes.plot(x, y, "o-", color=color, label=f"class {number}")
    if len(classes) > 1:
        axes.legend(fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trees")
    axes.set_ylabel("training metric")
    each = "" if len(classes) == 1 else f" of {len(classes)} classes"
    return f"Training metric after each of {max(point['trees'] for point in points)} trees{each}."


def _importance(axes: Axes, gains: Mapping[str, Mapping[str, float]]) -> str:
    """Total gain by party, or the features with the highest gains; parties are told apart by shade."""
    rows = [
        (party if set(of) == {"total"} else f"{party}: {name}", gain, party)
        for party, of in gains.items()
        for name, gain in of.items()
    ]
    rows = sorted(rows, key=lambda row: (-row[1], row[0]))[:15][::-1]
    parties = sorted(gains)
    shades = [FIRST if parties.index(row[2]) % 2 == 0 else SECOND for row in rows]
    axes.barh(range(len(rows)), [row[1] for row in rows], color=shades)
    axes.set_yticks(range(len(rows)), [_short(row[0]) for row in rows], parse_math=False, fontsize=8)
    axes.set_xlabel("total gain")
    axes.grid(axis="y", visible=False)
    axes.set_position((0.42, 0.15, 0.55, 0.81))
    return "Total gain of the splits: " + ", ".join(f"{row[0]} {row[1]:.4g}" for row in rows[:-6:-1]) + "."


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"


def _unit(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _known(*columns: Sequence[Any]) -> tuple[list[float], ...]:
    """The points of which every coordinate is known."""
    points = [point for point in zip(*columns, strict=True) if None not in point]
    return tuple([point[at] for point in points] for at in range(len(columns)))


# Name, title, which part of the evaluation it needs, of which file, how it is drawn.
FIGURES: tuple[tuple[str, str, str, str, Callable[[Axes, Any], str]], ...] = (
    ("roc", "ROC curve", "roc", "evaluation", _roc),
    ("precision-recall", "Precision and recall", "precision_recall", "evaluation", _precision_recall),
    ("calibration", "Calibration", "lift", "evaluation", _calibration),
    ("gain", "Gain", "lift", "evaluation", _gain),
    ("predicted", "Predicted and true", "by_prediction", "evaluation", _by_prediction),
    ("residuals", "Residuals", "residuals_by_rank", "evaluation", _residuals),
    ("learning", "Learning curve", "", "curve", _learning),
    ("importance", "Feature importance", "", "importance", _importance),
)
