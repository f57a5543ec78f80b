"""Training a variant of the parameter file, from its first weights to the detector on disk."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np
from lightning_fabric import Fabric

from alfnet.annotations.cache import load_fold
from alfnet.errors import AlfnetError
from alfnet.files import atomic_path, write_json
from alfnet.network.alfnet import ALFNet, count_parameters, load_backbone_weights, read_network_settings
from alfnet.network.file_origin import origin_entry
from alfnet.network.origin import training_origin
from alfnet.network.weight_files import weights_kind
from alfnet.params import Params, TrainSettings
from alfnet.progress import progress_report
from alfnet.training.checkpoints import Checkpoints, fingerprint
from alfnet.training.decoded import decode_images
from alfnet.training.image_identity import image_identity
from alfnet.training.processes import one_of_several
from alfnet.training.samples import TrainingSamples
from alfnet.training.state import RunState
from alfnet.training.train import train, training_fabric

# Decoded images are kept in memory up to this size; what does not fit is read again every epoch.
DECODED_BYTES = 2 * 2**30

SNAPSHOTS = "snapshots"
"""The folder beside a detector with the weights that were kept before the last update, NUMBER.safetensors each."""

SHELLS = ("sh", "dash", "bash", "zsh")


def train_variant(
    params: Params,
    name: str,
    seed: int,
    *,
    first: Path,
    cache: Path,
    out: Path,
    scratch: Path,
    loggers: Sequence[Any] = (),
    stop_with_parent: bool = False,
) -> None:
    """Train variant `name` with `seed` and write the detector to `out`, and what was kept on the way to snapshots/ beside it.

    first: its first weights and network (`write_first_weights`); a detector there is taken as it is, without training.
    cache: the training cache.
    scratch: where checkpoints and decoded images live; a run that was killed goes on from there.
    loggers: Fabric's, which get the mean losses every so many updates.
    stop_with_parent: end when the program that started this one has ended, as a pipeline's command should.

    Raises AlfnetError for weights, a cache, images or devices that do not fit, for a loss or weights that are not
    finite, and where another process is at this very training.
    """
    variant = params.variant(name)
    if weights_kind(first) == "detector":
        network = ALFNet.load(first)
        found = (network.settings.backbone, network.settings.steps)
        if found != (variant.backbone, variant.steps):
            raise AlfnetError(
                f"{variant.weights}: a detector of {found[0]} with {found[1]} steps, but variants.{name} says "
                f"{variant.backbone} with {variant.steps}; correct the variant, or name another file"
            )
        save(network, out, origin_entry(first))
        _hand_over(scratch, out.parent / SNAPSHOTS, [])
        return

    training = params.training(name)
    images = load_fold(cache, "train", params.data.fold(seed))
    samples = TrainingSamples(images, params.data.images_folder, training.augment, seed=seed, cache_bytes=DECODED_BYTES)
    samples.check_files()
    fabric = training_fabric(training, params.machine, loggers=list(loggers))
    with one_of_several(fabric):
        _train(params, name, seed, fabric, samples, first, cache, out, scratch, stop_with_parent)


def _train(
    params: Params,
    name: str,
    seed: int,
    fabric: Fabric,
    samples: TrainingSamples,
    first: Path,
    cache: Path,
    out: Path,
    scratch: Path,
    stop_with_parent: bool,
) -> None:
    training, thresholds = params.training(name), params.thresholds(name)
    images, folder, fold = samples.images, samples.folder, params.data.fold(seed)
    network = make_network(first, seed)
    settings = {
        "network": network.settings.model_dump(mode="json"),
        "train": _what_counts(training),
        "thresholds": [pair.model_dump(mode="json") for pair in thresholds],
        "seed": seed,
        "fold": fold,
        "runtime": params.runtime,
        "images": [[Path(image.file_name).name, image_identity(folder / image.file_name)] for image in images],
    }
    checkpoints = Checkpoints(scratch, f"{name}-{seed}", fingerprint(settings, [first, cache]))
    like = settings | {"train": training.model_dump(mode="json", exclude={"updates"})}
    with (
        checkpoints if fabric.is_global_zero else nullcontext(),
        _stopping(checkpoints),
        progress_report(f"train {name}-{seed}", training.updates) as report,
    ):
        if params.machine.decoded_images:
            samples.decoded = decode_images(images, folder, scratch / "decoded")
        if fabric.is_global_zero:
            likeness = fingerprint(like, [first, cache])
            reason = checkpoints.explain(likeness, training.updates, training.learning_rate.schedule)
            if reason is not None:
                print(f"{name}-{seed}: {reason}", file=sys.stderr)
        parents = _parents()

        def updated(run: RunState) -> None:
            checkpoints.check()
            if fabric.is_global_zero:
                report.update(run.update, f"loss {run.history[-1][1]['loss']:.3f}" if run.history else "")
            if stop_with_parent and _parents() != parents:
                raise AlfnetError(
                    f"the command that started this training has ended; stopped too. {_kept(checkpoints)}"
                )

        # In the scratch folder, since what is beside `out` may be deleted before a killed run is taken up again.
        kept = checkpoints.folder / SNAPSHOTS

        def keep(update: int, network: ALFNet) -> None:
            kept.mkdir(exist_ok=True)
            origin = training_origin(params, name, seed, len(images), updates=update)
            save(copy.deepcopy(network), kept / snapshot_name(update), origin)

        tested = train(
            network,
            samples,
            training,
            thresholds,
            params.machine,
            fabric=fabric,
            checkpoints=checkpoints,
            on_update=updated,
            on_snapshot=keep,
        )
        if fabric.is_global_zero:
            save(tested, out, training_origin(params, name, seed, len(images)))
            every = training.snapshot_every or training.updates
            # The last update's is the detector itself; a longer run or another interval may have left more.
            _hand_over(kept, out.parent / SNAPSHOTS, range(every, training.updates, every))
            checkpoints.remove_superseded()
        fabric.barrier()


def make_network(first: Path, seed: int) -> ALFNet:
    """The network that `first` describes, its weights drawn from the seed but for those that `first` holds.

    Networks of one seed that share layers share their first weights (`ALFNet.initialise`).
    """
    network = ALFNet(read_network_settings(first))
    network.initialise(np.random.Generator(np.random.PCG64(seed)))
    load_backbone_weights(network, first)
    return network


def save(network: ALFNet, out: Path, origin: Mapping[str, str]) -> None:
    """Write a detector with what the report needs to know of it, and what it was trained on."""
    network.cpu().save(out, extra={"parameters": str(count_parameters(network)), **origin})


def snapshot_name(update: int) -> str:
    """The file of the weights after `update`; names sort by update."""
    return f"{update:07d}.safetensors"


def _hand_over(kept: Path, out: Path, updates: Sequence[int]) -> None:
    """Copy the snapshots of `updates` to the folder `out`, with a list of them, since a pipeline warns of empty folders."""
    with atomic_path(out) as temporary:
        temporary.mkdir()
        for update in updates:
            shutil.copyfile(kept / snapshot_name(update), temporary / snapshot_name(update))
        write_json(temporary / "kept.json", {"updates": list(updates)})


def _what_counts(training: TrainSettings) -> dict[str, Any]:
    """The settings that tell one run from another. At a constant rate a longer run begins as a shorter one does."""
    settings = training.model_dump(mode="json")
    if training.learning_rate.schedule == "constant":
        del settings["updates"]
    return settings


def _kept(checkpoints: Checkpoints) -> str:
    update = checkpoints.newest()
    if not update:
        return "There is no checkpoint yet: the same command begins anew"
    return f"Kept: the checkpoint after update {update} in {checkpoints.folder}; the same command goes on from there"


@contextmanager
def _stopping(checkpoints: Checkpoints) -> Iterator[None]:
    """Within the block SIGTERM and Ctrl-C end the training with a line that says what is kept."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        checkpoints.ending = KeyboardInterrupt() if number == signal.SIGINT else _TerminatedError()
        raise checkpoints.ending

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    if before[signal.SIGINT] is not signal.default_int_handler:
        del before[signal.SIGINT]  # ignored, as in what a shell starts in the background
    try:
        for number in before:
            signal.signal(number, end)
        yield
    except _TerminatedError:
        print(f"stopped (SIGTERM). {_kept(checkpoints)}", file=sys.stderr, flush=True)
        sys.exit(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted. {_kept(checkpoints)}") from None
    finally:
        for number, handler in before.items():
            if handler is not None:  # set by something that is not Python
                signal.signal(number, handler)


class _TerminatedError(BaseException):
    """SIGTERM has come; nothing that mends errors may catch it."""


def _parents() -> tuple[int, ...]:
    """The process that started this one, and behind a shell the one that started that."""
    parent = os.getppid()
    try:
        name, rest = Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)
    except OSError:
        return (parent,)
    if name.split("(", 1)[1] not in SHELLS:
        return (parent,)
    return (parent, int(rest.split()[1]))
