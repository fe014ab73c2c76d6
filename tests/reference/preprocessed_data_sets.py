"""Opens what `multimeditron preprocess` has written with `datasets` and Pillow, and fails where a row differs from the JSON lines it was made of.

Run: python preprocessed_data_sets.py ROWS.jsonl IMAGE_FOLDER ARROW_FOLDER PARQUET_FOLDER
"""

import io
import json
import pathlib
import sys

import datasets
from PIL import Image

lines, images, arrow, parquet = map(pathlib.Path, sys.argv[1:])
datasets.disable_progress_bars()
expected = [json.loads(line) for line in lines.read_text().splitlines()]


def check(rows):
    assert len(rows) == len(expected), (len(rows), len(expected))
    for row, wanted in zip(rows, expected):
        assert row.get("conversations") == wanted.get("conversations"), row
        assert row.get("text") == wanted.get("text"), row
        assert [item["type"] for item in row["modalities"]] == [item["type"] for item in wanted["modalities"]]
        for item, source in zip(row["modalities"], wanted["modalities"]):
            assert item["value"]["path"] == source["value"]
            content = (images / source["value"]).read_bytes()
            assert item["value"]["bytes"] == content
            Image.open(io.BytesIO(item["value"]["bytes"])).load()


check(datasets.load_from_disk(str(arrow)))
check(datasets.load_dataset(str(parquet), split="train", cache_dir=str(parquet / "cache")))
assert json.loads((arrow / "preprocess.json").read_text())["shards"]
# What the original's loaders take: images that decode by themselves once the column is one of images.
as_images = datasets.load_from_disk(str(arrow))
if hasattr(datasets, "List"):
    features = as_images.features.copy()
    features["modalities"] = datasets.List({"type": datasets.Value("string"), "value": datasets.Image()})
    picture = as_images.cast(features)[0]["modalities"][0]["value"]
    assert isinstance(picture, Image.Image), picture
print(f"{len(expected)} rows: datasets {datasets.__version__} and Pillow read them")
