"""A good app as a table of files, to be spoilt one thing at a time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flip_common.appcheck import Report, check_dir

PYPROJECT = """\
[project]
name = "example"
version = "1.0"

[tool.flwr.app]
publisher = "me"

[tool.flwr.app.components]
serverapp = "app.server_app:app"
clientapp = "app.client_app:app"

[tool.flwr.app.config]
num-server-rounds = 3
learning-rate = 0.1
flip-model-id = "uuid"
flip-project-id = "uuid"
flip-cohort-query = "*"
"""

SERVER = """\
from flip import FLIP
from flip.constants.flip_constants import ModelStatus
from flwr.serverapp import ServerApp

app = ServerApp()


@app.main()
def main(grid, context, flip=FLIP()):
    run_config = context.run_config
    model_id = run_config["flip-model-id"]
    flip.update_status(model_id, ModelStatus.INITIATED)
    flip.update_status(model_id, ModelStatus.PREPARED)
    flip.update_status(model_id, ModelStatus.TRAINING_STARTED)
    flip.update_status(model_id, ModelStatus.RESULTS_UPLOADED)
"""

CLIENT = """\
import numpy as np
from flwr.clientapp import ClientApp
from app import helper

app = ClientApp()


@app.train()
def train(message, context):
    rate = context.run_config.get("learning-rate")
"""

GOOD = {
    "pyproject.toml": PYPROJECT,
    "app/__init__.py": "",
    "app/helper.py": "",
    "app/server_app.py": SERVER,
    "app/client_app.py": CLIENT,
}

Files = dict[str, str]


def write(root: Path, files: Files) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Report]:
    """Checks the good app with some files replaced, added, or (None) left out."""

    def checked(changes: dict[str, str | None] | None = None) -> Report:
        files = {name: text for name, text in {**GOOD, **(changes or {})}.items() if text is not None}
        return check_dir(write(tmp_path / "example", files))

    return checked
