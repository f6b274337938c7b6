"""ClientApp in the plain style of the walkthrough: dataframe, images by accession, reply with metrics."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from app.models import get_model
from flip import FLIP
from flip.constants import ResourceType

app = ClientApp()


def get_datalist(project_id, query):
    flip = FLIP()
    dataframe = flip.get_dataframe(project_id=project_id, query=query)
    datalist = []
    for accession_id in dataframe["accession_id"]:
        try:
            folder = flip.get_by_accession_number(project_id, accession_id, resource_type=[ResourceType.NIFTI])
        except Exception as err:  # noqa: BLE001 - as the published walkthrough advises
            print(f"no images for one accession: {type(err).__name__}")
            continue
        for image in folder.rglob("input_*.nii.gz"):
            label = str(image).replace("/input_", "/label_")
            if Path(label).exists():
                datalist.append({"image": str(image), "label": label})
    return datalist


def load_slices(datalist):
    pairs = []
    for item in datalist:
        image, label = nib.load(item["image"]).get_fdata(), nib.load(item["label"]).get_fdata()
        middle = image.shape[2] // 2
        image, label = image[:, :, middle], label[:, :, middle] > 0
        image = (image - image.mean()) / (image.std() + 1e-6)
        pairs.append([torch.from_numpy(x.astype(np.float32))[None, None] for x in (image, label)])
    return pairs


@app.train()
def train(msg: Message, context: Context) -> Message:
    run_config = context.run_config
    client_name = os.getenv("SUPERNODE_NAME", "site")
    model = get_model()
    model.load_state_dict(msg.content["arrays"].to_torch_state_dict())

    pairs = load_slices(get_datalist(run_config["flip-project-id"], run_config.get("flip-cohort-query", "*")))
    if not pairs:
        raise ValueError("no accession of the cohort has an image with a label")

    global_round = int(msg.content["config"]["server-round"]) - 1
    local_epochs = int(run_config["local-epochs"])
    optimizer = torch.optim.Adam(model.parameters(), lr=float(run_config["learning-rate"]))
    loss_fn = torch.nn.BCEWithLogitsLoss()
    metrics = {"num-examples": len(pairs)}
    for epoch in range(local_epochs):
        losses = []
        for image, label in pairs:
            optimizer.zero_grad()
            loss = loss_fn(model(image), label)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        metrics["train_loss"] = float(np.mean(losses))
        metrics[f"train_loss@epoch.x_{global_round * local_epochs + epoch + 1}"] = metrics["train_loss"]

    content = RecordDict(
        {
            "arrays": ArrayRecord(model.state_dict()),
            "metrics": MetricRecord(metrics),
            "config": ConfigRecord({"site": client_name}),
        }
    )
    return Message(content=content, reply_to=msg)
