"""At a hospital: the cohort as a table, a few gradient steps, weights and two numbers back."""

import os

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from app.model import auc, log_loss, split, to_table, train
from flip import FLIP

app = ClientApp()


@app.train()
def train_round(message: Message, context: Context) -> Message:
    """One round; `val_auc` and `val_loss` are those of the weights after it."""
    config = context.run_config
    cohort = FLIP().get_dataframe(str(config["flip-project-id"]), str(config["flip-cohort-query"]))
    columns = [name.strip() for name in str(config["features"]).split(",")]
    table = to_table(cohort, columns, str(config["target"]), int(config["reference-year"]))
    training, validation = split(table)
    weights = np.asarray(message.content.array_records["arrays"]["weights"].numpy(), dtype=np.float64)
    weights = train(weights, training, int(config["local-steps"]), float(config["learning-rate"]))
    metrics = {
        "train_loss": log_loss(weights, training),
        "val_loss": log_loss(weights, validation),
        "val_auc": auc(weights, validation),
        "num-examples": len(training.target),
    }
    content = RecordDict(
        {
            "arrays": ArrayRecord({"weights": Array(weights)}),
            "metrics": MetricRecord(metrics),
            "config": ConfigRecord({"site": os.getenv("SUPERNODE_NAME", "laptop")}),
        }
    )
    return Message(content, reply_to=message)
