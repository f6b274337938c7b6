"""DICOM headers: reading just enough of a file, and the instances of a study."""

import logging
import re
import warnings
import zlib
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from flip_trust.imaging.store import StoreError

SEGMENTATION_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_PIXELS: BaseTag = Tag("PixelData")
_UID = re.compile(r"[0-9.]{1,64}")
_DEFER_BYTES = 4096
_UNDEFINED_LENGTH = 0xFFFFFFFF
# Deflated datasets are reports and the like. pydicom inflates them whole, in memory, whatever they come to.
MAX_INFLATED_BYTES = 256 << 20
_CHUNK_BYTES = 1 << 20
_STUDY: BaseTag = Tag("StudyInstanceUID")
# What is read of an instance; all else in a header, however much of it there is, takes no memory.
_READ = (
    "SOPInstanceUID",
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "FrameOfReferenceUID",
    "NumberOfFrames",
    "BitsAllocated",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PixelData",
)

log = logging.getLogger(__name__)


class UnreadableFile(StoreError):  # noqa: N818 - the name says what is so
    """Not a DICOM file, or its header is broken."""


@dataclass(frozen=True)
class Instance:
    """One DICOM file.

    `pixels` says whether it holds an image, `problem` what is wrong with the file, `unpacked` how many bytes its
    frames take by what the header declares, a byte a voxel at least.
    """

    file: str
    size: int
    sop_uid: str
    sop_class: str
    study_uid: str
    series_uid: str
    series_number: int
    instance_number: int
    frame_of_reference: str
    pixels: bool
    problem: str = ""
    unpacked: int = 0

    @property
    def segmentation(self) -> bool:
        """Whether this is a DICOM-SEG object."""
        return self.sop_class in SEGMENTATION_CLASSES

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def read_header(path: Path, keywords: tuple[str, ...]) -> dict[str, str]:
    """Values of these elements as stripped text; an absent one is "".

    Raises:
        UnreadableFile: not a DICOM file.
        OSError: the file cannot be read.
    """
    dataset = _read(path, stop_before_pixels=True, specific_tags=[*keywords])
    return {keyword: _text(dataset, keyword) for keyword in keywords}


def read_instance(path: Path) -> Instance:
    """Reads and checks one file, its pixel data by length only.

    Raises:
        UnreadableFile: not a DICOM file, or without the UIDs every instance has.
        OSError: the file cannot be read.
    """
    dataset = _read(path, defer_size=_DEFER_BYTES, specific_tags=[*_READ])
    uids = {name: _text(dataset, name) for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")}
    for name, value in uids.items():
        if not _UID.fullmatch(value):
            raise UnreadableFile(f"a file has no valid {name}")
    size = path.stat().st_size
    return Instance(
        file=path.name,
        size=size,
        sop_uid=uids["SOPInstanceUID"],
        sop_class=_text(dataset, "SOPClassUID"),
        study_uid=uids["StudyInstanceUID"],
        series_uid=uids["SeriesInstanceUID"],
        series_number=_integer(dataset, "SeriesNumber"),
        instance_number=_integer(dataset, "InstanceNumber"),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        pixels=_PIXELS in dataset,
        problem=_pixel_problem(dataset, size),
        unpacked=_voxels(dataset) * max(1, _integer(dataset, "BitsAllocated") // 8),
    )


def study_of(dataset: bytes, transfer_syntax: str) -> str:
    """The study UID in an encoded dataset, whose end may be missing; "" when it holds none.

    Raises:
        UnreadableFile: it cannot be read.
    """
    syntax = UID(transfer_syntax)
    try:
        if syntax == DeflatedExplicitVRLittleEndian:
            dataset = zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, _CHUNK_BYTES)
        found = read_dataset(
            BytesIO(dataset),
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            stop_when=lambda tag, *_: tag > _STUDY,
            specific_tags=[_STUDY],
        )
    except Exception as error:  # noqa: BLE001 - a hostile header may raise anything at all
        raise UnreadableFile(f"a dataset cannot be read ({type(error).__name__})") from None
    return _text(found, "StudyInstanceUID")


def _read(path: Path, **options: Any) -> pydicom.Dataset:
    try:
        with warnings.catch_warnings():
            # Real scanners write values that pydicom warns of; what matters here is checked here.
            warnings.simplefilter("ignore")
            with path.open("rb") as file:
                _check_inflated(file)
            return pydicom.dcmread(path, **options)
    except (OSError, UnreadableFile):
        raise
    except InvalidDicomError:
        raise UnreadableFile("a file is not DICOM") from None
    except Exception as error:  # noqa: BLE001 - a hostile header may raise anything at all
        raise UnreadableFile(f"a file's DICOM header cannot be read ({type(error).__name__})") from None


def _check_inflated(file: BinaryIO) -> None:
    read_preamble(file, force=False)
    meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflater.eof and (packed := inflater.unconsumed_tail or file.read(_CHUNK_BYTES)):
        size += len(inflater.decompress(packed, _CHUNK_BYTES))
        if size > MAX_INFLATED_BYTES:
            raise UnreadableFile(f"a deflated file unpacks to over {MAX_INFLATED_BYTES} bytes: refused")


def _voxels(dataset: pydicom.Dataset) -> int:
    voxels = _integer(dataset, "NumberOfFrames") or 1
    for keyword in ("Rows", "Columns", "SamplesPerPixel"):
        voxels *= _integer(dataset, keyword)
    return max(voxels, 0)


def _pixel_problem(dataset: pydicom.Dataset, size: int) -> str:
    if _PIXELS not in dataset:
        return ""
    element: Any = dataset.get_item(_PIXELS, keep_deferred=True)
    length = getattr(element, "length", None)
    transfer_syntax = UID(str(getattr(dataset.file_meta, "TransferSyntaxUID", "")))
    if length in {0, None} and not element.value:
        return "its pixel data are empty"
    if length is None or length == _UNDEFINED_LENGTH or transfer_syntax.is_compressed:
        return ""
    bits = _voxels(dataset) * _integer(dataset, "BitsAllocated")
    if element.value_tell + length > size or length < bits // 8:
        return "its pixel data are cut short"
    return ""


def _text(dataset: pydicom.Dataset, keyword: str) -> str:
    if tag_for_keyword(keyword) not in dataset:
        return ""
    try:
        value = dataset[keyword].value
    except Exception:  # noqa: BLE001 - an element that cannot be decoded says nothing
        log.warning("element %s of a DICOM file cannot be decoded", keyword)
        return ""
    return "" if value is None else str(value).strip(" \0")


def _integer(dataset: pydicom.Dataset, keyword: str) -> int:
    text = _text(dataset, keyword)
    return int(text) if re.fullmatch(r"-?[0-9]{1,12}", text) else 0
