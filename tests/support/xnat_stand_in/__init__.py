"""A stand-in for XNAT with its query-retrieve plugin: the REST and the DICOM of it that FLIP uses, kept on disk.

What it honours was read in the sources of XNAT and of the plugin (NrgXnat/dicom-query-retrieve). It is no archive: it
has no web pages, builds no catalogs, and knows of DicomEdit only assignments, deletions and hashUID.
"""

from xnat_stand_in import data
from xnat_stand_in.server import StandIn

__all__ = ["StandIn", "data"]
