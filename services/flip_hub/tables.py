"""Every domain's tables, so that `Base.metadata` is complete: for migrations and for tests."""

from flip_hub.audit import tables as audit
from flip_hub.cohorts import tables as cohorts
from flip_hub.db import Base
from flip_hub.jobs import tables as jobs
from flip_hub.models import tables as models
from flip_hub.projects import tables as projects
from flip_hub.tasks import tables as tasks
from flip_hub.trusts import tables as trusts
from flip_hub.users import tables as users

metadata = Base.metadata

__all__ = ["audit", "cohorts", "jobs", "metadata", "models", "projects", "tasks", "trusts", "users"]
