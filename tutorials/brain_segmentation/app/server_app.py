"""At the FL server: run the rounds, compare the models, hand over the results."""

import json
import logging
import tempfile
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

from app.model import make_model, pack, unpack
from app.strategy import History, Metrics, RecordingFedAvg, metrics_of, site_of
from flip import FLIP

log = logging.getLogger(__name__)

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context, flip: FLIP = FLIP()) -> None:
    """One training run; `run_model` ends the model in a terminal status whatever happens here."""
    config = context.run_config
    rounds, timeout = int(config["num-server-rounds"]), float(config["round-timeout"])
    with flip.run_model(str(config["flip-model-id"])) as run:
        initial = pack(make_model(int(config["seed"])))
        strategy = RecordingFedAvg(min_sites=int(config["flip-min-clients"]), num_rounds=rounds)
        run.prepared()

        run.training_started()
        result = strategy.start(grid, initial, num_rounds=rounds, timeout=timeout)
        history = strategy.history
        models = {"global": result.arrays, **{f"alone_{trust}": copy for trust, copy in history.alone.items()}}
        final = evaluate(grid, models, rounds, timeout)

        with tempfile.TemporaryDirectory() as folder:
            write_results(Path(folder), history, initial, result.arrays, final)
            run.upload_results(folder)


def evaluate(grid: Grid, models: dict[str, ArrayRecord], rounds: int, timeout: float) -> dict[str, Metrics]:
    """Every model at every site: `{trust: {"dice_global": ..., "dice_alone_<trust>": ...}}`.

    Raises:
        RuntimeError: a site did not answer, so the comparison would be of unequal things.
    """
    content = RecordDict({**models, "config": ConfigRecord({"server-round": rounds})})
    questions = [Message(content, dst_node_id=site, message_type=MessageType.EVALUATE) for site in grid.get_node_ids()]
    answers = [answer for answer in grid.send_and_receive(questions, timeout=timeout) if not answer.has_error()]
    if len(answers) < len(questions):
        raise RuntimeError(f"final evaluation: {len(answers)} of {len(questions)} sites answered")
    return {site_of(answer): metrics_of(answer) for answer in answers}


def write_results(
    folder: Path, history: History, initial: ArrayRecord, last: ArrayRecord, final: dict[str, Metrics]
) -> None:
    """Writes weights as .npz (an array per layer, names as in the model) and `metrics.json`.

    `final.npz` is the mean of `local_<trust>.npz` weighted by `num-examples` in metrics.json, so that anyone can
    check the averaging. `best.npz` is the global model that did best on the validation patients of all sites.
    """
    # What a round measured on arrival is the global model of the round before it.
    arrived = [_weighted(sites, "val_dice_global") for sites in history.rounds]
    global_dice = [*arrived[1:], _weighted(final, "dice_global")]
    best = int(np.argmax(global_dice))
    candidates = [*history.sent[1:], last]
    weights = {"initial": initial, "final": last, "best": candidates[best]}
    weights |= {f"local_{trust}": arrays for trust, arrays in history.local.items()}
    weights |= {f"alone_{trust}": arrays for trust, arrays in history.alone.items()}
    for name, arrays in weights.items():
        np.savez(folder / f"{name}.npz", **{key: layer.numpy() for key, layer in unpack(arrays).state_dict().items()})
    metrics = {
        "rounds": history.rounds,
        "global_dice": global_dice,
        "best_round": best + 1,
        "num_examples": history.examples(),
        "final": final,
        "mean_dice": {label: _mean(final, label) for label in next(iter(final.values())) if label != "num-examples"},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    log.info("mean Dice over the sites: %s", metrics["mean_dice"])


def _weighted(sites: dict[str, Metrics], label: str) -> float:
    total = sum(metrics["num-examples"] for metrics in sites.values())
    return sum(metrics[label] * metrics["num-examples"] for metrics in sites.values()) / total


def _mean(sites: dict[str, Metrics], label: str) -> float:
    return sum(metrics[label] for metrics in sites.values()) / len(sites)
