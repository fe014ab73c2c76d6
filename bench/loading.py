"""Images through the loader: what announcing rows gains while files are not in the page cache, and what keeping images gains where several
questions are asked on each.

    python=$(tests/reference/make_environment)
    $python bench/loading.py [--images 1500] [--rounds 3] [--threads 2]
"""

import argparse
import io
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASE = ROOT / "tests/data/case_qwen3_clip"
TOKEN = "<|reserved_special_token_0|>"


def make_rows(path, images, questions):
    """`images` JPEGs of 512 x 512 with as many questions each, in one Arrow file, a hundred rows a batch."""
    import numpy
    import pyarrow
    from PIL import Image

    rng = numpy.random.default_rng(0)
    message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
    value = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    attachment = pyarrow.struct([("type", pyarrow.string()), ("value", value)])
    schema = pyarrow.schema([("conversations", pyarrow.list_(message)), ("modalities", pyarrow.list_(attachment))])
    rows = []
    for i in range(images):
        smooth = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=numpy.uint8)).resize((512, 512), Image.BICUBIC)
        noise = rng.normal(0, 8, (512, 512, 3))
        file = io.BytesIO()
        Image.fromarray(numpy.clip(numpy.asarray(smooth) + noise, 0, 255).astype(numpy.uint8)).save(file, "JPEG", quality=90)
        for q in range(questions):
            turns = [{"role": "user", "content": f"{TOKEN} Question {q}?"}, {"role": "assistant", "content": f"Answer {i}."}]
            rows.append({"conversations": turns, "modalities": [{"type": "image", "value": {"bytes": file.getvalue(), "path": None}}]})
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, schema) as writer:
        for first in range(0, len(rows), 100):
            writer.write_batch(pyarrow.RecordBatch.from_pylist(rows[first : first + 100], schema=schema))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / ".deps") as folder:
        def load(data, *options):
            command = [ROOT / "build/bench/loading", data, CASE / "llm/qwen3", CASE / "vision/clip", args.threads, *options]
            return json.loads(subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout)

        def compare(title, data, **variants):
            results = {name: [] for name in variants}
            for _ in range(args.rounds):
                for name, options in variants.items():
                    results[name].append(load(data, *options))
            for name, runs in results.items():
                run = runs[0]
                seconds = statistics.median(run["seconds"] for run in runs)
                again = f", {run['found'] / run['asked']:.0%} of the images found ready" if run["asked"] else ""
                print(f"{title}, {name}: {run['samples'] / seconds:,.0f} images/s, waited {statistics.median(run['waited_s'] for run in runs):.2f} of "
                      f"{seconds:.2f} s, {run['ready_bytes'] / 1e6:.0f} MB ready at most{again}", flush=True)

        data = Path(folder) / "rows.arrow"
        make_rows(data, args.images, 1)
        print(f"{data.stat().st_size / args.images / 1e3:.0f} kB an image, {args.threads} threads")
        compare("cold", data, announced=["cold"], unannounced=["cold", "unannounced"])
        compare("warm", data, announced=[], unannounced=["unannounced"])
        make_rows(data, args.images // 8, 8)
        compare("eight questions an image", data, decoded_each_time=[], kept_16_MB=["cache=16"], kept_64_MB=["cache=64"])


if __name__ == "__main__":
    main()
