"""The hospital's PACS, with one study."""

import runpy
import sys
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

folder = Path("/tmp/dicom")
folder.mkdir()
for number in (1, 2, 3):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = MRImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = f"1.2.3.4.{number}"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    data.PatientName, data.PatientID, data.AccessionNumber = "DOE^JANE", "P1", "A7"
    data.Modality, data.SeriesNumber, data.InstanceNumber = "MR", 2, number
    data.InstitutionName = "St Elsewhere"
    data.save_as(folder / f"{number}.dcm", enforce_file_format=True)
sys.argv = ["pacs", "--aet", "HOSPITAL", "--folder", str(folder), "--host", "0.0.0.0", "--port", "4242"]
sys.argv += ["--peer", "XNAT=xnat-web:8104"]
runpy.run_module("flipctl.pacs", run_name="__main__")
