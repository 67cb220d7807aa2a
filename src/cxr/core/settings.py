"""SETTINGS.json as a frozen model: raw data under the original's names, and every produced path spelt once.

Paths as people write them: ``~`` and variables are replaced, what cannot be meant is refused (`expanded`).
"""

import os
import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from cxr.core.errors import InputError
from cxr.core.parameters import Stage

VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
CHEST_FILMS = "CXR_CHEST_FILMS"  # the variable that tells all processes of a run the list in use
DRIVE = re.compile(r"([A-Za-z]):(?=[\\/]|$)")

# Keys of the original's SETTINGS.json whose place is now derived from DATA_DIR and MODELS_DIR.
REPLACED_SETTINGS = frozenset(
    (
        "DATASET_CHEXPERT_CSV_DIR NO_FINDING_DIR TRAIN_IMAGES_DIR "
        "SEGMENTED_TRAIN_IMAGES_DIR TEST_IMAGES_DIR TRAIN_CSV_DIR "
        "NO_FINDING_CSV_DIR TEST_CSV_DIR HEATMAP_DIR "
        "PREDICT_DIR MODEL_PREDICT_DIR DENSENET_TRAIN_DIR "
        "DENSENET_VAL_DIR DENSENET_VAL_CSV_DIR DENSENET_TRAIN_CSV_DIR "
        "DENSENET_SNAPSHOT_DIR DENSENET_LOG_DIR INCEPTION_TRAIN_DIR "
        "INCEPTION_VAL_DIR INCEPTION_VAL_CSV_DIR INCEPTION_TRAIN_CSV_DIR "
        "INCEPTION_SNAPSHOT_DIR INCEPTION_LOG_DIR XCEPTION_TRAIN_DIR "
        "XCEPTION_VAL_DIR XCEPTION_VAL_CSV_DIR XCEPTION_TRAIN_CSV_DIR "
        "XCEPTION_SNAPSHOT_DIR XCEPTION_LOG_DIR EFFICIENTNET_TRAIN_DIR "
        "EFFICIENTNET_VAL_DIR EFFICIENTNET_VAL_CSV_DIR EFFICIENTNET_TRAIN_CSV_DIR "
        "EFFICIENTNET_SNAPSHOT_DIR EFFICIENTNET_LOG_DIR TRAIN_IMAGES_DIR_SEGMENTATION "
        "TRAIN_MASK_DIR_SEGMENTATION TRAIN_MASK_DILATE_DIR_SEGMENTATION TEST_DIR "
        "TEST_IMAGES_DIR_SEGMENTATION TEST_MASK_DIR_SEGMENTATION TEST_MASK_DILATE_DIR_SEGMENTATION "
        "PREDICT_DIR_SEGMENTATION UNET_PREDICT_DIR UNET_TRAIN_DIR "
        "UNET_VAL_DIR UNET_SNAPSHOT_DIR UNET_LOG_DIR ENSEMBLE_SNAPSHOT_DIR ENSEMBLE_LOG_DIR "
    ).split()
)


