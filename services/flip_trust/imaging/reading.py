"""What of a study is given out, to whom, under which names."""

from uuid import UUID

from flip_common.web import Problem
from flip_common.wire import StudyState
from flip_trust.imaging.engine import Engine
from flip_trust.imaging.library import Library, Study
from flip_trust.imaging.schemas import Resource, StudyImport
from flip_trust.imaging.store import StoreError
from flip_trust.imaging.zipping import Member


async def require_imported(engine: Engine, project_id: UUID, accession: str) -> Study:
    """The study, when it is one of the project's and IMPORTED.

    Raises:
        Problem: 403, the project does not hold it; 404 `study_not_available` with its state and the reason.
    """
    row = await engine.row(project_id, accession)
    if row is None:
        raise Problem(
            403,
            "study_not_in_project",
            f"accession {accession} is not among the imports of project {project_id}: only those may be read",
        )
    if row.state is not StudyState.IMPORTED:
        raise _not_available(row, row.state, row.reason or "it is not imported yet; ask again later")
    try:
        return await engine.study(project_id, accession)
    except StoreError as error:
        raise _not_available(row, StudyState.FAILED, str(error)) from None


async def members(
    engine: Engine, library: Library, project_id: UUID, accession: str, resource: Resource
) -> list[Member]:
    """The files of the study that `resource` stands for, with their names in the archive.

    Raises:
        Problem: as `require_imported`; also 404 `study_not_available` when the study holds none of them.
    """
    study = await require_imported(engine, project_id, accession)
    row = StudyImport(accession=accession, state=StudyState.IMPORTED)
    found: list[Member] = []
    reason = "it holds no DICOM-SEG" if resource is Resource.SEG else "it holds no image"
    if resource in {Resource.NIFTI, Resource.ALL}:
        nifti = await engine.nifti(project_id, accession, study)
        found += [Member(path.name, path) for path in nifti.files]
        reason = nifti.reason or reason
    images = [item for item in study.instances if not item.segmentation]
    segmentations = [item for item in study.instances if item.segmentation]
    if resource in {Resource.DICOM, Resource.ALL}:
        found += [Member(f"dicom/{n:06d}.dcm", study.folder / item.file) for n, item in enumerate(images, start=1)]
    if resource in {Resource.SEG, Resource.ALL}:
        found += [Member(f"seg/{n:06d}.dcm", study.folder / item.file) for n, item in enumerate(segmentations, start=1)]
    if resource is Resource.ALL:
        found += [Member(f"resources/{path.name}", path) for path in library.resources(project_id, accession)]
    if not found:
        raise _not_available(row, row.state, reason)
    return found


def _not_available(row: StudyImport, state: StudyState, reason: str) -> Problem:
    detail = f"accession {row.accession} is {state}: {reason}"
    return Problem(404, "study_not_available", detail, state=state, reason=reason)
