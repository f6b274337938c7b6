"""ServerApp in the plain style of the walkthrough: a FLIP object as default argument, four status calls."""

import tempfile
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from app.models import get_model
from flip import FLIP
from flip.constants.flip_constants import ModelStatus

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context, flip: FLIP = FLIP()) -> None:
    run_config = context.run_config
    num_rounds = int(run_config.get("num-server-rounds", 1))
    model_id = run_config.get("flip-model-id")

    flip.update_status(model_id, ModelStatus.INITIATED)

    model = get_model()
    flip.update_status(model_id, ModelStatus.PREPARED)

    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=0.0)
    flip.update_status(model_id, ModelStatus.TRAINING_STARTED)
    result = strategy.start(grid=grid, initial_arrays=ArrayRecord(model.state_dict()), num_rounds=num_rounds)

    with tempfile.TemporaryDirectory() as output_dir:
        torch.save(result.arrays.to_torch_state_dict(), Path(output_dir) / "FL_global_model.pt")
        flip.upload_results_to_s3(output_dir, model_id)
    flip.update_status(model_id, ModelStatus.RESULTS_UPLOADED)
