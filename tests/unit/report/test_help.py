"""``python -m runner --help``: every choice says what it is, every setting what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

from runner.report.help import help_text
from runner.spec.compose import config_dir


def test_every_choice_has_a_line_that_says_what_it_is() -> None:
    text = help_text()
    for choice in sorted(Path(config_dir()).glob("*/*.yaml")):
        assert re.search(rf"^    {choice.stem} +[A-Z\"a-z].+[^,;]$", text, re.MULTILINE), choice
    assert "@package" not in text


def test_settings_of_all_sections_are_listed_with_their_defaults_and_what_is_allowed() -> None:
    text = help_text()
    for line in (
        r"align\.protocol = auto +one of auto, ecdh, .*",
        r"prepare\.numbers\.clip = null +a list of 2; each item a number > 0 and < 1",
        r"label\.class_weight = null +balanced or a mapping; each value a number > 0",
        r"cv\.folds = 5 +a whole number >= 2 and <= 100",
        r"evaluate\.thresholds = \[0\.5\] +a list; each item a number > 0 and < 1",
        r"drift\.psi_warn = 0\.1 +a number > 0",
        r"cluster\.limits\.memory = null +a number >= 0\.5",
        r"log\.level = info +one of debug, error, info, warning",
        r"tune\.space = \{\} +a mapping",
        r"infer\.overwrite = false +true or false",
        r"data\.rows = null +a whole number >= 1 and <= 1000000000",
        r"csv\.separator +one character \(ASCII\)",
        r"sgb\.audit_paths = \{\} .*",
    ):
        assert re.search(rf"^  {line}$", text, re.MULTILINE), line
