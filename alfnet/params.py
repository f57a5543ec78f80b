"""The pipeline's parameters: the types behind params.yaml, checked as a whole before any work starts.

Every value stands in params.yaml; the classes here hold no second set of defaults. Fields that may be left out are
optional parts (`thresholds`, `weights`, ... of a variant), and their docstring says what then holds.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from alfnet.errors import AlfnetError
from alfnet.yaml_file import read_yaml

Backbone = Annotated[str, Field(pattern=r"^(resnet50|mobilenet|timm/[A-Za-z0-9_]+)$")]
"""resnet50 and mobilenet as published, or timm/NAME: any model of timm with feature maps at strides 8, 16 and 32."""
DataFormat = Literal["citypersons", "coco", "caltech", "crowdhuman", "eurocity", "pennfudan"]
Section = TypeVar("Section", bound=BaseModel)
Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
_BOUNDS = r"(>=\s*[0-9.]+|[0-9.]*\s*-\s*[0-9.]*)"
SubsetName = Annotated[
    str,
    Field(
        pattern=r"^(citypersons|r-ho|pedestron|caltech|caltech-new|crowdhuman|heights"
        rf"|[^=]{{1,40}}=\s*(height|visible)\s*:\s*{_BOUNDS}\s*(,\s*(height|visible)\s*:\s*{_BOUNDS}\s*)?)$"
    ),
]
"""Published subsets by the name of their set (`alfnet.evaluation.subsets`), or one's own: NAME=height:50-,visible:0.2-0.65."""
Fraction = Annotated[float, Field(ge=0, le=1)]
VariantName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]  # names folders and files
Side = Annotated[int, Field(gt=0, multiple_of=64)]  # the coarsest level has stride 64


