"""The demo, phase by phase: seconds, tokens/s, images/s, share of the machine's best matrix-product rate, time waiting for data, memory.

    python3 bench/demo.py [DEMO_FOLDER] [--update]    without a folder: runs the demo in a temporary one, about four minutes

--update puts the table into docs/performance.md.

Tokens are those of the sequences (patches and caption tokens for the CLIP). The share counts the matrix products of the decoder (of both
towers for the CLIP) in the median step, forward and backward, frozen or not; attention, head and projector are left out, so it is a lower
bound. Needs Python's standard library only.
"""

import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
THREADS = 2
PAGE, BEGIN, END = ROOT / "docs" / "performance.md", "<!-- bench/demo.py -->", "<!-- end -->"


def shapes(checkpoint):
    """Tensor shapes by name, from the header of model.safetensors."""
    with open(checkpoint / "model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}


def matrix_weights(checkpoint, prefix):
    return sum(s[0] * s[1] for name, s in shapes(checkpoint).items() if name.startswith(prefix) and ".layers." in name and len(s) == 2)


def flop_per_step(run, name, step):
    """Of a step of the metrics; `name`: the phase."""
    checkpoint = max(run.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    if name == "vision":
        patches = json.loads((checkpoint / "config.json").read_text())["vision_config"]
        patches = (patches["image_size"] // patches["patch_size"]) ** 2 * step["samples"]
        return 6 * (matrix_weights(checkpoint, "vision_model.") * patches + matrix_weights(checkpoint, "text_model.") * (step["tokens"] - patches))
    weights = matrix_weights(checkpoint, "model.")  # a plain language model's names begin in the same way
    return (4 if name == "alignment" else 6) * weights * step["tokens"]  # a frozen decoder has no weight gradients


def rows(folder, rate):
    for phase in json.loads((folder / "demo.json").read_text())["phases"]:
        row = {"phase": phase["name"], "seconds": phase["seconds"], "memory": phase["peak_memory_bytes"] / 1e6}
        run = folder / phase["folder"]
        if (run / "metrics.jsonl").exists():
            lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            steps = [line for line in lines if "loss" in line]
            end = [line for line in lines if line.get("event") == "end"][-1]
            seconds = sum(step["seconds"] for step in steps)
            row["tokens"] = sum(step["tokens"] for step in steps) / seconds
            if phase["name"] != "warmup":
                row["images"] = sum(step["samples"] for step in steps) / seconds
            row["share"] = statistics.median(flop_per_step(run, phase["name"], step) / step["seconds"] for step in steps) / (rate["bf16"] * 1e9)
            row["wait"] = end["data_wait_s"] / seconds
        elif "images" in phase:
            row["images"] = phase["images"] / phase["seconds"]
        yield row


def main():
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}
    rate = json.loads(subprocess.run([BUILD / "bench/matmul_rate"], check=True, env=environment, stdout=subprocess.PIPE).stdout)
    with tempfile.TemporaryDirectory() as temporary:
        given = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
        folder = Path(given[0]) if given else Path(temporary) / "demo"
        if not folder.exists():
            subprocess.run([BUILD / "multimeditron", "demo", "--quiet", "--output", folder], check=True, env=environment, stdout=subprocess.DEVNULL)
        lines = [f"{THREADS} threads; best matrix product in bf16 {rate['bf16']:.0f} GFLOP/s.", "",
                 "| phase | seconds | tokens/s | images/s | share of rate | waiting for data | memory MB |", "|---|---|---|---|---|---|---|"]
        total = 0
        for row in rows(folder, rate):
            total += row["seconds"]
            text = {key: f"{row[key]:,.0f}" if key in row else "" for key in ("tokens", "images", "memory")}
            text |= {key: f"{100 * row[key]:.1f} %" if key in row else "" for key in ("share", "wait")}
            lines.append(f"| {row['phase']} | {row['seconds']:.1f} | {text['tokens']} | {text['images']} | {text['share']} | {text['wait']} | {text['memory']} |")
        lines.append(f"| all | {total:.1f} | | | | | |")
    print("\n".join(lines))
    if "--update" in sys.argv:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
