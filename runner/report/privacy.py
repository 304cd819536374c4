"""What people read of privacy at the end of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

WIDTH = 107  # of the text beside the summary's names


def describe_privacy(statement: Mapping[str, Any]) -> list[str]:
    """The lines of the summary: the guarantee in words, and what the viewer's party has spent."""
    told = [*statement["guarantee"], *([spent_words(statement["spent"])] if statement["spent"] else [])]
    lines = [line for text in told for line in textwrap.wrap(text, WIDTH)]
    return [f"{'Privacy' if number == 0 else '':<13}{line}" for number, line in enumerate(lines)]


def spent_words(spent: Mapping[str, Any]) -> str:
    """What a party has spent on its data set, in words."""
    now = f"epsilon {spent['now']:g} with this run" if spent["now"] else "nothing with this run: its noise was paid for"
    budgets = "; ".join(
        f"epsilon {budget['epsilon']:g} and delta {budget['delta']:g} by {budget['rule']} composition"
        for budget in spent["budgets"]
    )
    return (
        f"Spent on {spent['data']!r}: {now}; epsilon {spent['epsilon']:g} and delta {spent['delta']:g} in all (basic "
        f"composition). {f'Budget: {budgets}.' if budgets else 'There is no budget (policy.privacy.budget).'}"
    )