class Settings(BaseModel):
    """A section: unknown keys, wrong types (no silent conversion) and non-finite numbers are refused."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class SplitSettings(Settings):
    """How a seeded rule parts one annotation file of both splits."""

    seed: Seed
    folds: Annotated[int, Field(ge=2)]
    """The images are dealt into so many parts of equal size; fold 0 is val, the others train."""
    cross_validation: bool
    """Every fold is val once: the training with seed S is tested on fold (S - 1) modulo folds, so that the seeds 1 to
    `folds` test on every image once, and the mean over the seeds is the mean over the folds."""


class DataSettings(Settings):
    """The data set: where its images and annotations are, in which format, and what of it is trained on.

    Formats: citypersons (anno_train.mat and anno_val.mat, or the folders of JSON files), coco, caltech (.vbb or the new
    annotations' texts), crowdhuman (.odgt), eurocity (JSON) and pennfudan (PASCAL texts).
    """

    name: VariantName
    """What the report calls it. The paper's figures belong beside results on citypersons and caltech only."""
    format: DataFormat
    folder: Annotated[str, Field(min_length=1)]
    """The data set's folder, with its images and mostly its annotations."""
    images: str
    """Below `folder`: the folder that the names of images are relative to (CityPersons: leftImg8bit)."""
    train_images: str
    """Below `folder`: the images of train. Training watches this folder alone, so that val may change without it."""
    val_images: str
    """Below `folder`: the images of val; it may be the same folder."""
    annotations: str
    """The folder with the annotation files."""
    train_annotations: str
    """Below `annotations`: train's file, or its folder where the format has a file per image."""
    val_annotations: str
    category: str | None
    """Of a COCO file: the name of the category of people; null: it has one category only."""
    height: Positive | None
    """Of all images, pixels; null: they are of any sizes, which the format tells."""
    width: Positive | None
    minimum_pedestrian_height: Annotated[float, Field(ge=0)]
    """Pixels; a lower pedestrian is an ignore region in training (50 as published for CityPersons)."""
    minimum_visible_ratio: Fraction
    """A pedestrian of whom less is visible is an ignore region in training (0 as published)."""
    covered: Annotated[float, Field(gt=0, le=1)] | None
    """A pedestrian is left out of training where ignore regions cover this part of its area (0.5 as published)."""
    split: SplitSettings | None
    """null: train and val are annotated apart."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width: give both, or null for both where the images are of any sizes")
        for key in ("train_images", "val_images"):
            folder = PurePosixPath(getattr(self, key))
            if PurePosixPath(self.images) not in (folder, *folder.parents):
                raise ValueError(f"{key}: {folder} must be the folder of images ({self.images}) or lie in it")
        same = self.train_annotations == self.val_annotations
        if same and self.split is None:
            raise ValueError(
                "split: train_annotations and val_annotations are the same, so a rule must part them: "
                "give split.seed, split.folds and split.cross_validation"
            )
        if not same and self.split is not None:
            raise ValueError("split: null was expected, since train_annotations and val_annotations are two files")
        return self

    @property
    def images_folder(self) -> Path:
        """The folder that the names of images in the caches are relative to."""
        return Path(self.folder) / self.images

    @property
    def folds(self) -> int | None:
        """The number of folds under cross-validation, None without it."""
        return self.split.folds if self.split is not None and self.split.cross_validation else None

    def fold(self, seed: int) -> int | None:
        """The fold that a training with this seed is tested on; None without cross-validation."""
        return None if self.folds is None else (seed - 1) % self.folds

    @property
    def gallery_folder(self) -> Path:
        """The folder that names in the ground truth are relative to (CityPersons' tell city and file only)."""
        return Path(self.folder) / self.val_images if self.format == "citypersons" else self.images_folder


class LayoutSettings(Settings):
    """Where a rendered data set takes its pedestrians from: given CityPersons .mat files instead of the generator.

    `$NAME` in a path stands for what the environment holds under that name.
    """

    train: str
    val: str


class SyntheticSettings(Settings):
    """A data set of rendered street scenes, in CityPersons' own formats."""

    seed: Seed
    height: Side
    width: Side
    train_images: Positive
    val_images: Positive
    layout: LayoutSettings | None
    """null: positions and sizes come from the generator."""


class PrepareSettings(Settings):
    """A data set that is fetched and whose images are scaled into frames of one size, in data/NAME.

    The stages read the result as `data.format: coco`: data/NAME/images/*.png and data/NAME/annotations.json.
    """

    format: Literal["pennfudan", "coco"]
    """Of the source: PennFudanPed.zip (or its folder), or a folder with images and COCO files."""
    url: str
    """https:// or file:///path of a file or folder."""
    images: str | None
    """coco: the folder of the images; null: images/ beside the COCO file, or its own folder."""
    category: str | None
    """coco: the category of people; null: it has one category only."""
    bytes: Positive | None
    """Of the file that is fetched or, a COCO file, read; null: not checked."""
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None
    height: Side
    """Of the frames, pixels. Larger images are shrunk to fit; the rest of a frame is grey."""
    width: Side


class BackboneSettings(Settings):
    """A backbone, and where its first weights come from."""

    init: Literal["random", "download"]
    width: Annotated[float, Field(gt=0, le=1)]
    """Multiplies the numbers of channels; 1.0 as published."""
    url: str | None
    """For init: download, a Keras 2 HDF5 file (of timm/NAME: timm's model.safetensors), or a weight file of alfnet's
    (.safetensors), of a detector too, whose backbone is taken: https://, file://, or a path in the project."""
    bytes: Positive | None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None
    batch_norm: Literal["fixed", "trained"]
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)]
    """Share of a new batch in the running statistics (1 - Keras' momentum)."""
    freeze: bool
    """Freeze the first layers as published (ResNet-50: stem and stage 2; MobileNet: conv1 and block 1)."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.init == "download" and self.url is None:
            raise ValueError("init: download needs a url")
        if self.init == "random" and (self.batch_norm == "fixed" or self.freeze):
            raise ValueError(
                "random weights cannot be frozen: with init: random set batch_norm: trained and freeze: false"
            )
        return self


class AnchorSettings(Settings):
    """The anchors (the paper's default boxes) of the four levels."""

    widths: Annotated[list[list[Annotated[float, Field(gt=0)]]], Field(min_length=4, max_length=4)]
    """Pixels, per level of stride 8, 16, 32, 64."""
    ratio: Annotated[float, Field(gt=0)]
    """Width / height."""

    @field_validator("widths")
    @classmethod
    def _same_number(cls, widths: list[list[float]]) -> list[list[float]]:
        if len({len(level) for level in widths}) != 1 or not widths[0]:
            raise ValueError("every level needs the same number of widths, at least one")
        return widths


class HeadSettings(Settings):
    """The layers behind the backbone."""

    width: Annotated[float, Field(gt=0, le=1)]
    """Multiplies the channels of P3 (512), P6 (256) and the predictor blocks (256); 1.0 as published."""
    anchors: AnchorSettings


class IouThresholds(Settings):
    """IoU to the ground truth: below `lower` an anchor is negative, from `upper` on positive."""

    lower: Fraction
    upper: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(f"lower ({self.lower}) must not be above upper ({self.upper})")
        return self


class TargetSettings(Settings):
    """How boxes become positives and negatives."""

    thresholds: dict[str, list[IouThresholds]]
    """Per number of steps ('1', '2', '3', ...) the thresholds of each step; a variant may name its own."""
    later_steps: Literal["positives_first", "valid_first"]
    """The assignment from step 2 on; step 1 is always positives_first."""

    @field_validator("thresholds")
    @classmethod
    def _one_each(cls, thresholds: dict[str, list[IouThresholds]]) -> dict[str, list[IouThresholds]]:
        for steps, pairs in thresholds.items():
            if not steps.isdecimal() or int(steps) != len(pairs):
                raise ValueError(
                    f"key {steps!r} has {len(pairs)} pairs: the key is the number of steps, with a pair for each"
                )
        return thresholds


def _ordered(ends: list[float]) -> list[float]:
    if ends[0] > ends[1]:
        raise ValueError(f"{ends}: the first number of a range must not be above the second")
    return ends


class ColourSettings(Settings):
    """Other colours for a crop, so that people are learnt whatever they wear; not in the paper."""

    probability: Fraction
    """0: every crop keeps its colours, as published."""
    contrast: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)]
    """The distance of colours from the crop's mean grey is multiplied by a factor from this range."""
    saturation: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=2, max_length=2)]
    """The distance from grey likewise; 0 makes a grey picture."""
    hue: Annotated[float, Field(ge=0, le=180)]
    """Hues turn by at most this, either way (degrees)."""

    @field_validator("contrast", "saturation")
    @classmethod
    def _range(cls, ends: list[float]) -> list[float]:
        return _ordered(ends)


