"""DICOM files of a demo study: one MR series and one segmentation that refers to it."""

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from flipctl.data.scanner import Scanner, SliceStack

SEG_NUMBER = 100


@dataclass(frozen=True)
class Patient:
    """Who was scanned, when, and under which accession."""

    patient_id: str
    sex: str
    birth_date: date
    study_date: date
    accession: str


def derived_uid(*parts: object) -> str:
    """A UID that is the same for the same parts, on every machine."""
    return str(generate_uid(entropy_srcs=[str(part) for part in ("flip-demo", *parts)]))


def stamp(dataset: Dataset, patient: Patient, study_uid: str) -> None:
    """Makes the dataset one of this patient's and study's."""
    years = patient.study_date.year - patient.birth_date.year
    dataset.PatientName = f"Demo^{patient.patient_id}"
    dataset.PatientID = patient.patient_id
    dataset.PatientBirthDate = f"{patient.birth_date:%Y%m%d}"
    dataset.PatientSex = patient.sex
    dataset.PatientAge = f"{min(years, 999):03d}Y"
    dataset.AccessionNumber = patient.accession
    dataset.StudyInstanceUID = study_uid
    dataset.StudyID = patient.accession
    dataset.StudyDate = f"{patient.study_date:%Y%m%d}"
    dataset.StudyTime = "090000"
    dataset.ReferringPhysicianName = ""


def mr_series(
    pixels: NDArray[np.uint16], stack: SliceStack, scanner: Scanner, patient: Patient, study_uid: str
) -> list[Dataset]:
    """The MR series, one dataset a slice, feet first; `pixels` is (slices, rows, columns)."""
    common = Dataset()
    stamp(common, patient, study_uid)
    common.SOPClassUID = MRImageStorage
    common.SpecificCharacterSet = "ISO_IR 192"
    common.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    common.Modality = "MR"
    common.Manufacturer = scanner.manufacturer
    common.ManufacturerModelName = scanner.name
    common.DeviceSerialNumber = "1"
    common.SoftwareVersions = "1"
    common.InstitutionName = "FLIP demo"
    common.SeriesInstanceUID = derived_uid(study_uid, "series")
    common.SeriesNumber = 1
    common.SeriesDescription = scanner.sequence
    common.ProtocolName = scanner.sequence
    common.SeriesDate = common.AcquisitionDate = common.ContentDate = common.StudyDate
    common.SeriesTime = common.AcquisitionTime = common.ContentTime = common.StudyTime
    common.BodyPartExamined = "BRAIN"
    common.PatientPosition = "HFS"
    common.PositionReferenceIndicator = ""
    common.FrameOfReferenceUID = derived_uid(study_uid, "frame")
    common.ScanningSequence = "SE"
    common.SequenceVariant = "NONE"
    common.ScanOptions = ""
    common.MRAcquisitionType = "2D"
    common.EchoTime = scanner.echo_ms
    common.RepetitionTime = scanner.repetition_ms
    common.EchoTrainLength = 1
    common.MagneticFieldStrength = scanner.tesla
    common.FlipAngle = 90
    common.SliceThickness = scanner.thickness_mm
    common.SpacingBetweenSlices = scanner.spacing_mm
    common.ImageOrientationPatient = stack.orientation
    common.PixelSpacing = [scanner.pixel_mm, scanner.pixel_mm]
    common.SamplesPerPixel = 1
    common.PhotometricInterpretation = "MONOCHROME2"
    common.Rows, common.Columns = pixels.shape[1:]
    common.BitsAllocated, common.BitsStored, common.HighBit, common.PixelRepresentation = 16, 12, 11, 0
    return [
        _slice(common, number, position, pixels[number - 1]) for number, position in enumerate(stack.positions, start=1)
    ]


def _slice(common: Dataset, number: int, position: NDArray[np.float64], pixels: NDArray[np.uint16]) -> Dataset:
    dataset = Dataset()
    dataset.update(common)
    dataset.SOPInstanceUID = derived_uid(common.SeriesInstanceUID, number)
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [round(float(value), 6) for value in position]
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def segmentation(images: list[Dataset], labels: NDArray[np.uint8]) -> Dataset:
    """The DICOM-SEG of the series: segment 1 grey matter, 2 white matter; `labels` in the slices' grid."""
    first = images[0]
    algorithm = AlgorithmIdentificationSequence(
        name="MNI152 tissue maps", version="1", family=codes.DCM.ArtificialIntelligence
    )
    segments = [
        SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=kind,
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, name, kind in (
            (1, "Grey matter", codes.SCT.GrayMatter),
            (2, "White matter", codes.SCT.WhiteMatter),
        )
    ]
    uid = derived_uid(first.SeriesInstanceUID, "seg")
    seg = Segmentation(
        source_images=images,
        pixel_array=labels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=derived_uid(uid, "series"),
        series_number=SEG_NUMBER,
        series_description="Grey and white matter",
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="FLIP demo",
        manufacturer_model_name="flipctl data",
        software_versions="1",
        device_serial_number="1",
        content_creator_name="Demo^Data",
    )
    # highdicom stamps the present time and random UIDs; equal seeds must give equal files.
    seg.ContentDate = seg.SeriesDate = seg.InstanceCreationDate = first.StudyDate
    seg.ContentTime = seg.SeriesTime = seg.InstanceCreationTime = first.StudyTime
    organization = derived_uid(uid, "dimensions")
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    for item in seg.ContributingEquipmentSequence:
        if "ContributionDateTime" in item:
            item.ContributionDateTime = f"{first.StudyDate}{first.StudyTime}"
    return seg


def write_files(datasets: list[Dataset], folder: Path) -> str:
    """Writes 001.dcm, 002.dcm ... into a new folder; returns the SHA-256 over all bytes in that order."""
    folder.mkdir(parents=True)
    digest = hashlib.sha256()
    for number, dataset in enumerate(datasets, start=1):
        path = folder / f"{number:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        digest.update(path.read_bytes())
    return digest.hexdigest()
