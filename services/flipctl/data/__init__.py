"""Demo data: brain MR studies with labels for every trust's PACS, and the OMOP records they belong to."""

from flipctl.data.generate import generate
from flipctl.data.manifest import Manifest, Study, StudyKind, TrustData
from flipctl.data.omop import DEMO_QUERY, load_omop

__all__ = ["DEMO_QUERY", "Manifest", "Study", "StudyKind", "TrustData", "generate", "load_omop"]
