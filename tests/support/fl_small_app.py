"""A small FL app without torch, whose run configuration says how it is to misbehave."""

import io
import zipfile

PYPROJECT = """
[project]
name = "test-app"
version = "1.0.0"
dependencies = ["flwr[simulation]>=1.20", "a-package-that-is-nowhere"]

[tool.flwr.app]
publisher = "tests"

[tool.flwr.app.components]
serverapp = "app.server_app:app"
clientapp = "app.client_app:app"

[tool.flwr.app.config]
flip-model-id = ""
flip-project-id = ""
flip-cohort-query = ""
num-rounds = 1
rate = 0.5
mode = "good"
at = ""
round-seconds = 0.0
"""

SERVER_APP = """
import os, sys, time
import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict, ConfigRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()

@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    print("server mode", config["mode"], "key", os.environ.get("INTERNAL_SERVICE_KEY"))
    print("forbidden", sorted(name for name in os.environ if name.startswith(("FL_", "FLIP_CONTROL"))))
    if config["mode"] == "server-raises":
        raise RuntimeError("server trouble")
    if config["mode"] == "server-hangs":
        while True:
            time.sleep(1)
    strategy = FedAvg(fraction_evaluate=1.0, min_available_nodes=1, min_train_nodes=1, min_evaluate_nodes=1)
    strategy.start(
        grid=grid, initial_arrays=ArrayRecord([np.zeros(4, dtype=np.float32)]), num_rounds=config["num-rounds"]
    )
"""

CLIENT_APP = """
import os, sys, time
import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()
SECRET = "patient_id=SECRET" + "123"

def work(message, context, kind):
    config = context.run_config
    me = os.environ["SUPERNODE_NAME"]
    print("client prints", SECRET)
    assert "INTERNAL_SERVICE_KEY" not in os.environ
    if config["mode"] == "client-raises" and config["at"] in ("", me):
        raise KeyError(SECRET)
    if config["mode"] == "client-exits" and config["at"] in ("", me):
        sys.exit(SECRET)
    if config["mode"] == "client-slow" and config["at"] in ("", me):
        time.sleep(120)
    arrays = message.content["arrays"].to_numpy_ndarrays()
    metrics = {"loss": 1.0 + len(me), "num-examples": 10, "name-claimed": 1.0, "curve.x_7": 0.25, "bad": float("nan")}
    if config["mode"] == "liar":
        context.node_config["site-name"] = "Trust_Z"
        os.environ["SUPERNODE_NAME"] = "Trust_Z"
    records = {"metrics": MetricRecord(metrics)}
    if kind == "train":
        records["arrays"] = ArrayRecord([array + 1 for array in arrays])
    return Message(RecordDict(records), reply_to=message)

@app.train()
def train(message: Message, context: Context) -> Message:
    return work(message, context, "train")

@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    return work(message, context, "evaluate")
"""

FILES: dict[str, str | bytes] = {
    "pyproject.toml": PYPROJECT,
    "app/__init__.py": "",
    "app/server_app.py": SERVER_APP,
    "app/client_app.py": CLIENT_APP,
}


def make_zip(files: dict[str, str | bytes]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
