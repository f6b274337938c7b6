"""DICOM series and segmentations of known geometry, and what of them a NIfTI file holds."""

from dataclasses import dataclass, field
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RLELossless, generate_uid

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class Phantom:
    """A generated series: voxels [column, row, slice] in scanner units, and their affine to RAS millimetres."""

    accession: str
    study_uid: str
    series_uid: str
    voxels: NDArray[np.int32]
    affine: NDArray[np.float64]
    files: list[Path] = field(default_factory=list)


def oblique(angle_x: float = 0.2, angle_z: float = -0.15) -> NDArray[np.float64]:
    """A right-handed set of row, column and slice directions that is parallel to no axis."""
    cx, sx, cz, sz = np.cos(angle_x), np.sin(angle_x), np.cos(angle_z), np.sin(angle_z)
    turn_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turn_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    axes: NDArray[np.float64] = turn_x @ turn_z
    return axes


def write_series(
    folder: Path,
    accession: str,
    *,
    slices: int = 12,
    shape: tuple[int, int] = (40, 32),
    number: int = 2,
    study_uid: str | None = None,
    directions: NDArray[np.float64] | None = None,
    reverse: bool = False,
    compress: bool = False,
    seed: int = 0,
    tag: str = "",
) -> Phantom:
    """Writes an MR series of smooth, asymmetric, positive values with a bright block; returns the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    columns, rows = shape
    axes = oblique() if directions is None else directions
    spacing, origin = np.array([0.9, 1.1, 2.5]), np.array([-20.0, 15.0, -30.0])
    rng = np.random.default_rng(seed)
    x, y, z = np.ogrid[:columns, :rows, :slices]
    voxels = (100 + 3 * x + 5 * y + 7 * z + rng.integers(0, 20, (columns, rows, slices))).astype(np.int32)
    voxels[columns // 2 : columns // 2 + 8, 4:10, slices // 2 : slices // 2 + 3] = 2000
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes * spacing, origin
    phantom = Phantom(
        accession,
        study_uid or generate_uid(entropy_srcs=[accession, "study"]),
        generate_uid(entropy_srcs=[accession, str(number), tag, "series"]),
        voxels,
        LPS_TO_RAS @ affine,
    )
    frame = generate_uid(entropy_srcs=[accession, "frame"])
    for index in range(slices):
        data = _slice(phantom, frame, index, number, axes, spacing, origin)
        data.InstanceNumber = slices - index if reverse else index + 1
        if compress:
            data.compress(RLELossless)
        path = folder / f"{accession}_{number}{tag}_{index:04d}.dcm"
        data.save_as(path, enforce_file_format=True)
        phantom.files.append(path)
    return phantom


def _slice(
    phantom: Phantom,
    frame: str,
    index: int,
    number: int,
    axes: NDArray[np.float64],
    spacing: NDArray[np.float64],
    origin: NDArray[np.float64],
) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[phantom.series_uid, str(index)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = phantom.study_uid, phantom.series_uid
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = frame, ""
    data.AccessionNumber, data.PatientID, data.PatientName = phantom.accession, "P1", "DOE^JANE"
    data.PatientBirthDate, data.PatientSex, data.StudyID = "19600101", "O", "1"
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20240115"
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101500"
    data.ReferringPhysicianName, data.InstitutionName = "", "St Elsewhere"
    data.StudyDescription, data.SeriesDescription = "BRAIN", "T1 OBLIQUE"
    data.ImageComments = "seen by Dr Who"
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "MR", "SIEMENS", "Phantom"
    data.DeviceSerialNumber, data.SoftwareVersions = "1", "1"
    data.SeriesNumber, data.AcquisitionNumber = number, 1
    data.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    data.ImageOrientationPatient = [*map(float, axes[:, 0]), *map(float, axes[:, 1])]
    data.ImagePositionPatient = [float(value) for value in origin + axes[:, 2] * spacing[2] * index]
    data.PixelSpacing = [float(spacing[1]), float(spacing[0])]
    data.SliceThickness = data.SpacingBetweenSlices = float(spacing[2])
    data.Columns, data.Rows = phantom.voxels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.EchoTime, data.RepetitionTime, data.FlipAngle, data.MagneticFieldStrength = 3.0, 2000.0, 9.0, 3.0
    data.ScanningSequence, data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = "GR", "SP", "", "3D"
    data.EchoTrainLength = 1
    data.PixelData = np.ascontiguousarray(phantom.voxels[:, :, index].T).astype("<u2").tobytes()
    return data


def write_segmentation(folder: Path, phantom: Phantom, labels: NDArray[np.uint8], number: int = 100) -> Path:
    """Writes `labels` [column, row, slice] as a DICOM-SEG of the phantom's series."""
    sources = [pydicom.dcmread(path) for path in phantom.files]
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=value,
            segment_label=f"label {value}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for value in range(1, int(labels.max()) + 1)
    ]
    segmentation = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=np.ascontiguousarray(labels.transpose(2, 1, 0)),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(entropy_srcs=[phantom.series_uid, "seg", str(number)]),
        series_number=number,
        sop_instance_uid=generate_uid(entropy_srcs=[phantom.series_uid, "seg instance", str(number)]),
        instance_number=1,
        manufacturer="FLIP",
        manufacturer_model_name="tests",
        software_versions="1",
        device_serial_number="1",
    )
    path = folder / f"{phantom.accession}_seg{number}.dcm"
    segmentation.save_as(path)
    return path


def world_values(nifti: Path, phantom: Phantom) -> NDArray[np.float64]:
    """The NIfTI's voxels in the phantom's order, found through both affines, never through the index."""
    image = nibabel.load(nifti)
    shape = phantom.voxels.shape
    assert sorted(image.shape) == sorted(shape)
    to_image = np.linalg.inv(image.affine) @ phantom.affine
    grid = np.stack([*np.indices(shape).reshape(3, -1), np.ones(np.prod(shape))])
    found = (to_image @ grid)[:3]
    index = np.rint(found).astype(int)
    assert np.abs(found - index).max() < 0.01
    values: NDArray[np.float64] = image.get_fdata()[tuple(index)].reshape(shape)
    return values
