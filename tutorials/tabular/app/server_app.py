"""At the FL server: federated averaging of one small vector."""

import json
import tempfile
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flip import FLIP

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context, flip: FLIP = FLIP()) -> None:
    """Trains from zero weights and uploads `weights.json`: the intercept and a weight per feature.

    Raises:
        RuntimeError: no site sent a result in the last round.
    """
    config = context.run_config
    names = ["intercept", *(name.strip() for name in str(config["features"]).split(","))]
    rounds, sites = int(config["num-server-rounds"]), int(config["flip-min-clients"])
    with flip.run_model(str(config["flip-model-id"])) as run:
        start = ArrayRecord({"weights": Array(np.zeros(len(names)))})
        run.prepared()

        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=sites, min_available_nodes=sites)
        run.training_started()
        result = strategy.start(grid, start, num_rounds=rounds, timeout=float(config["round-timeout"]))
        if rounds not in result.train_metrics_clientapp:
            raise RuntimeError(f"no site sent a result in round {rounds}")

        with tempfile.TemporaryDirectory() as folder:
            weights = dict(zip(names, result.arrays["weights"].numpy().tolist(), strict=True))
            (Path(folder) / "weights.json").write_text(json.dumps(weights, indent=2) + "\n")
            run.upload_results(folder)
