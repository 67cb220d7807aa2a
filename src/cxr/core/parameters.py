"""PARAMS.json as frozen models: one class a stage, one described field a key. The reference of every parameter."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cxr.core.findings import FINDINGS, checked_names
from cxr.core.members import BACKBONES, EFFICIENTNETS, FAMILIES, backbone_of, training_of

Fraction = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[int, Field(ge=32, le=2048)]
OutputStride = Literal[8, 16, 32]
LabelPolicy = Literal["negative", "positive", "ignore"]
METHOD_NAMES = {"hirescam": "HiResCAM", "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "layercam": "LayerCAM"}
MAP_METHODS = tuple(METHOD_NAMES)
OF_LAST_LAYER = MAP_METHODS[1:]  # from the forward pass that gives the probabilities
NAMED_WEIGHTS = ("imagenet", "none", "drawn")  # first weights that are no file
PYTORCH_SUFFIXES = (".safetensors", ".pt", ".pth", ".pth.tar")  # other files of first weights are Keras'


def as_now(content: dict[str, Any]) -> dict[str, Any]:
    """Keys and values of an older PARAMS.json as they are called now: TENSORBOARD is a value of TRACKING."""
    old = content.get("TENSORBOARD")
    if not isinstance(old, bool):
        return content
    now = {"TRACKING": "tensorboard" if old else ""} | content
    return {key: value for key, value in now.items() if key != "TENSORBOARD"}


class Stage(BaseModel):
    """Parameters of one stage: a lower-case field for each upper-case key of the JSON file; nothing is converted."""

    model_config = ConfigDict(alias_generator=str.upper, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class GeneralParams(Stage):
    findings: tuple[str, ...] = Field(
        FINDINGS, min_length=1, max_length=30, description="what is looked for: names that a source in use labels"
    )
    class_num: int = Field(len(FINDINGS), description="number of findings: the length of FINDINGS")
    seed: int = Field(1, ge=0, lt=2**32, description="of all randomness: splits, first weights, order, augmentation")
    workers: int = Field(0, ge=0, description="processes that read films, and loader threads; 0 = one per CPU core")
    tracking: Literal["", "tensorboard", "mlflow"] = Field("", description='where runs are logged too; "" = nowhere')

    @field_validator("findings")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_names(value)


class TableParams(Stage):
    views: tuple[Literal["PA", "AP", "LATERAL"], ...] = Field(("PA", "AP"), min_length=1, description="views kept")
    abnormal_only: bool = Field(False, description="true drops films with none of the findings, as the original did")
    uncertain_labels: dict[str, LabelPolicy] = Field(
        {"Edema": "positive"}, description="labels of -1, per finding: negative, positive or ignore; unnamed: ignore"
    )
    blank_labels: dict[str, LabelPolicy] = Field(
        {},
        description="blank labels, per finding: negative, positive or ignore; unnamed: as the source means them "
        "(CheXpert: negative; own table: not known)",
    )
    split: Literal["patient", "image"] = Field("patient", description="image = the original's leaking split")
    chexpert_test: Literal["valid", "official", "hash", "both"] = Field(
        "valid",
        description="CheXpert's test: expert-labelled valid.csv, official test set, a share of patients, or both",
    )
    test_fraction: Fraction = Field(0.2, description="share of patients held out where there is no official test list")
    val_fraction: Fraction = Field(0.1, description="share of the remaining patients for validation")
    train_sources: tuple[str, ...] = Field(
        (), description="sources whose films are trained and validated on, others are only tested on; [] = all"
    )
    hash_ids: str = Field("", description='file with a secret key: ids become keyed hashes; "" = as released')


class UnetParams(Stage):
    lung_films: Literal["real", "drawn", "both"] = Field("both", description="lung films that the U-Net learns from")
    drawn_lung_films: int = Field(1500, ge=100, description="films drawn for the U-Net")
    unet_input_size: Size = Field(256, multiple_of=16, description="side of its input, pixels; a multiple of 16")
    unet_filters: int = Field(16, ge=4, le=256, description="filters of the first of the U-Net's levels")
    unet_dropout: float = Field(0.2, ge=0, lt=1, description="dropout at the bottom of the U-Net")
    unet_epochs: int = Field(60, ge=1, description="passes over the lung films where all are real")
    unet_drawn_epochs: int = Field(5, ge=1, description="passes over them where drawn films are among them")
    unet_batch_size: int = Field(4, ge=1, description="lung films a step")
    unet_learning_rate: float = Field(1e-3, gt=0, description="of AdamW, falling along a cosine")
    unet_augmentation: Fraction = Field(0.9, description="share of lung films that are augmented, strongly")
    unet_val_fraction: Fraction = Field(0.1, description="share of lung patients for validation")
    unet_test_fraction: Fraction = Field(0.15, description="share of lung patients held out for the Dice")
    unet_test_sets: tuple[Literal["montgomery", "shenzhen", "jsrt", "own"], ...] = Field(
        (), description="hold out these whole lung sets instead: how the U-Net does on hospitals it never saw"
    )


class PackParams(Stage):
    fit: Literal["pad", "squash"] = Field("pad", description="how a film becomes a square; squash = the original's way")
    lung_masking: Literal["loose", "hard", "crop", "none"] = Field("loose", description="what is kept of a film")
    lung_margin: float = Field(0.04, ge=0, le=0.5, description="margin around the lungs (loose, crop), share of side")
    lung_threshold: float = Field(0.5, gt=0, lt=1, description="U-Net probability from which a pixel is lung")


class ModelParams(Stage):
    ensemble_members: tuple[str, ...] = Field(
        ("densenet169", "inceptionv3", "xception"), min_length=1, description="networks; xception@2: of another seed"
    )
    efficientnet_variant: Literal[EFFICIENTNETS] = Field("B6", description="B0-B7, V2B0-V2B3, V2S, V2M or V2L")
    densenet_input_size: Size = Field(512, description="side of the input of DenseNets, pixels")
    inception_input_size: Size = Field(512, description="side of InceptionV3's input, pixels; 75 or more")
    xception_input_size: Size = Field(512, description="side of Xception's input, pixels; 71 or more")
    efficientnet_input_size: Size = Field(512, description="side of EfficientNet's input, pixels")
    input_size: Size = Field(512, description="side of the input of every other network, pixels")
    weights: str | dict[str, str] = Field(
        "imagenet",
        description="first weights: imagenet, none, drawn (learned from drawn films of the findings), a file of Keras "
        "or (DenseNets) PyTorch, or one of these per member",
    )
    weights_range: tuple[float, ...] = Field(
        (),
        max_length=2,
        description="[black, white]: the grays that the network of a PyTorch file takes; [] = as torchxrayvision's "
        "where it takes one channel, -1024 to 1024, else by ImageNet's mean and deviation",
    )
    drawn_films: int = Field(4000, ge=20, description='films drawn for "WEIGHTS": "drawn"')
    drawn_epochs: int = Field(5, ge=1, description="passes over them")
    output_stride: OutputStride | dict[str, OutputStride] = Field(
        32, description="input pixels between places of the last layer: 32, 16 or 8, or one of these per member"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="before the last layer")
    batch_norm_momentum: float = Field(
        0.99, gt=0, lt=1, description="of all batch normalisation, U-Net included; short runs from scratch need 0.9"
    )


class TrainParams(Stage):
    epochs: int = Field(50, ge=1, description="passes over the training films, at most")
    batch_size: int = Field(16, ge=1, description="films a step")
    gradient_accumulation: int = Field(
        1, ge=1, description="batches whose gradients are averaged before a step; batch norm is each batch's own"
    )
    recompute: bool = Field(False, description="classifiers compute activations twice: less memory, slower")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw, or sgd with momentum 0.9")
    learning_rate: float = Field(1e-4, gt=0, description="of the first epoch")
    freeze: Literal["none", "backbone"] | int = Field(
        "none",
        description="backbone = only the last layer learns, from what first weights see (a linear probe); a number: so "
        "many epochs, then all; batch normalisation is as in inference meanwhile",
    )
    freeze_learning_rate: float = Field(1e-3, gt=0, description="of FREEZE: of the last layer alone")
    weight_decay: float = Field(1e-5, ge=0, description="of adamw")
    schedule: Literal["plateau", "cosine", "constant"] = Field("plateau", description="how the learning rate falls")
    plateau_patience: int = Field(3, ge=1, description="epochs without a better val_auroc before the rate is reduced")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="what the rate is then multiplied with")
    early_stopping_patience: int = Field(8, ge=0, description="epochs without a better val_auroc to the end; 0 = never")
    class_weights: Literal["balanced", "none"] = Field(
        "balanced",
        description="balanced = positives of a finding weigh negatives/positives, at most CLASS_WEIGHT_LIMIT",
    )
    class_weight_limit: float = Field(20.0, ge=1, description="largest weight of a positive label")
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "auto", description="auto = bfloat16 or float16 in training on a GPU that has it, else float32"
    )
    xla: Literal["auto", "on", "off"] = Field(
        "auto", description="compile with XLA; auto = off on a TensorFlow CPU; always off on several TensorFlow GPUs"
    )
    member_overrides: dict[str, dict[str, Any]] = Field(
        {}, description='other values for one member: {"xception": {"EPOCHS": 8}}; keys of training and DROPOUT'
    )


class AugmentParams(Stage):
    augmentation: Fraction = Field(0.5, description="share of training films that are augmented at all")
    flip: Fraction = Field(0.25, description="chance of a left-right flip")
    crop: Fraction = Field(0.25, description="chance of a random crop to 75-100 % of the side, zoomed back")
    warp: Fraction = Field(0.5, description="chance of SHIFT, SCALE and ROTATE")
    shift: Fraction = Field(0.06, description="largest shift, share of the side")
    scale: float = Field(0.1, ge=0, lt=1, description="largest change of scale")
    rotate: float = Field(15.0, ge=0, le=180, description="largest rotation, degrees")
    elastic: Fraction = Field(0.0, description="chance of an elastic deformation; slow")
    intensity: Fraction = Field(0.5, description="chance of CONTRAST, GAMMA and BRIGHTNESS")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest change of contrast")
    gamma: float = Field(0.2, ge=0, lt=1, description="largest change of the exponent")
    brightness: float = Field(0.1, ge=0, lt=1, description="largest change of brightness, share of white")
    blur: Fraction = Field(0.1, description="chance of a slight Gaussian blur")
    noise: Fraction = Field(0.1, description="chance of Gaussian noise")


class EvaluationParams(Stage):
    score_batch_size: int = Field(32, ge=1, description="films a step when scoring; when masking too, 8 at most")
    test_time_augmentation: bool = Field(False, description="average the probabilities with those of the flipped film")
    blank_corners: bool = Field(True, description="score test films without their corners too: do markers sway scores?")
    ensemble_weights: Literal["equal", "val"] = Field("equal", description="of members; val: fitted there by finding")
    threshold_rule: Literal["f1", "youden"] = Field("f1", description="what a decision threshold maximises on val")
    bootstrap_replicates: int = Field(1000, ge=0, description="patient resamples behind the 95 % intervals; 0 = none")
    map_method: Literal[MAP_METHODS] = Field(
        "hirescam", description="maps that are drawn and make detections; fixed beforehand, never chosen on test boxes"
    )
    map_threshold: Fraction = Field(
        0.5, description="where boxes are outlined, from a map's mean (0) to its peak (1), unless fitted on val's boxes"
    )
    faithfulness_films: int = Field(200, ge=0, description="test films that are blanked where maps are hot; 0 = none")
    overlays_per_finding: int = Field(24, ge=0, description="overlay films drawn per finding; 0 = every test film")

    @property
    def map_methods(self) -> tuple[str, ...]:
        """Those whose maps are computed: HiResCAM's, which take backward passes, only where they are asked for."""
        return MAP_METHODS if self.map_method == "hirescam" else OF_LAST_LAYER