class AugmentSettings(Settings):
    """The published augmentation: brightness, flip, crop around a pedestrian, resize; and other colours where asked for."""

    height: Side
    width: Side
    brightness: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)]
    """HSV value is multiplied by a factor from this range."""
    brightness_probability: Fraction
    flip_probability: Fraction
    scale: Annotated[list[Annotated[float, Field(gt=0, le=8)]], Field(min_length=2, max_length=2)]
    """The crop's sides as a fraction of the image's; above 1 the image is shrunk, with grey round it."""
    pedestrian_inside: Fraction
    """A pedestrian keeps if at least this part of its area is inside the crop."""
    pedestrian_width: Annotated[float, Field(ge=0)]
    """and its width after the resize is at least this (px)."""
    ignore_area: Annotated[float, Field(ge=0)]
    """An ignore region keeps if its area before the resize is larger (px2)."""
    ignore_side: Annotated[float, Field(ge=0)]
    """and both sides after the resize are at least this (px)."""
    colour: ColourSettings

    @field_validator("brightness", "scale")
    @classmethod
    def _range(cls, ends: list[float]) -> list[float]:
        return _ordered(ends)


class LearningRateSettings(Settings):
    """Adam's learning rate over the updates."""

    peak: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "drop", "one_cycle"]
    drop_at: Fraction
    """drop: the fraction of the updates after which the rate falls."""
    drop_factor: Annotated[float, Field(gt=0, le=1)]