class Settings(Stage):
    """SETTINGS.json: raw data under the original's names, then where results go; every produced path is a property."""

    dataset_dir: Path = Field(
        Path("data/classification/dataset"), description="NIH's and CheXpert's folders; only read"
    )
    dataset_csv_dir: Path = Field(
        Path("data/classification/dataset/Data_Entry_2017.csv"), description='NIH\'s table; "" = no NIH'
    )
    dataset_chexpert_train_csv_dir: Path = Field(
        Path("data/classification/dataset/CheXpert-v1.0-small/train.csv"), description='CheXpert\'s table; "" = none'
    )
    dataset_chexpert_val_csv_dir: Path = Field(
        Path("data/classification/dataset/CheXpert-v1.0-small/valid.csv"), description='its expert labels; "" = none'
    )
    dataset_chexpert_test_csv_dir: Path = Field(
        Path(), description='labels of its official test set, for CHEXPERT_TEST "official"; "" = none'
    )
    own_csv: Path = Field(Path(), description='a table of your own films and labels; "" = none')
    own_dataset_dir: Path = Field(Path("data/classification/own"), description="the films of OWN_CSV; only read")
    own_columns: str | dict[str, str] = Field(
        {}, description="which column of OWN_CSV is what, or the name of a known release; {} = guessed by usual names"
    )
    chest_films: Path = Field(
        Path(), description='a list of DICOM files that are chest films whatever their header says; "" = none'
    )
    dataset_dir_segmentation: Path = Field(
        Path("data/segmentation/dataset/LungSegmentation/CXR_png"), description='films with a lung mask; "" = none'
    )
    mask_dir: Path = Field(
        Path("data/segmentation/dataset/LungSegmentation/masks"), description='their masks; "" = none'
    )
    data_dir: Path = Field(Path("data"), description="where tables, masks and packed films go")
    models_dir: Path = Field(Path("models"), description="where weights, predictions, metrics and pictures go")

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name == "own_columns":
            return value
        if not isinstance(value, str | Path):
            raise ValueError("must be a path in quotes")
        if "\0" in str(value):
            raise ValueError("must be a path, which holds no NUL")
        return value

    @property
    def classification(self) -> Path:
        return self.data_dir / "classification"

    @property
    def segmentation(self) -> Path:
        return self.data_dir / "segmentation"

    def source_csv(self, source: str) -> Path:
        """The table of one source in our columns."""
        return self.classification / f"{source}.csv"

    @property
    def images_csv(self) -> Path:
        return self.classification / "images.csv"

    @property
    def boxes_csv(self) -> Path:
        return self.classification / "boxes.csv"

    @property
    def test_patients_csv(self) -> Path:
        return self.classification / "test_patients.csv"

    @property
    def split_csv(self) -> Path:
        return self.classification / "split.csv"

    @property
    def lung_masks(self) -> Path:
        """Packed lung masks; the table beside them has the suffix .csv, their record .json."""
        return self.classification / "lung_masks.npy"

    def pack(self, size: int) -> Path:
        """Packed films of one size; the table beside them has the suffix .csv, their record .json."""
        return self.classification / f"images_{size}.npy"

    @property
    def unet_dir(self) -> Path:
        return self.models_dir / "segmentation" / "Unet"

    @property
    def unet(self) -> Path:
        return self.unet_dir / "weights" / "model.keras"

    def family_dir(self, family: str) -> Path:
        return self.models_dir / "classification" / family

    def member_dir(self, family: str, member: str) -> Path:
        return self.family_dir(family) / member

    def cams(self, family: str, member: str, method: str = "gradcam") -> Path:
        """Maps of one method (`MAP_METHODS`), beside the member's predictions."""
        return self.member_dir(family, member) / ("cams.npy" if method == "gradcam" else f"cams_{method}.npy")


def expanded(text: str, where: str) -> str:
    """A path with ``~``, ``~name``, ``$NAME`` and ``${NAME}`` replaced, as a shell does.

    Parameters
    ----------
    text : str
    where : str
        The file and the key it comes from, for messages.

    Raises
    ------
    InputError
        A variable is not set, a user is not known; or the path is one of Windows, or a slip.
    """
    what = f'{where}: "{text}"'
    if re.search(r"[\x00-\x1f]", text):
        raise InputError(
            f'{what}: holds a line end, a tab or the like, as "\\n" and "\\t" are in JSON. Write /, not \\'
        )
    if text != text.strip():
        raise InputError(f"{what}: begins or ends with a blank. Remove it.")

    def value(match: re.Match) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):  # an empty one would lead to the root of the disk
            raise InputError(
                f"{what}: the variable {name} is not set. Set it (export {name}=…) or write the whole path."
            )
        return os.environ[name]

    path = VARIABLE.sub(value, os.path.expanduser(text))
    if path.startswith("~"):
        user = path[1:].split("/")[0]
        raise InputError(f"{what}: no home folder of {user or 'this user'} is known. Write the whole path.")
    slashes = path.replace("\\", "/")
    if drive := DRIVE.match(path):
        there = f"/mnt/{drive[1].lower()}{slashes[2:]}"
        raise InputError(f"{what}: a path of Windows. In WSL write {there}")
    if path.startswith("\\\\"):
        mount_point = f"/mnt/{slashes.rstrip('/').rpartition('/')[2]}"
        mount = f"sudo mkdir {mount_point}; sudo mount -t drvfs '{path}' {mount_point}"
        raise InputError(f"{what}: a share as Windows names it. In WSL mount it ({mount}), then write {mount_point}")
    if "\\" in path:
        raise InputError(f"{what}: holds a backslash. Write {slashes}")
    return path
