"""infra/tofu/modules/gpu_types: which type a wish leads to, and that the table says what AWS says."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import moto
import pytest

from flipctl.hub.tofu import program

MODULE = Path(__file__).resolve().parents[2] / "infra/tofu/modules/gpu_types"
WISHES = {
    "g4dn.2xlarge": {"gpus": 1, "gpu_memory_gb": 16},
    "g4dn.xlarge": {"gpus": 1, "gpu_memory_gb": 8, "memory_gb": 16},
    "g6.2xlarge": {"gpus": 1, "gpu_memory_gb": 22},
    "g5.2xlarge": {"gpus": 1, "gpu_memory_gb": 22, "families": ["g4dn", "g5"]},
    "g6e.xlarge": {"gpus": 1, "gpu_memory_gb": 24},
    "p5.4xlarge": {"gpus": 1, "gpu_memory_gb": 80},
    "g4dn.12xlarge": {"gpus": 2, "gpu_memory_gb": 16},
    "g6e.12xlarge": {"gpus": 4, "gpu_memory_gb": 40},
    "g4dn.metal": {"gpus": 8, "gpu_memory_gb": 16},
    "p4d.24xlarge": {"gpus": 8, "gpu_memory_gb": 40},
    "p5.48xlarge": {"gpus": 8, "gpu_memory_gb": 80, "memory_gb": 2048},
}


def _plan(folder: Path, env: dict[str, str], **modules: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """The plan of some wishes; no provider is started."""
    stack = {
        "module": {name: {"source": str(MODULE), **wish} for name, wish in modules.items()},
        "output": {name: {"value": f"${{module.{name}}}"} for name in modules},
    }
    (folder / "main.tf.json").write_text(json.dumps(stack))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program(), *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)

    assert run("init").returncode == 0
    done = run("plan", "-no-color", "-out=plan")
    return done if done.returncode else run("show", "-json", "plan")


@pytest.fixture(scope="module")
def chosen(tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each wish leads to."""
    wishes = {f"wish{number}": wish for number, wish in enumerate(WISHES.values())}
    done = _plan(tmp_path_factory.mktemp("wishes"), tofu_env, **wishes)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)["planned_values"]["outputs"]
    return {name: outputs[name]["value"] for name in wishes}


def test_the_smallest_that_fits_wins(chosen: dict[str, Any]) -> None:
    assert [found["instance_type"] for found in chosen.values()] == list(WISHES)


def test_the_table_says_what_aws_says(chosen: dict[str, Any]) -> None:
    """moto brings a recorded answer of DescribeInstanceTypes."""
    record = Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz"
    told = json.loads(gzip.decompress(record.read_bytes()))
    table = chosen["wish0"]["table"]
    assert len(table) > 30
    for row in table:
        about = told[row["name"]]
        (gpu,) = about["GpuInfo"]["Gpus"]
        assert about["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]
        assert row == {
            "name": row["name"],
            "gpus": gpu["Count"],
            "gpu_memory_gb": gpu["MemoryInfo"]["SizeInMiB"] // 1024,
            "vcpus": about["VCpuInfo"]["DefaultVCpus"],
            "memory_gb": about["MemoryInfo"]["SizeInMiB"] // 1024,
        }


def test_what_does_not_exist_is_refused_with_what_does(tofu_env: dict[str, str], tmp_path: Path) -> None:
    done = _plan(tmp_path, tofu_env, wish={"gpus": 4, "gpu_memory_gb": 80, "families": ["g6", "g6e"]})
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.returncode
    assert "has 4 GPUs of 80 GiB" in said
    assert "4 x 44 GiB, 8 x 44 GiB" in said
