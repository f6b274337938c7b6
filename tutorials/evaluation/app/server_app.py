"""At the FL server: one question to every hospital, one table back."""

import json
import tempfile
import time
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

from app.checkpoint import load
from flip import FLIP

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context, flip: FLIP = FLIP()) -> None:
    """Sends the checkpoint out and uploads what came back.

    Raises:
        RuntimeError: a site failed or did not answer in time.
    """
    config = context.run_config
    with flip.run_model(str(config["flip-model-id"])) as run:
        arrays = ArrayRecord({name: Array(layer) for name, layer in load().items()})
        run.prepared()

        run.training_started()
        content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": 1})})
        sites = wait_for_sites(grid, int(config["flip-min-clients"]), float(config["timeout"]))
        questions = [Message(content, dst_node_id=site, message_type=MessageType.EVALUATE) for site in sites]
        answers = list(grid.send_and_receive(questions, timeout=float(config["timeout"])))
        good = [answer.content for answer in answers if not answer.has_error()]
        if len(good) < len(sites):
            raise RuntimeError(f"{len(good)} of {len(sites)} sites answered")
        table = {str(part.config_records["config"]["site"]): dict(part.metric_records["metrics"]) for part in good}

        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "metrics.json").write_text(json.dumps(table, indent=2) + "\n")
            run.upload_results(folder)


def wait_for_sites(grid: Grid, count: int, timeout: float) -> list[int]:
    """The sites, once `count` of them are there.

    Raises:
        TimeoutError: fewer came within `timeout` seconds.
    """
    until = time.monotonic() + timeout
    while len(sites := list(grid.get_node_ids())) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(sites)} of {count} sites are there after {timeout:.0f} s")
        time.sleep(1)
    return sites
