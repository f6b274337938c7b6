"""The model under test: weights in a JSON file, because Flower packs no other kind of data file with an app.

`python -m app.checkpoint final.npz app/checkpoint.json` makes it from an .npz of arrays.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHECKPOINT = Path(__file__).with_name("checkpoint.json")
Weights = dict[str, NDArray[np.float32]]


def pack(npz: Path, target: Path) -> None:
    """Writes the arrays of `npz` as float32 into `target`; nothing in it can run when it is read."""
    with np.load(npz, allow_pickle=False) as arrays:
        layers = {name: _packed(arrays[name].astype("<f4")) for name in arrays.files}
    target.write_text(json.dumps(layers) + "\n")


def load(source: Path = CHECKPOINT) -> Weights:
    """The arrays `pack` wrote."""
    layers = json.loads(source.read_text())
    return {
        name: np.frombuffer(base64.b64decode(layer["data"]), dtype="<f4").reshape(layer["shape"]).astype(np.float32)
        for name, layer in layers.items()
    }


def _packed(array: NDArray[np.float32]) -> dict[str, object]:
    return {"shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
