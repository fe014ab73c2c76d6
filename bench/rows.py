"""Rows a second out of Arrow and Parquet, ours and `datasets`, in turn; and `preprocess` beside the same in Python. Both sides read the whole
row with its images' bytes, on one thread; the numbers of bytes are compared. Files lie in the page cache.

Needs build/bench/rows and build/multimeditron. Run with the reference environment: python bench/rows.py [--rows 4000] [--image-kb 40] [--rounds 3]
"""

import argparse
import io
import json
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import datasets
import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
TOKEN = "<|reserved_special_token_0|>"
parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=4000)
parser.add_argument("--image-kb", type=int, default=40)
parser.add_argument("--rounds", type=int, default=3)
arguments = parser.parse_args()
datasets.disable_progress_bars()
datasets.disable_caching()


def make(folder):
    """`rows` rows, each with one incompressible blob, as a save_to_disk folder and as Parquet."""
    random = np.random.default_rng(0)
    rows = [
        {
            "conversations": [{"role": "user", "content": TOKEN + "What is this?"}, {"role": "assistant", "content": f"It is number {i}."}],
            "modalities": [{"type": "image", "value": {"bytes": random.bytes(arguments.image_kb * 1000), "path": None}}],
        }
        for i in range(arguments.rows)
    ]
    string = datasets.Value("string")
    features = datasets.Features({
        "conversations": [{"role": string, "content": string}],
        "modalities": [{"type": string, "value": {"bytes": datasets.Value("binary"), "path": string}}],
    })  # fmt: skip
    data = datasets.Dataset.from_list(rows, features=features)
    data.save_to_disk(str(folder / "arrow"), num_shards=4)
    data.to_parquet(str(folder / "parquet/train.parquet"), batch_size=100)


def measure_bytes(row):
    return sum(len(turn["content"].encode()) for turn in row["conversations"]) + sum(len(item["value"]["bytes"]) for item in row["modalities"])


def python_rows(path, order):
    start = time.perf_counter()
    if order == "parquet":
        with tempfile.TemporaryDirectory() as cache:
            data = datasets.load_dataset("parquet", data_files=str(path / "train.parquet"), split="train", cache_dir=cache)
            opened = time.perf_counter()
            total = sum(measure_bytes(row) for row in data)
            return {"open_s": opened - start, "read_s": time.perf_counter() - opened, "rows": len(data), "bytes": total}
    data = datasets.load_from_disk(str(path))
    opened = time.perf_counter()
    indices = np.random.default_rng(1).permutation(len(data)) if order == "shuffled" else range(len(data))
    total = sum(measure_bytes(data[int(i)]) for i in indices)
    return {"open_s": opened - start, "read_s": time.perf_counter() - opened, "rows": len(data), "bytes": total}


def our_rows(path, order):
    return json.loads(subprocess.run([ROOT / "build/bench/rows", path, order], check=True, capture_output=True, text=True).stdout)


def compare(title, ours, python):
    results = {"ours": [], "datasets": []}
    for _ in range(arguments.rounds):
        results["ours"].append(ours())
        results["datasets"].append(python())
    assert len({result["bytes"] for side in results.values() for result in side}) == 1, "the sides read different bytes"
    rates = {side: statistics.median(result["rows"] / (result["open_s"] + result["read_s"]) for result in results[side]) for side in results}
    print(f"| {title} | {rates['ours']:,.0f} | {rates['datasets']:,.0f} | {rates['ours'] / rates['datasets']:.1f} |", flush=True)


def pack(folder):
    """JSON lines with image files to a self-contained data set: `preprocess`, and what the original does, with as many processes."""
    images = folder / "images"
    images.mkdir()
    random = np.random.default_rng(2)
    lines = []
    for i in range(400):
        smooth = np.add.outer(np.sin(np.arange(384) / (9 + i % 7)), np.cos(np.arange(384) / 13))[..., None] * 60 + 128
        noisy = np.clip(smooth + random.normal(0, 8, (384, 384, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(images / f"{i}.jpg", quality=90)
        talk = [{"role": "user", "content": TOKEN + "What?"}, {"role": "assistant", "content": str(i)}]
        lines.append(json.dumps({"conversations": talk, "modalities": [{"type": "image", "value": f"{i}.jpg"}]}))
    (folder / "rows.jsonl").write_text("\n".join(lines * 5) + "\n")

    def ours():
        shutil.rmtree(folder / "packed", ignore_errors=True)
        start = time.perf_counter()
        command = [ROOT / "build/multimeditron", "preprocess", folder / "rows.jsonl", "--image-folder", images, "--output", folder / "packed", "--quiet"]
        subprocess.run(command, check=True)
        return time.perf_counter() - start

    def load(row):
        for item in row["modalities"]:
            content = (images / item["value"]).read_bytes()
            Image.open(io.BytesIO(content)).convert("RGB").load()  # the check
            item["value"] = {"bytes": content, "path": item["value"]}
        return row

    def python():
        shutil.rmtree(folder / "mapped", ignore_errors=True)
        start = time.perf_counter()
        rows = (json.loads(line) for line in open(folder / "rows.jsonl"))
        data = datasets.Dataset.from_list(list(rows))
        data.map(load, num_proc=2, writer_batch_size=100).save_to_disk(str(folder / "mapped"))
        return time.perf_counter() - start

    times = [(ours(), python()) for _ in range(arguments.rounds)]
    mine, theirs = (statistics.median(each[side] for each in times) for side in (0, 1))
    count = len(lines) * 5
    print(f"| JSON lines and JPEG files, checked and packed, two cores | {count / mine:,.0f} | {count / theirs:,.0f} | {theirs / mine:.1f} |")


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    make(folder)
    print("| rows a second | ours | datasets | ratio |\n|---|---|---|---|")
    compare("Arrow, in order", lambda: our_rows(folder / "arrow", "sequential"), lambda: python_rows(folder / "arrow", "sequential"))
    compare("Arrow, shuffled", lambda: our_rows(folder / "arrow", "shuffled"), lambda: python_rows(folder / "arrow", "shuffled"))
    compare("Parquet, one pass from the file", lambda: our_rows(folder / "parquet", "sequential"), lambda: python_rows(folder / "parquet", "parquet"))
    pack(folder)
