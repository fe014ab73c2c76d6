"""Opens the demo's data sets with the libraries a user would take: `datasets`, and Pillow for the images. Fails where they disagree.

Works with datasets 3 to 5 and any Pillow. Run: python demo_data_sets.py demo-output/data
"""

import io
import json
import pathlib
import sys

import datasets
from PIL import Image

TOKEN = "<|reserved_special_token_0|>"
folder = pathlib.Path(sys.argv[1])
datasets.disable_progress_bars()


def check_image(content):
    image = Image.open(io.BytesIO(content))
    image.load()
    assert image.format in ("PNG", "JPEG") and min(image.size) >= 96 and max(image.size) <= 160, (image.format, image.size)
    return image.convert("RGB").tobytes()


pictures = []
for name in ("text", "pairs", "alignment", "instructions"):
    data = datasets.load_from_disk(str(folder / name))
    assert len(data) > 0, name
    assert set(data.column_names) == {"text" if name == "pairs" else "conversations", "modalities"}, (name, data.column_names)
    for row in data:
        assert len(row["modalities"]) == (name != "text"), name
        for attachment in row["modalities"]:
            assert attachment["type"] == "image" and attachment["value"]["path"] is None
            pictures.append(check_image(attachment["value"]["bytes"]))
        if name == "pairs":
            assert row["text"] and TOKEN not in row["text"]
            continue
        turns = row["conversations"]
        assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2), turns
        assert sum(turn["content"].count(TOKEN) for turn in turns) == len(row["modalities"]), turns

# The test draw as `datasets` reads JSON lines.
test = datasets.load_dataset("json", data_files=str(folder / "test.jsonl"), split="train", cache_dir=str(folder / "cache"))
assert set(test.column_names) == {"id", "image", "question", "answer", "kind"}, test.column_names
assert [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()] == list(test)
for name in sorted(set(test["image"])):
    pictures.append(check_image((folder / name).read_bytes()))
assert len(set(pictures)) == len(pictures), "an image occurs twice"
print(f"{len(pictures)} images, {len(test)} questions: datasets {datasets.__version__} and Pillow read them")
