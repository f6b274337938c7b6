"""Received files: from the prearchive, past the site's anonymisation, into the archive."""

import re
import shutil
import time
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from xnat_stand_in.state import State

_REMOVE = re.compile(r"^-\s*\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)$")
_ASSIGN = re.compile(r"^\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)\s*:=\s*(.+)$")
_HASH = re.compile(r"^hashUID\[\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)\]$")
_HASHES = re.compile(r"^hashUIDList\[(\*/\([0-9A-Fa-f]{4},[0-9A-Fa-f]{4}\)(?:,\s*|(?=\])))+\]$")
_TAG = re.compile(r"\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)")
_VALUE = re.compile(r'^(project|subject|session|"[^"]*"|hashUID\[\([0-9A-Fa-f]{4},[0-9A-Fa-f]{4}\)\])$')


def statements(script: str) -> list[str]:
    """The lines of a DicomEdit script; one that is not understood is a ValueError."""
    lines = [re.sub(r"\s*//.*$", "", line).strip() for line in script.splitlines()]
    kept = [line for line in lines if line and not line.startswith("version ")]
    for line in kept:
        assigned = _ASSIGN.match(line)
        if not _REMOVE.match(line) and not _HASHES.match(line) and not (assigned and _VALUE.match(assigned[3])):
            raise ValueError(f"not understood: {line}")
    return kept


def anonymise(dataset: Dataset, script: str, labels: dict[str, str]) -> None:
    for line in statements(script):
        if found := _REMOVE.match(line):
            dataset.pop((int(found[1], 16), int(found[2], 16)), None)
        elif _HASHES.match(line):
            tags = {(int(group, 16), int(element, 16)) for group, element in _TAG.findall(line)}
            for element in dataset.iterall():
                if element.tag in tags:
                    element.value = generate_uid(entropy_srcs=[str(element.value)])
        elif found := _ASSIGN.match(line):
            tag = (int(found[1], 16), int(found[2], 16))
            value = found[3]
            if hashed := _HASH.match(value):
                source = dataset.get((int(hashed[1], 16), int(hashed[2], 16)))
                text = generate_uid(entropy_srcs=[str(source.value)]) if source is not None else ""
            else:
                text = labels.get(value, value.strip('"'))
            element = pydicom.DataElement(tag, pydicom.datadict.dictionary_VR(tag), text)
            dataset[tag] = element
    if "SOPInstanceUID" in dataset:
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


class Archive:
    """The files below a folder: `prearchive/<project>/<time>/<label>` and `archive/<project>/arc001/<label>`."""

    def __init__(self, root: Path, state: State) -> None:
        self.root, self._state = root, state

    def receive(self, row: dict[str, Any], dataset: Dataset) -> None:
        """Files an instance of a session that is RECEIVING. `row` is the one in the prearchive."""
        collection = "secondary" if "Secondary Capture" in dataset.SOPClassUID.name else "DICOM"
        folder = self.prearchive_folder(row) / "SCANS" / str(dataset.get("SeriesNumber") or 0) / collection
        folder.mkdir(parents=True, exist_ok=True)
        dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)

    def build(self, row: dict[str, Any]) -> None:
        """The session is whole: it is READY, and archived at once where the project says so."""
        self._status(row, "BUILDING")
        document = self._state.document
        if document["anonymize"]["enabled"]:
            labels = {"project": row["project"], "subject": row["subject"], "session": row["name"]}
            for path in sorted(self.prearchive_folder(row).rglob("*.dcm")):
                dataset = pydicom.dcmread(path)
                anonymise(dataset, document["anonymize"]["script"], labels)
                dataset.save_as(path, enforce_file_format=True)
        self._status(row, "READY")
        project = document["projects"].get(row["project"])
        if project is not None and project["prearchive_code"] in {4, 5}:
            self.archive(row)

    def archive(self, row: dict[str, Any]) -> None:
        with self._state.change() as document:
            taken = any(
                item["project"] == row["project"] and item["label"] == row["name"]
                for item in document["experiments"].values()
            )
            if taken:
                row["status"] = "CONFLICT"
                return
            number = f"XNAT_E{self._state.number():05d}"
            source = self.prearchive_folder(row)
            target = self.experiment_folder({"project": row["project"], "label": row["name"]})
            for collection in sorted(source.glob("SCANS/*/*")):
                scan = target / "SCANS" / collection.parent.name / collection.name
                scan.parent.mkdir(parents=True, exist_ok=True)
                collection.rename(scan)
            modalities = {pydicom.dcmread(path, stop_before_pixels=True).Modality for path in target.rglob("*.dcm")}
            kind = next((name for name in ("MR", "CT", "PT") if name in modalities), "OtherDicom")
            document["experiments"][number] = {
                "ID": number,
                "project": row["project"],
                "subject": row["subject"],
                "label": row["name"],
                "xsiType": f"xnat:{kind[0].lower()}{kind[1:] if len(kind) > 2 else kind[1:].lower()}SessionData",
                "insert_date": time.strftime("%Y-%m-%d %H:%M:%S.0"),
            }
            document["prearchive"].remove(row)
            shutil.rmtree(source, ignore_errors=True)

    def prearchive_folder(self, row: dict[str, Any]) -> Path:
        return self.root / "prearchive" / row["project"] / row["timestamp"] / row["name"]

    def experiment_folder(self, experiment: dict[str, Any]) -> Path:
        return self.root / "archive" / experiment["project"] / "arc001" / experiment["label"]

    def remove_experiment(self, number: str) -> None:
        with self._state.change() as document:
            shutil.rmtree(self.experiment_folder(document["experiments"].pop(number)), ignore_errors=True)

    def remove_prearchive(self, row: dict[str, Any]) -> None:
        with self._state.change() as document:
            document["prearchive"].remove(row)
            shutil.rmtree(self.prearchive_folder(row), ignore_errors=True)

    def remove_project(self, project: str) -> None:
        with self._state.change() as document:
            numbers = [number for number, item in document["experiments"].items() if item["project"] == project]
            for number in numbers:
                self.remove_experiment(number)
            del document["projects"][project]

    def _status(self, row: dict[str, Any], status: str) -> None:
        with self._state.change():
            row["status"] = status