class TrainSettings(Settings):
    """The training run, the same for all variants."""

    updates: Positive
    """Batches; with steps: alternating each batch makes one Adam update per step."""
    batch: Positive
    """Images per update, over all devices."""
    images_per_device: Positive
    """Images in memory at once on a device; gradients are accumulated up to `batch`."""
    learning_rate: LearningRateSettings
    adam_betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    """Decays of Adam's averages of the gradient and of its square."""
    weight_decay: Annotated[float, Field(ge=0)]
    steps: Literal["joint", "alternating"]
    """joint: one update on the summed losses (paper). alternating: one update per step (2018 code)."""
    weight_average: Annotated[float, Field(ge=0, lt=1)] | None
    """Decay per update of the moving average that is then tested; null tests the last weights."""
    init_from: str | None
    """A detector (a file of `alfnet`, best in weights/detectors/, which the pipeline watches) whose weights training starts
    from, as far as they fit; null: from the backbone's (docs/training.md)."""
    snapshot_every: Positive | None
    """Updates between the weights that are kept for validation (`evaluate.tested`); null keeps the last alone."""
    targets: TargetSettings
    augment: AugmentSettings
    precision: Literal["32-true", "bf16-mixed"]
    """bf16-mixed: convolutions and products in bfloat16, weights in float32; for GPUs that have it."""
    channels_last: bool
    """Maps in memory pixel by pixel instead of channel by channel: faster on CPUs and on tensor cores."""
    compile: bool
    """torch.compile for the network: a minute of compiling, then faster updates; needs a C++ compiler, on GPUs Triton."""
    tf32: bool
    """Convolutions and products in TensorFloat-32 on GPUs that have it: faster, with ten bits of mantissa."""
    log_every: Positive
    """Updates between two points of the training curves, which are means over them."""


class MachineSettings(Settings):
    """What a run is computed with; no stage depends on it, since it decides how fast a result is there, not which."""

    accelerator: Literal["auto", "cpu", "cuda"]
    """Of training and detection; auto: a GPU where there is one."""
    devices: Positive
    """Of one training, per node. Detection uses one."""
    nodes: Positive
    """Machines of one training."""
    workers: Annotated[int, Field(ge=0)]
    """Processes that load images, per device; the batches do not depend on it."""
    checkpoint_every: Positive
    """Updates between checkpoints."""
    decoded_images: bool
    """Keep the decoded training images in the scratch folder (as many bytes as they have pixels x 3, shared by all
    trainings) instead of decoding an image for every sample; false: decode, and keep 2 GB of them in memory."""


class DetectSettings(Settings):
    """From predictions to final boxes (published values: product, 0.1, 0.5, 16, 6000, 100)."""

    scores: Literal["product", "mean"]
    """How the scores of the steps up to the one that is tested become one."""
    score_threshold: Fraction
    nms_iou: Fraction
    minimum_side: Annotated[float, Field(ge=0)]
    before_nms: Positive
    after_nms: Positive


class EvaluateSettings(Settings):
    """The miss rates that are computed."""

    protocol: Literal["citypersons", "caltech-original", "caltech-new", "caltech-new-2016", "crowdhuman"]
    """The benchmark whose rules of matching and averaging hold (`alfnet.evaluation.protocol`)."""
    subsets: Annotated[list[SubsetName], Field(min_length=1)]
    """Of the pedestrians. Reasonable (from 50 px, 65 % visible), which the tables rank by, is always the first of them."""
    iou: Annotated[list[Annotated[float, Field(ge=0.5, le=0.95)]], Field(min_length=1)]
    tested: Literal["last", "best"]
    """Which weights of a training are tested: the last, or of those kept every `train.snapshot_every` updates and the last
    the ones with the lowest miss rate on the validation images (Reasonable, IoU 0.5, last step), as figures are often
    published; they look better than they are, since the same images chose them."""

    @field_validator("iou")
    @classmethod
    def _has_paper_thresholds(cls, iou: list[float]) -> list[float]:
        if not {0.5, 0.75} <= set(iou) or len(set(iou)) != len(iou):
            raise ValueError(f"{iou}: each threshold once, and 0.5 and 0.75, which the tables need, among them")
        return iou


class ReportSettings(Settings):
    """What the report shows."""

    image_width: Positive
    """Pixels to which wider images are scaled down on the page; every validation image is there."""


