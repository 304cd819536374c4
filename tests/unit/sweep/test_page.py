"""The summary's page: one file that asks the network for nothing; what its script does, in a real browser."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from browser import find_browser, load
from html_page import Page
from made_sweeps import FAILURE, MadeJob, make_sweep

from runner.errors import StageError
from runner.sweep.page_figures import LOGARITHMIC, scale_of
from runner.sweep.summary import PAGE, summarise_sweep

HOSTILE = "<img src=x onerror=alert(1)>'\"& </style></script><script>alert(1)</script>"
FORBIDDEN = ("iframe", "object", "embed", "form", "base", "img", "audio", "video")


def depths(count: int) -> list[MadeJob]:
    """Jobs of which the last is the best and the slowest."""
    return [
        MadeJob((f"sgb.max_depth={2 + at}",), metrics={"auc": 0.8 + at / 100, "ks": 0.5}, seconds=1.0 + at)
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A summarised sweep with jobs of two questions, of which one has reports, and jobs that came to nothing."""
    others = [
        MadeJob(("data.split.key=other", "sgb.max_depth=2"), metrics={"auc": 0.7}),
        MadeJob(("sgb.max_depth=12",), state="failed", error=FAILURE, earlier=(FAILURE,)),
        MadeJob(("sgb.max_depth=13",), state=None),
    ]
    folder = make_sweep(tmp_path_factory.mktemp("page") / "sweep", [*depths(9), *others])
    (folder / "8" / "parties" / "carol" / "report.html").write_text("a report")
    summarise_sweep(folder)
    return folder


def page(folder: Path) -> bytes:
    return (folder / PAGE).read_bytes()


def test_page_is_one_file_whose_script_is_the_only_one_that_may_run(sweep: Path) -> None:
    content, parsed = page(sweep), Page(page(sweep))
    assert [tag for tag in FORBIDDEN if parsed.tags[tag]] == []
    assert parsed.tags["script"] == 1
    assert parsed.handlers == []
    (script,) = re.findall(rb"<script>(.*?)</script>", content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}';" in content.decode()
    assert not re.search(rb"https?://|//[a-z]|@import", content)
    assert [name for name, count in parsed.ids.items() if count > 1] == []
    assert parsed.references <= set(parsed.ids)
    assert parsed.tags["caption"] == parsed.tags["table"] == 5
    assert content.count(b'role="img" aria-label="') == parsed.tags["svg"] == 2


def test_every_address_leads_to_something_in_the_sweep_folder(sweep: Path) -> None:
    addresses = set(Page(page(sweep)).addresses) - {"data:,"}
    assert "8/parties/carol/report.html" in addresses
    assert {address for address in addresses if not (sweep / address).exists()} == set()
    assert addresses == {*(f"{number}/" for number in range(11)), "8/parties/carol/report.html"}


def test_same_folder_gives_the_same_page(sweep: Path) -> None:
    before = page(sweep)
    summarise_sweep(sweep)
    assert page(sweep) == before


def test_page_says_what_it_rests_on(sweep: Path) -> None:
    text = Page(page(sweep)).text
    for words in (
        "Only like is compared with like",
        "fitted to 9 jobs",
        "here are 1",
        "training failed",
        "attempts/10-1",
        f"task=reproduce run={sweep}/8",
        "12 jobs: 10 done, 1 waiting, 1 failed",
    ):
        assert words in text


def test_texts_are_texts(tmp_path: Path) -> None:
    error = StageError(HOSTILE, where=HOSTILE, why=HOSTILE, fix=HOSTILE)
    key = MadeJob((f'data.split.key="{HOSTILE.translate({34: None, 92: None})}"',), metrics={"auc": 0.5})
    typed = ["-m", HOSTILE]
    folder = make_sweep(tmp_path / "s", [*depths(2), key, MadeJob(state="failed", error=error)], typed)
    summarise_sweep(folder)
    parsed = Page(page(folder))
    assert [tag for tag in FORBIDDEN if parsed.tags[tag]] == []
    assert (parsed.tags["script"], parsed.handlers) == (1, [])
    assert HOSTILE in parsed.text


@pytest.mark.parametrize(
    ("values", "shares", "ticks"),
    [
        ([2, 4, 3], [0, 1, 0.5], ["2", "3", "4"]),
        ([1.0, LOGARITHMIC, LOGARITHMIC**0.5], [0, 1, 0.5], ["1", "7.071", "50"]),
        (["level", "leaf"], [0.75, 0.25], ["leaf", "level"]),
        ([None, 0.5], [0.75, 0.25], ["0.5", "–"]),
        ([True, False], [0.75, 0.25], ["false", "true"]),
        ([5, 5], [0.5, 0.5], ["5"]),
    ],
)
def test_values_have_their_places_on_an_axis(values: list[Any], shares: list[float], ticks: list[str]) -> None:
    scale = scale_of(values)
    assert [scale.place(value) for value in values] == pytest.approx(shares)
    assert [text for _, text in scale.ticks] == ticks


def look(sweep: Path, profile: Path, script: str, width: int = 1200) -> Any:
    """What a script comes to in the loaded page, of which nothing else is asked, and nobody complains."""
    browser = find_browser()
    if browser is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine: apt-get install chromium")
    seen = load(browser, sweep / PAGE, profile, f"(() => {{ {script} }})()", width)
    assert seen.requests == [(sweep / PAGE).as_uri()]
    assert seen.complaints == []
    return seen.value


@pytest.mark.parametrize("width", [360, 1200])
def test_page_fits_its_width_and_sorts(sweep: Path, tmp_path: Path, width: int) -> None:
    script = """
        const table = document.querySelector("table.sortable");
        const jobs = () => [...table.tBodies[0].rows].map((row) => row.dataset.job).join(" ");
        const head = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === "training time");
        const found = [jobs()];
        for (const click of [1, 2]) {
            head.querySelector("button").click();
            found.push(head.getAttribute("aria-sort"), jobs());
        }
        return [document.documentElement.scrollWidth, ...found];
    """
    scrolled, *found = look(sweep, tmp_path / "profile", script, width)
    assert scrolled <= width, "no sideways scrolling"
    up, down = "0 1 2 3 4 5 6 7 8", "8 7 6 5 4 3 2 1 0"
    assert found == [down, "ascending", up, "descending", down]


def test_keys_and_pointer_choose_jobs(sweep: Path, tmp_path: Path) -> None:
    script = """
        const axis = [...document.querySelectorAll(".axis")].at(-1);
        const kept = () => [...document.querySelectorAll(".line:not(.off)")].map((line) => line.dataset.job);
        const press = (key) => axis.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
        const found = [kept().length, axis.tabIndex, axis.getAttribute("role")];
        press("ArrowDown");
        found.push(kept().join(" "), document.querySelector(".told").textContent);
        press("Escape");
        found.push(kept().length, document.querySelector(".told").textContent);
        document.querySelector("tr[data-job='3']").dispatchEvent(new PointerEvent("pointerenter"));
        found.push([...document.querySelectorAll(".on")].map((one) => one.tagName).join(" "));
        return found;
    """
    assert look(sweep, tmp_path / "profile", script) == [
        *(9, 0, "slider"),
        *("6 7 8", "3 of 9 jobs are in the range."),
        *(9, ""),
        "TR polyline g",
    ]