class DemoParams(Stage):
    demo_nih_films: int = Field(1150, ge=50, description="synthetic frontal films in NIH's layout (run_demo.sh)")
    demo_chexpert_films: int = Field(950, ge=50, description="synthetic frontal films in CheXpert's layout")
    demo_lung_films: int = Field(220, ge=20, description="synthetic films with lung masks")
    demo_film_size: int = Field(512, ge=128, le=1024, description="side of a synthetic film, pixels")
    demo_severity: float = Field(1.0, gt=0, le=1, description="how plain the synthetic findings are; 1 = as drawn")


STAGES: dict[str, type[Stage]] = {
    "general": GeneralParams,
    "tables": TableParams,
    "unet": UnetParams,
    "pack": PackParams,
    "models": ModelParams,
    "training": TrainParams,
    "augmentation": AugmentParams,
    "evaluation": EvaluationParams,
    "demo": DemoParams,
}


class Params(BaseModel):
    """Everything in PARAMS.json, a stage at a time: ``params.training.epochs`` is its key ``EPOCHS``."""

    model_config = ConfigDict(frozen=True)
    general: GeneralParams = GeneralParams()
    tables: TableParams = TableParams()
    unet: UnetParams = UnetParams()
    pack: PackParams = PackParams()
    models: ModelParams = ModelParams()
    training: TrainParams = TrainParams()
    augmentation: AugmentParams = AugmentParams()
    evaluation: EvaluationParams = EvaluationParams()
    demo: DemoParams = DemoParams()

    def flat(self) -> dict[str, Any]:
        """All keys and values in force, as PARAMS.json would hold them."""
        return {key: value for stage in STAGES for key, value in getattr(self, stage).model_dump(by_alias=True).items()}

    @property
    def findings(self) -> tuple[str, ...]:
        """What is looked for, in the order of every array and table."""
        return self.general.findings

    def members(self, family: str) -> tuple[str, ...]:
        """The members of a family; EfficientNet is an ensemble of one."""
        if family == "efficientnet":
            return (f"efficientnet{self.models.efficientnet_variant.lower()}",)
        return self.models.ensemble_members

    def input_size(self, member: str) -> int:
        """Side of a member's input, pixels."""
        return getattr(self.models, BACKBONES[backbone_of(member)])

    def of_member(self, values: dict[str, Any], member: str, default: Any) -> Any:
        """What is said of a member, or else of its backbone, or else the default."""
        return values.get(member, values.get(backbone_of(member), default))

    def with_seed_of(self, member: str) -> "Params":
        """The parameters with the SEED of a member, of ``xception@2`` one that no neighbouring SEED is."""
        seed = (self.general.seed + 100_000 * (training_of(member) - 1)) % 2**32
        return self.model_copy(update={"general": self.general.model_copy(update={"seed": seed})})

    def pack_sizes(self) -> tuple[int, ...]:
        """The sizes in which films are packed: one for each input size of all members, ascending."""
        return tuple(sorted({self.input_size(member) for family in FAMILIES for member in self.members(family)}))

    def first_weights(self, member: str) -> str:
        """One of `NAMED_WEIGHTS`, or the path of a weights file, for one member."""
        weights = self.models.weights
        return weights if isinstance(weights, str) else self.of_member(weights, member, "imagenet")

    def weights_of_pytorch(self, member: str) -> bool:
        """Whether a member's first weights are a file of PyTorch's or safetensors, by its name."""
        return self.first_weights(member).lower().endswith(PYTORCH_SUFFIXES)

    def scoring_precision(self) -> str:
        """PRECISION where nothing is trained."""
        return "float32" if self.training.precision == "auto" else self.training.precision

    def with_precision(self, precision: str) -> "Params":
        """The parameters with another PRECISION."""
        return self.model_copy(update={"training": self.training.model_copy(update={"precision": precision})})

    def output_stride(self, member: str) -> int:
        """Pixels of the input between places of a member's maps."""
        return stride if isinstance(stride := self.models.output_stride, int) else self.of_member(stride, member, 32)

    def for_member(self, member: str) -> "Params":
        """The parameters with MEMBER_OVERRIDES of one member applied; they were checked when the file was read."""
        overrides = dict(self.of_member(self.training.member_overrides, member, {}))
        models = self.models.model_copy(update={"dropout": overrides.pop("DROPOUT", self.models.dropout)})
        changed = {key.lower(): value for key, value in overrides.items()}
        return self.model_copy(update={"training": self.training.model_copy(update=changed), "models": models})
