"""At a hospital: train the global model on its own images, and measure models on its validation patients."""

import os

import torch
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from app.data import Cohort, load_cohort
from app.model import UNet, make_model, pack, unpack
from app.train import dice, train
from flip import FLIP

app = ClientApp()

PRIVATE = "private-copy"


@app.train()
def train_round(message: Message, context: Context) -> Message:
    """One round: the global weights in, this site's weights and metrics out.

    `val_dice_global` is measured before training, on the weights as they came; `val_dice` after it.
    """
    torch.set_num_threads(1)
    cohort = _cohort(context)
    model = unpack(message.content.array_records["arrays"])
    metrics: dict[str, int | float] = {"val_dice_global": dice(model, cohort.validation)["mean"]}
    metrics["train_loss"] = _train(model, cohort, message, context)
    after = dice(model, cohort.validation)
    metrics |= {"val_dice": after["mean"], "val_dice_gm": after["gm"], "val_dice_wm": after["wm"]}
    reply = RecordDict({"arrays": pack(model), "config": ConfigRecord({"site": _site()})})
    if context.run_config["compare-alone"]:
        private = _train_private(cohort, message, context)
        metrics["val_dice_alone"] = dice(private, cohort.validation)["mean"]
        if message.content.config_records["config"].get("last-round"):
            reply["alone"] = context.state[PRIVATE]
    metrics["num-examples"] = sum(len(volume.image) for volume in cohort.train)
    reply["metrics"] = MetricRecord(metrics)
    return Message(content=reply, reply_to=message)


@app.evaluate()
def evaluate_models(message: Message, context: Context) -> Message:
    """Dice here of every model sent: `dice_global`, and `dice_alone_<trust>` of copies trained elsewhere."""
    torch.set_num_threads(1)
    cohort = _cohort(context)
    metrics: dict[str, int | float] = {"num-examples": len(cohort.validation)}
    for name, arrays in message.content.array_records.items():
        scores = dice(unpack(arrays), cohort.validation)
        metrics[f"dice_{name}"] = scores["mean"]
        if name == "global":
            metrics |= {"dice_global_gm": scores["gm"], "dice_global_wm": scores["wm"]}
    content = RecordDict({"metrics": MetricRecord(metrics), "config": ConfigRecord({"site": _site()})})
    return Message(content=content, reply_to=message)


def _cohort(context: Context) -> Cohort:
    config = context.run_config
    return load_cohort(FLIP(), str(config["flip-project-id"]), str(config["flip-cohort-query"]))


def _train(model: UNet, cohort: Cohort, message: Message, context: Context) -> float:
    config = context.run_config
    server_round = int(str(message.content.config_records["config"]["server-round"]))
    return train(
        model,
        cohort.train,
        steps=int(config["local-steps"]),
        batch=int(config["batch-size"]),
        rate=float(config["learning-rate"]),
        seed=int(config["seed"]) * 1000 + server_round,
    )


def _train_private(cohort: Cohort, message: Message, context: Context) -> UNet:
    """Trains this site's own copy by the same steps on the same slices; Flower keeps it here between rounds."""
    known = context.state.array_records.get(PRIVATE)
    private = make_model(int(context.run_config["seed"])) if known is None else unpack(known)
    _train(private, cohort, message, context)
    context.state[PRIVATE] = pack(private)
    return private


def _site() -> str:
    return os.getenv("SUPERNODE_NAME", "laptop")
