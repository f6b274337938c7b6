"""DICOM headers: reading just enough of a file, and the instances of a study."""

import logging
import re
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.errors import InvalidDicomError
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from flip_trust.imaging.store import StoreError

SEGMENTATION_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_PIXELS: BaseTag = Tag("PixelData")
_UID = re.compile(r"[0-9.]{1,64}")
_DEFER_BYTES = 4096
_UNDEFINED_LENGTH = 0xFFFFFFFF

log = logging.getLogger(__name__)


class UnreadableFile(StoreError):  # noqa: N818
    """Not a DICOM file, or its header is broken."""


@dataclass(frozen=True)
class Instance:
    """One DICOM file. `pixels` says whether it holds an image; `problem` what is wrong with the file."""

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
    dataset = _read(path, defer_size=_DEFER_BYTES)
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
    )


def _read(path: Path, **options: Any) -> pydicom.Dataset:
    try:
        with warnings.catch_warnings():
            # Real scanners write values that pydicom warns of; what matters here is checked here.
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path, **options)
    except OSError:
        raise
    except InvalidDicomError:
        raise UnreadableFile("a file is not DICOM") from None
    except Exception as error:  # noqa: BLE001 - a hostile header may raise anything at all
        raise UnreadableFile(f"a file's DICOM header cannot be read ({type(error).__name__})") from None


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
    frames = _integer(dataset, "NumberOfFrames") or 1
    bits = frames * _integer(dataset, "BitsAllocated")
    for keyword in ("Rows", "Columns", "SamplesPerPixel"):
        bits *= _integer(dataset, keyword)
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
