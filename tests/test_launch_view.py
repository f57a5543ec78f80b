"""What a launch shows: the table and the lines of made-up rows, and the time left."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from alfnet.launch.view import SECONDS_BETWEEN_LINES, Row, State, View, seconds_left


def row(
    name: str,
    state: State = "waiting",
    part: float = 0.0,
    seconds: float = 0.0,
    *,
    weight: float = 1.0,
    skipped: float = 0.0,
    began: float = 0.0,
    words: str = "",
    runs: int = 1,
) -> Row:
    return Row(
        name=name, state=state, part=part, seconds=seconds, weight=weight, skipped=skipped, began=began, words=words, runs=runs
    )  # fmt: skip


def after(state: State = "waiting", seconds: float = 0.0, weight: float = 0.0) -> Row:
    return row("after", state, seconds=seconds, weight=weight)


def test_no_time_is_told_without_evidence() -> None:
    assert seconds_left([], after(), 2) is None
    assert seconds_left([row("a", "running", 0.0, 500), row("b")], after(), 2) is None
    assert seconds_left([row("a", "running", 0.01, 500)], after(), 1) is None
    # A job that failed at once, one out of the cache, and one that has only gone on from its checkpoint.
    others = [
        row("a", "failed", 1.0, 3),
        row("b", "done", 1.0, 9, skipped=1.0, began=1.0),
        row("c", "running", 0.4, 50, began=0.4),
    ]
    assert seconds_left([*others, row("d")], after(), 2) is None


def test_the_time_left_follows_from_what_the_jobs_took() -> None:
    done, half = row("a", "done", 1.0, 100), row("b", "running", 0.5, 50)
    assert seconds_left([done, half], after(), 2) == pytest.approx(50)
    # Two places: what runs ends after 50 s; then the other place has been free, and takes the first that waits.
    assert seconds_left([done, half, row("c")], after(), 2) == pytest.approx(100)
    assert seconds_left([done, half, row("c")], after(), 1) == pytest.approx(150)
    assert seconds_left([done, half, row("c"), row("d")], after(), 2) == pytest.approx(150)
    assert seconds_left([done, half, row("c", weight=2.0)], after(), 1) == pytest.approx(250)
    assert seconds_left([done, half, row("c", "failed", 1.0, 2)], after(), 1) == pytest.approx(50)


def test_a_job_that_goes_on_from_a_checkpoint_is_not_taken_for_a_fast_one() -> None:
    resumed = row("a", "running", 0.75, 50, began=0.5)  # a quarter in 50 s
    assert seconds_left([resumed], after(), 1) == pytest.approx(50)
    assert seconds_left([resumed, row("b")], after(), 1) == pytest.approx(250)
    assert seconds_left([resumed, row("b", "waiting", 0.5)], after(), 1) == pytest.approx(150)


def test_jobs_whose_training_is_done_are_taken_to_be_short() -> None:
    detects = row("a", "running", 0.9, 30, skipped=0.8, began=0.8)
    assert seconds_left([detects, row("b")], after(), 1) == pytest.approx(30 + 60)
    assert seconds_left([detects, row("b", "running", 0.1, 30), row("c")], after(), 3) == pytest.approx(300)


def test_what_comes_after_the_jobs_counts_and_is_never_less_than_nothing() -> None:
    done = [row("a", "done", 1.0, 100)]
    assert seconds_left(done, after(weight=0.25), 2) == pytest.approx(25)
    assert seconds_left(done, after("running", 20, 0.25), 2) == pytest.approx(5)
    assert seconds_left(done, after("running", 900, 0.25), 2) == 0
    assert seconds_left(done, after("done", 900, 0.25), 2) == 0


def shown(view: View, *, whole: bool = False) -> str:
    console = Console(file=io.StringIO(), width=100, height=24)
    console.print(view.table(whole=whole))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def terminal(height: int = 24) -> View:
    view = View(Console(file=io.StringIO(), force_terminal=True, width=100, height=height))
    assert view.live is not None
    return view


def test_the_table_has_what_runs_before_the_jobs_and_after() -> None:
    view = terminal()
    view.before.state, view.before.words, view.before.seconds = "running", "dataset@synthetic 120/520", 62
    text = shown(view)
    assert "data set, annotations, first weights │ running │ dataset@synthetic 120/520 │ 1:02" in text
    assert "tables, report" in text
    assert "%" not in text
    assert "left" not in text

    view.before.state, view.before.part, view.before.words = "done", 1.0, ""
    jobs = [
        row("a-1", "done", 1.0, 240),
        row("a-2", "running", 0.5, 120, words="train 640/1300", runs=2),
        row("b-1", "failed", 1.0, 3),
        row("b-2"),
    ]
    view.set_jobs(jobs, 1)
    view.started = time.monotonic() - 363
    text = shown(view)
    assert "running (run 2)" in text
    assert "train 640/1300" in text
    # 0.1 before, 2.5 of 4 jobs, 0.15 after; a job takes 4 minutes, of which 1.5 jobs and a little more are left.
    assert text.splitlines()[0].strip() == "61 % in 6:03, about 7 min left"
    names = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    assert names == ["data set, annotations, first weights", "a-1", "a-2", "b-1", "b-2", "tables, report"]


def test_more_jobs_than_lines_leave_those_that_run_in_sight() -> None:
    view = terminal(height=24)
    jobs = [row(f"a-{seed}", "done", 1.0, 60) for seed in range(1, 20)]
    view.set_jobs([*jobs, row("b-1", "running", 0.5, 30), row("b-2", "queued"), row("b-3", "failed", 1.0)], 2)
    text = shown(view)
    assert all(name in text for name in ("b-1", "b-3", "and 19 jobs done, 1 waiting"))
    assert not any(name in text for name in ("a-1 ", "b-2"))
    assert len(text.splitlines()) <= 24
    assert all(name in shown(view, whole=True) for name in ("a-1 ", "a-19", "b-2"))


def test_lines_tell_changes_and_once_a_minute_the_whole() -> None:
    output = io.StringIO()
    view = View(Console(file=output, width=40))
    assert view.live is None
    assert view.lines() == []
    view.told -= SECONDS_BETWEEN_LINES
    assert view.lines() == [], "the jobs are not known yet"
    first, second = row("a-1", "running"), row("a-2")
    view.set_jobs([first, second], 1)
    view.told = time.monotonic()
    assert view.lines() == ["a-1: running, started"]
    first.words, first.part, first.seconds = "train 50/100", 0.5, 60.0
    assert view.lines() == ["a-1: running, train"]
    assert view.lines() == []
    view.told -= SECONDS_BETWEEN_LINES
    view.started -= 65
    (line,) = view.lines()
    assert line == "22 % in 1:05, about 3 min left"
    assert view.lines() == []
    view.told -= SECONDS_BETWEEN_LINES
    assert view.lines() == [], "nothing has changed since"
    first.part, first.seconds, second.state, second.runs = 0.75, 90.0, "running", 2
    assert view.lines() == ["a-2: running again (run 2), started", "33 % in 1:05, about 3 min left"]
    first.state = "done"
    view.show()
    assert output.getvalue() == "a-1: done\n"


def test_a_launch_with_nothing_to_do_shows_no_nonsense() -> None:
    view = terminal()
    view.set_jobs([], 2)
    view.before.part = view.after.part = 1.0
    assert shown(view).splitlines()[0].strip() == "100 % in 0:00"
