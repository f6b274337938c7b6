"""At a hospital: the model is measured on every labelled image; the reply holds numbers only."""

import os

import nibabel
import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from app.model import dice, predict
from flip import FLIP

app = ClientApp()


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Mean and lowest Dice over the site's images, and how many studies could be used.

    Raises:
        ValueError: no study has an image with a label.
    """
    arrays = message.content.array_records["arrays"]
    weights = {name: array.numpy() for name, array in arrays.items()}
    flip, config = FLIP(), context.run_config
    project = str(config["flip-project-id"])
    cohort = flip.get_dataframe(project_id=project, query=str(config["flip-cohort-query"]))
    scores, left_out = [], 0
    for study in flip.iter_studies(project, cohort):
        pairs = study.pairs()
        left_out += not pairs
        for image, label in pairs:
            found = predict(weights, nibabel.load(image).get_fdata(dtype=np.float32))
            scores.append(dice(found, nibabel.load(label).get_fdata() > 0))
    if not scores:
        raise ValueError(f"no image with a label; {left_out} studies had none")
    metrics = {"dice": float(np.mean(scores)), "dice_lowest": min(scores), "num-examples": len(scores)}
    content = RecordDict(
        {
            "metrics": MetricRecord(metrics),
            "config": ConfigRecord({"site": os.getenv("SUPERNODE_NAME", "laptop")}),
        }
    )
    return Message(content, reply_to=message)
