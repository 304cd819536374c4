"""Where the lines and points of the summary's figures lie, in the units of their drawings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from runner.sweep.summary_compare import Group, front, label_of, shown_value
from runner.sweep.summary_importance import is_number
from runner.sweep.summary_jobs import JobRecord
from runner.sweep.summary_table import text_of

TOP, HEIGHT, MARGIN = 34.0, 220.0, 60.0
APART, WHOLE = 130.0, 780.0  # two axes at least, all of them at most where they have room
WIDTH, SIDE = 460.0, 54.0  # of the trade-off's plot, and what its numbers take
LOGARITHMIC = 50.0  # where the largest number is this many times the least
MOST_TICKS = 6


class Scale(NamedTuple):
    """Where each value of an axis lies, as a share of its length from the lower end; ``ticks``: share and text."""

    place: Callable[[Any], float]
    ticks: tuple[tuple[float, str], ...]


def scale_of(values: Sequence[Any]) -> Scale:
    """Numbers by their size, or its logarithm where they span much; anything else side by side."""
    if all(map(is_number, values)) and len(set(values)) > 1:
        return _numeric([float(value) for value in values])
    texts = sorted({text_of(value) for value in values})
    places = {text: (at + 0.5) / len(texts) for at, text in enumerate(texts)}
    return Scale(lambda value: places[text_of(value)], tuple((place, text) for text, place in places.items()))


def _numeric(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low >= LOGARITHMIC
    measure = math.log if logarithmic else float

    def place(value: Any) -> float:
        return (measure(value) - measure(low)) / (measure(high) - measure(low))

    different = sorted(set(values))
    shown = (
        different
        if len(different) <= MOST_TICKS
        else [low, (low * high) ** 0.5 if logarithmic else (low + high) / 2, high]
    )
    return Scale(place, tuple((place(value), f"{value:.4g}") for value in shown))


def parallel(group: Group) -> dict[str, Any] | None:
    """Parallel coordinates: an axis for each setting that differs and for the result, a line for each ranked job.

    Source: A. Inselberg, "The plane with parallel coordinates", The Visual Computer 1 (1985).
    """
    jobs, by = group.ranked(), group.by
    names = [name for name in group.columns if len({text_of(shown_value(job, name)) for job in jobs}) > 1]
    if len(jobs) < 2 or not names or by is None:
        return None
    costs = [name for name in ("train_seconds",) if name != by and all(name in job.numbers() for job in jobs)]
    columns = [(name, [shown_value(job, name) for job in jobs]) for name in names]
    columns += [(label_of(name), [job.numbers()[name] for job in jobs]) for name in (*costs, by)]
    axes, lines = [], [[] for _ in jobs]  # type: tuple[list[dict[str, Any]], list[list[tuple[float, float]]]]
    apart = max(APART, WHOLE / (len(columns) - 1))
    for at, (name, values) in enumerate(columns):
        x, scale = MARGIN + at * apart, scale_of(values)
        ticks = [(_down(share), text) for share, text in scale.ticks]
        axes.append({"name": name, "short": name.rpartition(".")[2], "x": round(x, 1), "ticks": ticks})
        for line, value in zip(lines, values, strict=True):
            line.append((round(x, 1), _down(scale.place(value))))
    return {
        "axes": axes,
        "lines": [
            {"job": job.number, "points": points, "share": rank / max(1, len(jobs) - 1), "best": rank == 0}
            for rank, (job, points) in enumerate(zip(jobs, lines, strict=True))
        ],
        "width": round(2 * MARGIN + (len(columns) - 1) * apart),
        "height": TOP + HEIGHT + 16,
        "top": TOP,
        "bottom": TOP + HEIGHT,
    }


def _down(share: float) -> float:
    return round(TOP + HEIGHT * (1 - share), 1)


def trade_off(group: Group, objectives: Sequence[str]) -> dict[str, Any] | None:
    """Two numbers of each ranked job against each other: those that a search was for, or the result and its time."""
    names = [name for name in objectives if name != group.by] or ["train_seconds"]
    first, second = str(group.by), names[0]
    jobs = [job for job in group.ranked() if second in job.numbers()]
    if group.by is None or first == second or len(jobs) < 2:
        return None
    across, up = (scale_of([job.numbers()[name] for job in jobs]) for name in (second, first))
    best = front(group, first, second)

    def point(job: JobRecord) -> dict[str, Any]:
        x, y = across.place(job.numbers()[second]), up.place(job.numbers()[first])
        return {"job": job.number, "x": _right(x), "y": _down(y), "front": job in best}

    return {
        "points": [point(job) for job in jobs],
        "names": (label_of(first), label_of(second)),
        "across": [(_right(share), text) for share, text in (across.ticks[0], across.ticks[-1])],
        "up": [(_down(share), text) for share, text in (up.ticks[0], up.ticks[-1])],
        "front": [job.number for job in best],
        "width": WIDTH + 2 * SIDE,
        "height": TOP + HEIGHT + 40,
        "left": SIDE,
        "right": SIDE + WIDTH,
        "top": TOP,
        "bottom": TOP + HEIGHT,
    }


def _right(share: float) -> float:
    return round(SIDE + WIDTH * share, 1)
