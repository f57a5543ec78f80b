"""benchmarks: ratios by turns, and the document that holds a section each."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from alfnet.network.alfnet import normalise
from benchmarks import __main__ as command
from benchmarks import deploy, growth
from benchmarks.detect import network, street
from benchmarks.turns import by_turns, row


def test_a_ratio_is_that_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine gets slower from round to round; twice the work stays twice the time."""
    now, calls = [0.0], [0]
    monkeypatch.setattr(time, "process_time", lambda: now[0])

    def work(amount: float) -> None:
        calls[0] += 1
        now[0] += amount * (1 + calls[0] // 4)

    found = by_turns({"ours": lambda: work(2.0), "peer": lambda: work(1.0)}, "peer", 8)
    assert 1.8 <= found["ours"].ratio <= 2.2
    assert found["peer"].ratio == 1
    assert found["ours"].low <= found["ours"].ratio <= found["ours"].high
    assert row("x", found["peer"], "peer").endswith("| peer | 1.00 (1.00 - 1.00) |")


def test_no_peer() -> None:
    with pytest.raises(ValueError, match="a peer among ours"):
        by_turns({"ours": lambda: None}, "peer", 1)


def test_a_section_replaces_itself_alone() -> None:
    first = command.with_section("", "targets", ["## A", "one"])
    both = command.with_section(first, "samples", ["## B"])
    again = command.with_section(both, "targets", ["## A", "two"])
    assert again.index("## B") < again.index("## A")  # in the order of the sections
    assert "two" in again
    assert "one\n<!--" not in again
    assert again.count("# Speed beside peers") == 1


def test_runtimes_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    rows = [deploy.Row(name, lambda _, name=name: order.append(name)) for name in ("eager", "other")]
    speed = deploy.Speedometer()
    deploy.take_turns(rows, np.zeros((1, 64, 64, 3), np.uint8), 2, speed)
    assert order == ["eager", "other"] * 3
    assert [len(row.seconds) for row in rows] == [2, 2]
    assert len(speed.seconds) == 6
    rows[0].seconds, rows[1].seconds, rows[1].size = [2.0, 4.0], [1.0, 1.0], 1_500_000
    lines = deploy.table(rows, network("mobilenet", 0.05), (64, 64))
    assert lines[2:] == [
        "| eager | 3.000 | 1.00 (1.00 - 1.00) |  |  |  |",
        "| other | 1.000 | 0.38 (0.31 - 0.44) |  |  | 1.5 |",
    ]


def test_the_networks_that_are_compared_look_at_the_image() -> None:
    """Else int8 would seem to lose nothing: there would be nothing to lose."""
    for backbone in ("resnet50", "mobilenet"):
        model = network(backbone, 0.125)  # type: ignore[arg-type]
        images = (street(128, 256)[None], np.zeros((1, 128, 256, 3), np.uint8))
        with torch.inference_mode():
            seen, black = (model(normalise(torch.from_numpy(each))) for each in images)
        for (logits, offsets), (other_logits, other_offsets) in zip(seen, black, strict=True):
            assert (logits - other_logits).abs().mean() > 0.01
            assert (offsets - other_offsets).abs().mean() > 0.01


@pytest.mark.long
@pytest.mark.training
def test_every_kind_of_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tiny work: each line has its figure and its ratio."""
    tables = [
        growth.targets(1, sizes=((64, 128),)),
        growth.selection(1, numbers=(100,)),
        growth.updates(1, width=0.05, size=(64, 128)),
        growth.variants(1, numbers=(2,)),
    ]
    rows = [line for table in tables for line in table if line.startswith("| ") and " ms " not in line[:9]]
    measured = [line for line in rows if "(" in line.split(" | ")[-1] and "quartiles" not in line]
    assert len(measured) == (1 + 3 + 2) + 1 + 4 + (1 + 1)
    monkeypatch.setitem(command.SECTIONS, "targets", lambda rounds: tables[0])
    command.main(["--only", "targets", "--rounds", "1", "--out", str(tmp_path / "performance.md")])
    assert "1 rounds; load of the machine" in (tmp_path / "performance.md").read_text()
