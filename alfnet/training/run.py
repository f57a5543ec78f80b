"""Training a variant of the parameter file, from its first weights to the detector on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from alfnet.annotations.cache import load_fold
from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet, count_parameters, load_backbone_weights, read_network_settings
from alfnet.network.weight_files import weights_kind
from alfnet.params import IouThresholds, MachineSettings, Params, TrainSettings
from alfnet.progress import progress_report
from alfnet.training.checkpoints import Checkpoints, fingerprint
from alfnet.training.samples import TrainingSamples
from alfnet.training.train import Losses, image_paths, make_fabric, train

# Decoded pictures are kept in memory up to this size; what does not fit is read again every epoch.
DECODED_BYTES = 2 * 2**30

OnLog = Callable[[int, Losses], None]


def train_variant(
    params: Params,
    name: str,
    seed: int,
    *,
    first: Path,
    cache: Path,
    out: Path,
    scratch: Path,
    make_logger: Callable[[], OnLog],
) -> None:
    """Train variant `name` with `seed` and write the detector to `out`.

    first: its first weights and network (`write_first_weights`); a detector there is taken as it is, without training.
    cache: the training cache.
    scratch: where checkpoints live until the run has ended; a run that was killed goes on from there.
    make_logger is called on the first process alone, and what it returns gets each update's mean losses.

    Raises AlfnetError for weights, a cache or images that do not fit, and for a loss that is not finite.
    """
    variant = params.variant(name)
    if weights_kind(first) == "detector":
        model = ALFNet.load(first)
        found = (model.settings.backbone, model.settings.steps)
        if found != (variant.backbone, variant.steps):
            raise AlfnetError(
                f"{variant.weights}: a detector of {found[0]} with {found[1]} steps, but variants.{name} says "
                f"{variant.backbone} with {variant.steps}; correct the variant, or name another file"
            )
        save(model, out)
        return

    training = params.training(name)
    machine = params.machine
    fabric = make_fabric(training, machine)
    fold = params.data.fold(seed)
    images = load_fold(cache, "train", fold)
    samples = TrainingSamples(
        images,
        params.data.images_folder,
        training.augment,
        seed=seed,
        cache_bytes=DECODED_BYTES,
    )
    model = make_model(first, seed)
    thresholds = params.thresholds(name)
    run = {
        "network": model.settings.model_dump(mode="json"),
        "train": training.model_dump(mode="json"),
        "thresholds": [pair.model_dump(mode="json") for pair in thresholds],
        "seed": seed,
        "fold": fold,
        "runtime": params.runtime,
    }
    run_name = f"{name}-{seed}"
    checkpoints = Checkpoints(scratch, run_name, fingerprint(run, [first, cache], image_paths(samples)))
    on_log = make_logger() if fabric.is_global_zero else _log_nothing
    tested = _train_with_progress(run_name, model, samples, training, thresholds, machine, fabric, checkpoints, on_log)
    if fabric.is_global_zero:
        save(tested, out)
        checkpoints.remove()
    fabric.barrier()


def make_model(first: Path, seed: int) -> ALFNet:
    """The network that `first` describes, its weights drawn from the seed but for those that `first` holds.

    Networks of one seed that share layers share their first weights (`ALFNet.initialise`).
    """
    model = ALFNet(read_network_settings(first))
    model.initialise(np.random.Generator(np.random.PCG64(seed)))
    load_backbone_weights(model, first)
    return model.to(memory_format=torch.channels_last)  # a tenth faster on CPUs and tensor cores


def save(model: ALFNet, out: Path) -> None:
    """Write a detector with what the report needs to know of it."""
    model.cpu().save(out, extra={"parameters": str(count_parameters(model))})


def _train_with_progress(
    name: str,
    model: ALFNet,
    samples: TrainingSamples,
    settings: TrainSettings,
    thresholds: Sequence[IouThresholds],
    machine: MachineSettings,
    fabric: Fabric,
    checkpoints: Checkpoints,
    on_log: OnLog,
) -> ALFNet:
    with progress_report(f"train {name}", settings.updates) as report:
        detail = ""

        def log(update: int, losses: Losses) -> None:
            nonlocal detail
            detail = f"loss {losses['loss']:.3f}"
            on_log(update, losses)

        def updated(update: int) -> None:
            if fabric.is_global_zero:
                report.update(update, detail)

        return train(
            model,
            samples,
            settings,
            thresholds,
            machine,
            fabric=fabric,
            checkpoints=checkpoints,
            on_log=log,
            on_update=updated,
        )


def _log_nothing(update: int, losses: Losses) -> None:
    pass