class DeploySettings(Settings):
    """Which detectors are exported, quantised to int8 and evaluated again, as the files that another runtime runs."""

    variants: list[VariantName]
    """Each of these variants, with every seed; empty: no such stage."""
    format: Literal["openvino", "onnx"]
    """Of the files, and so the runtime that they are measured with."""
    calibration_images: Positive
    """Training images, evenly over the data set, on which int8 sees how large activations get."""

    @field_validator("variants")
    @classmethod
    def _different(cls, variants: list[str]) -> list[str]:
        if len(set(variants)) != len(variants):
            raise ValueError(f"{variants}: each variant once")
        return variants


class VariantSettings(Settings):
    """A row of the ablation table: a backbone and a number of steps."""

    backbone: Backbone
    steps: Annotated[int, Field(ge=1, le=6)]
    thresholds: list[IouThresholds] | None = None
    """Left out: those of train.targets.thresholds for this number of steps."""
    updates: Positive | None = None
    """Left out: train.updates."""
    weights: str | None = None
    """An imported detector in weights/detectors/ to use instead of training."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.thresholds is not None and len(self.thresholds) != self.steps:
            raise ValueError(
                f"{len(self.thresholds)} threshold pairs for {self.steps} steps: one pair per step is needed"
            )
        if self.weights is not None and Path(self.weights).parent != Path("weights/detectors"):
            raise ValueError(
                f"weights: {self.weights} must lie in weights/detectors/, the folder that the pipeline watches"
            )
        return self


class Params(Settings):
    """All of params.yaml."""

    profile: str
    """The file in profiles/ that these parameters come from."""
    runtime: Literal["portable", "native"]
    """portable: the same bytes on every x86-64 machine with AVX2. native: faster, and different from machine to machine."""
    seeds: Annotated[list[Seed], Field(min_length=1)]
    """Every variant is trained once with each: its first weights, the order of the images and their augmentation."""
    machine: MachineSettings
    data: DataSettings
    synthetic: dict[VariantName, SyntheticSettings]
    prepare: dict[VariantName, PrepareSettings]
    backbones: dict[Backbone, BackboneSettings]
    head: HeadSettings
    train: TrainSettings
    detect: DetectSettings
    evaluate: EvaluateSettings
    report: ReportSettings
    deploy: DeploySettings
    variants: Annotated[dict[VariantName, VariantSettings], Field(min_length=1)]

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"{seeds}: each seed once")
        return seeds

    @model_validator(mode="after")
    def _possible(self) -> Self:
        processes = self.machine.devices * self.machine.nodes
        if self.train.batch % (self.train.images_per_device * processes):
            raise ValueError(
                f"train.batch ({self.train.batch}) must be a multiple of train.images_per_device x machine.devices x "
                f"machine.nodes ({self.train.images_per_device} x {self.machine.devices} x {self.machine.nodes})"
            )
        for name, variant in self.variants.items():
            if variant.backbone not in self.backbones:
                raise ValueError(
                    f"variants.{name}.backbone: {variant.backbone} is not among backbones ({', '.join(self.backbones)}); give "
                    "it an entry there (docs/training.md)"
                )
            if (
                variant.weights is None
                and variant.thresholds is None
                and str(variant.steps) not in self.train.targets.thresholds
            ):
                raise ValueError(
                    f"variants.{name}: train.targets.thresholds has no entry for {variant.steps} steps; "
                    f"add one, or give variants.{name}.thresholds"
                )
        if self.evaluate.tested == "best" and self.train.snapshot_every is None:
            raise ValueError(
                "evaluate.tested: best has one set of weights to choose from; set train.snapshot_every to a number of updates"
            )
        if unknown := [name for name in self.deploy.variants if name not in self.variants]:
            raise ValueError(f"deploy.variants: {unknown[0]} is not among variants ({', '.join(self.variants)})")
        if both := sorted(self.synthetic.keys() & self.prepare.keys()):
            raise ValueError(f"synthetic.{both[0]} and prepare.{both[0]} would both write data/{both[0]}; rename one")
        for name, rendered in self.synthetic.items():
            if self.data.folder == f"data/{name}" and (rendered.height, rendered.width) != (
                self.data.height,
                self.data.width,
            ):
                raise ValueError(
                    f"synthetic.{name} renders {rendered.height} x {rendered.width} pixels, but data says "
                    f"{self.data.height} x {self.data.width} (height x width); make them equal"
                )
        if self.runtime == "portable" and (self.train.precision != "32-true" or self.train.compile):
            raise ValueError(
                "runtime: portable needs train.precision: 32-true and train.compile: false; or set runtime to native"
            )
        if self.runtime == "portable" and (self.machine.accelerator != "cpu" or processes != 1):
            raise ValueError(
                "runtime: portable promises the same bytes everywhere and trains in one process on the CPU alone; "
                "set machine.accelerator to cpu, machine.devices and machine.nodes to 1, or runtime to native"
            )
        return self

    def variant(self, name: str) -> VariantSettings:
        """The settings of a variant; AlfnetError for a name that is not there."""
        try:
            return self.variants[name]
        except KeyError:
            raise AlfnetError(f"variants.{name}: no such variant; there are {', '.join(self.variants)}") from None

    def check_seed(self, seed: int) -> int:
        """Return `seed`; AlfnetError for one that is not among `seeds`."""
        if seed not in self.seeds:
            raise AlfnetError(f"seed {seed}: not among the seeds of params.yaml, {', '.join(map(str, self.seeds))}")
        return seed

    def training(self, name: str) -> TrainSettings:
        """The training of a variant: `train`, with the variant's own number of updates where it has one."""
        updates = self.variant(name).updates
        return self.train if updates is None else self.train.model_copy(update={"updates": updates})

    def thresholds(self, name: str) -> list[IouThresholds]:
        """The training IoU thresholds of a variant, one pair per step."""
        variant = self.variant(name)
        return variant.thresholds or self.train.targets.thresholds[str(variant.steps)]


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check a parameter file. Raises AlfnetError with the path, value and remedy of everything that is wrong.

    Also where DVC's stage `train` has several nodes: it would wait for the processes of the others, which nobody starts.
    """
    raw = read_yaml(path, advice="run in the project's folder, or make it with: alfnet profile mini")
    params = check_params(raw, str(path))
    if "train@" in os.environ.get("DVC_STAGE", ""):
        check_one_node(params)
    return params


def check_one_node(params: Params) -> None:
    """Raise AlfnetError where a training in the pipeline would have several nodes."""
    if params.machine.nodes > 1:
        raise AlfnetError(
            f"machine.nodes: {params.machine.nodes}: a pipeline's stage runs on one node; start the training by torchrun on "
            "every node (docs/dvc.md), or set nodes: 1"
        )


_EXPLAINED = 30
"""At most so many faults of a file are explained at once."""


def check_params(raw: Any, where: str) -> Params:
    """Check the content of a parameter file; `where` names it in the messages."""
    return check_section(Params, raw, where)


def check_section(section: type[Section], raw: Any, where: str) -> Section:
    """Check the content of one section; `where` names its source in the messages."""
    try:
        return section.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = [f"{where}: {_explain(detail, section)}" for detail in details[:_EXPLAINED]]
        more = [f"{where}: and {len(details) - _EXPLAINED} more"] if len(details) > _EXPLAINED else []
        raise AlfnetError("\n".join(lines + more)) from None


def _explain(detail: Any, section: type[BaseModel]) -> str:
    location = [str(part) for part in detail["loc"] if part != "[key]"]
    path = ".".join(location) or "(whole file)"
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], _known_keys(section), n=1)
        hint = f"did you mean {near[0]}?" if near else "remove it"
        return f"{path}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{path}: missing; the files in profiles/ show every key"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":  # the message names the values
        return message if not location else f"{path}: {message}"
    return f"{path}: {detail['input']!r}: {message[0].lower()}{message[1:]}"


def _known_keys(model: type[BaseModel]) -> set[str]:
    keys: set[str] = set()
    pending: list[Any] = [model]
    while pending:
        current = pending.pop()
        if isinstance(current, type) and issubclass(current, BaseModel):
            keys.update(current.model_fields)
            pending.extend(field.annotation for field in current.model_fields.values())
        else:
            pending.extend(getattr(current, "__args__", ()))
    return keys
