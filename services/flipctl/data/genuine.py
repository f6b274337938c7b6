"""Real scanners' series from pydicom's test files, given a demo patient's identity: for the import path."""

from dataclasses import dataclass
from typing import Literal

import pydicom
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset

from flipctl.data.dicom import Patient, derived_uid, stamp


@dataclass(frozen=True)
class Source:
    """One series: where its files lie among pydicom's."""

    pattern: str
    modality: Literal["MR", "CT"]


SOURCES = (
    Source("MR_small.dcm", "MR"),
    Source("CT_small.dcm", "CT"),
    Source("dicomdirtests/98892003/MR700/*", "MR"),
    Source("dicomdirtests/77654033/CT2/*", "CT"),
)


def genuine_series(source: Source, patient: Patient, study_uid: str) -> list[Dataset]:
    """The series' images under the patient's identity and new UIDs; pixels and geometry stay.

    Raises:
        FileNotFoundError: pydicom does not bring the files.
    """
    paths = sorted(path for path in get_testdata_files(source.pattern) if "DICOMDIR" not in path)
    if not paths:
        raise FileNotFoundError(f"pydicom's test files hold no {source.pattern}")
    series_uid = derived_uid(study_uid, "series")
    images = []
    for number, path in enumerate(paths, start=1):
        image = pydicom.dcmread(path)
        stamp(image, patient, study_uid)
        image.SeriesInstanceUID = series_uid
        image.SOPInstanceUID = derived_uid(series_uid, number)
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        if "FrameOfReferenceUID" in image:
            image.FrameOfReferenceUID = derived_uid(study_uid, "frame")
        for keyword in ("InstitutionName", "OtherPatientIDs", "PatientComments", "PatientAddress"):
            image.pop(keyword, None)
        images.append(image)
    return images
