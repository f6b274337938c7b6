"""Values of infra/tofu/modules/gpu_types."""

from typing import Any

GOOD: dict[str, Any] = {"gpus": 2, "gpu_memory_gb": 22, "memory_gb": 64, "families": ["g5", "g6"]}
BAD: list[tuple[str, Any]] = [
    ("gpus", 3),
    ("gpu_memory_gb", 0),
    ("gpu_memory_gb", 22.5),
    ("memory_gb", 0),
    ("families", ["g5g"]),
]
