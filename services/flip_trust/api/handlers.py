"""What each task type means at a trust: which of the site's services does it, and what may be answered."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

from flip_common.wire import (
    CohortQueryPayload,
    CohortQueryResult,
    CreateImagingPayload,
    DeleteImagingPayload,
    FreezeCohortPayload,
    FreezeCohortResult,
    ImagingResult,
    ImagingStatusPayload,
    ReimportStudiesPayload,
    StudyState,
    TaskType,
    UpdateUserProfilePayload,
    UpdateUserProfileResult,
    WireModel,
)
from flip_trust.api.site import SiteService, failure
from flip_trust.api.turns import Turns
from flip_trust.data_access.schemas import Accessions, AccessionsRequest
from flip_trust.disclosure import Disclosure
from flip_trust.imaging.schemas import CreateImports, ProjectImports


class Handlers:
    """One method a task type. Each takes the payload and returns the result, or raises `TaskFailure`.

    Attributes:
        turns: the cohort queries' turns, by project.
    """

    def __init__(self, data_access: SiteService, imaging: SiteService, disclosure: Disclosure) -> None:
        self._data, self._imaging, self._disclosure = data_access, imaging, disclosure
        self.turns = Turns()
        self._by_type: dict[TaskType, Callable[[Any], Awaitable[WireModel]]] = {
            TaskType.COHORT_QUERY: self._cohort_query,
            TaskType.FREEZE_COHORT: self._freeze_cohort,
            TaskType.CREATE_IMAGING: self._create_imaging,
            TaskType.GET_IMAGING_STATUS: self._imaging_status,
            TaskType.REIMPORT_STUDIES: self._reimport,
            TaskType.DELETE_IMAGING: self._delete_imaging,
            TaskType.UPDATE_USER_PROFILE: self._update_user,
        }

    async def handle(self, task_type: TaskType, payload: WireModel) -> WireModel:
        """Does a task. `payload` is of the model `PAYLOADS` names for the type, the result of `RESULTS`."""
        return await self._by_type[task_type](payload)

    async def _cohort_query(self, payload: CohortQueryPayload) -> CohortQueryResult:
        async with self.turns.of(payload.project_id):
            result = await self._data.call("POST", "cohort/statistics", CohortQueryResult, payload)
        if result.query_id != payload.query_id:
            raise failure("service_answer_invalid", "data-access-api answered another query")
        return result

    async def _freeze_cohort(self, payload: FreezeCohortPayload) -> FreezeCohortResult:
        result = await self._data.call("POST", "cohort/freeze", FreezeCohortResult, payload)
        if result.project_id != payload.project_id:
            raise failure("service_answer_invalid", "data-access-api froze another project's cohort")
        return result

    async def _create_imaging(self, payload: CreateImagingPayload) -> ImagingResult:
        """Starts the import and returns at once: `get_imaging_status` tells how it goes on."""
        return self._disclosed(payload.project_id, await self._order(payload.project_id))

    async def _imaging_status(self, payload: ImagingStatusPayload) -> ImagingResult:
        imports = await self._imaging.call("GET", f"imports/{payload.project_id}", ProjectImports)
        return self._disclosed(payload.project_id, imports)

    async def _reimport(self, payload: ReimportStudiesPayload) -> ImagingResult:
        # A host that came from a backup without images does not know the studies any more: they are ordered anew.
        await self._order(payload.project_id)
        imports = await self._imaging.call("POST", f"imports/{payload.project_id}/retry", ProjectImports)
        return self._disclosed(payload.project_id, imports)

    async def _order(self, project_id: UUID) -> ProjectImports:
        """Has those studies of the frozen cohort imported that the project does not have."""
        project = AccessionsRequest(project_id=project_id)
        cohort = await self._data.call("POST", "cohort/accessions", Accessions, project)
        if cohort.project_id != project_id:
            raise failure("service_answer_invalid", "data-access-api answered for another project")
        order = CreateImports(project_id=cohort.project_id, accessions=cohort.accessions)
        return await self._imaging.call("POST", "imports", ProjectImports, order)

    async def _delete_imaging(self, payload: DeleteImagingPayload) -> ImagingResult:
        await self._imaging.command("DELETE", f"imports/{payload.project_id}")
        nothing = ProjectImports(project_id=payload.project_id, state="NONE", studies=[])
        return self._disclosed(payload.project_id, nothing)

    async def _update_user(self, payload: UpdateUserProfilePayload) -> UpdateUserProfileResult:
        path = f"users/{quote(payload.username, safe='')}"
        return await self._imaging.call("PUT", path, UpdateUserProfileResult, payload)

    def _disclosed(self, project_id: UUID, imports: ProjectImports) -> ImagingResult:
        if imports.project_id != project_id:
            raise failure("service_answer_invalid", "imaging-api answered for another project")
        counts = Counter(study.state for study in imports.studies)
        # Every state is named, so that a suppressed count does not tell zero from few by its absence.
        return ImagingResult(
            project_id=project_id,
            state=imports.state,
            total=self._disclosure.count(len(imports.studies)),
            studies={state: self._disclosure.count(counts[state]) for state in StudyState},
        )
