"""DICOM files for tests."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian


def dicom(folder: Path, pixels: np.ndarray, name="film.dcm", syntax=ExplicitVRLittleEndian, **tags) -> Path:
    """A DICOM file of (H, W) or (frames, H, W) pixels; tags as keywords, None takes one away."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = syntax
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = pydicom.uid.ComputedRadiographyImageStorage
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = "1.2.3"
    film.Modality, film.BodyPartExamined = "CR", "CHEST"
    film.Rows, film.Columns = pixels.shape[-2:]
    film.SamplesPerPixel, film.PhotometricInterpretation, film.PixelRepresentation = 1, "MONOCHROME2", 0
    film.BitsAllocated = film.BitsStored = 8 * pixels.dtype.itemsize
    for tag, value in tags.items():
        if value is None:
            delattr(film, tag)
        else:
            setattr(film, tag, value)
    film.HighBit = film.BitsStored - 1
    if pixels.ndim == 3:
        film.NumberOfFrames = len(pixels)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    film.PixelData = encapsulate([content]) if syntax.is_encapsulated else content
    film["PixelData"].VR = "OB" if pixels.dtype == np.uint8 else "OW"
    film.save_as(folder / name, enforce_file_format=True)
    return folder / name
