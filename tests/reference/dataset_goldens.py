"""Writes tests/data/datasets: the same few rows in every form a data set may have, and the orders that numpy and torch draw.

Made with Python 3.11, datasets 5.2, pyarrow, numpy, torch 2.11.
Run: python dataset_goldens.py [tests/data/datasets]
"""

import hashlib
import json
import pathlib
import shutil
import struct
import sys
import zlib

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data/datasets")
shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)
datasets.disable_progress_bars()


def png(shade):
    """A 2 x 2 image."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([shade] * 6)) * 2
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


TOKEN = "<|reserved_special_token_0|>"


def turns(*contents):
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


# (text, conversations, shades of the images)
ROWS = [
    (None, turns(f"{TOKEN}\nWhat is it?", "A square."), [10]),
    (f"{TOKEN} a square, {TOKEN} another", None, [20, 30]),
    (None, turns("No image: é, 图, 😀?", "None.", "Sure?", "Yes."), []),
    ("", None, []),
    (None, turns(f"{TOKEN}{TOKEN}{TOKEN}", "Three."), [40, 50, 60]),
    (None, turns("Last", "row"), []),
]
expected = {}


def expect(name, rows, bytes_of=png, path_of=lambda shade: None):
    """What each row must be read as; an image is its bytes' hash, its path, or both."""
    expected[name] = [
        {
            "text": text,
            "conversations": conversations or [],
            "modalities": [
                {
                    "type": "image",
                    "bytes_sha256": hashlib.sha256(bytes_of(shade)).hexdigest() if bytes_of(shade) else "",
                    "path": path_of(shade) or "",
                }
                for shade in shades
            ],
        }
        for text, conversations, shades in rows
    ]


def columns(rows, value):
    return {
        "text": [text for text, _, _ in rows],
        "conversations": [conversations for _, conversations, _ in rows],
        "modalities": [[{"type": "image", "value": value(shade)} for shade in shades] for _, _, shades in rows],
    }


def schema(string=pa.string(), binary=pa.binary(), list_=pa.list_, value=None):
    value = value or pa.struct({"bytes": binary, "path": string})
    return pa.schema({
        "text": string,
        "conversations": list_(pa.struct({"role": string, "content": string})),
        "modalities": list_(pa.struct({"type": string, "value": value})),
    })  # fmt: skip


def write_stream(name, table, rows_per_batch=2):
    with pa.ipc.new_stream(OUT / name, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows_per_batch)


# ---- save_to_disk
def as_struct(shade):
    return {"bytes": png(shade), "path": f"{shade}.png"}


features = datasets.Features({
    "text": datasets.Value("string"),
    "conversations": [{"role": datasets.Value("string"), "content": datasets.Value("string")}],
    "modalities": [{"type": datasets.Value("string"), "value": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}],
})  # fmt: skip
saved = datasets.Dataset.from_dict(columns(ROWS, as_struct), features=features)
saved.save_to_disk(OUT / "saved", num_shards=3)
expect("saved", ROWS, path_of=lambda shade: f"{shade}.png")
datasets.DatasetDict({"train": saved.select([4, 0]), "test": saved.select([1])}).save_to_disk(OUT / "dictionary")
expect("dictionary", [ROWS[4], ROWS[0]], path_of=lambda shade: f"{shade}.png")
datasets.DatasetDict({"test": saved.select([1])}).save_to_disk(OUT / "dictionary_without_train")
image_features = datasets.Features(dict(features, modalities=[{"type": datasets.Value("string"), "value": datasets.Image()}]))
datasets.Dataset.from_dict(columns(ROWS, as_struct), features=image_features).save_to_disk(OUT / "saved_image_feature")
expect("saved_image_feature", ROWS, path_of=lambda shade: f"{shade}.png")
datasets.Dataset.from_dict({"text": ["only", "text"]}).save_to_disk(OUT / "saved_text")
expect("saved_text", [("only", None, []), ("text", None, [])])

# ---- plain Arrow files
table = pa.table(columns(ROWS, png), schema=schema(value=pa.binary()))
write_stream("binary_values.arrow", table)
expect("binary_values.arrow", ROWS)
with pa.ipc.new_file(OUT / "file_format.arrow", table.schema) as writer:
    writer.write_table(table, max_chunksize=4)
expect("file_format.arrow", ROWS)
large = schema(pa.large_string(), pa.large_binary(), pa.large_list)
write_stream("large_types.arrow", pa.table(columns(ROWS, as_struct), schema=large))
expect("large_types.arrow", ROWS, path_of=lambda shade: f"{shade}.png")
paths = pa.table(columns(ROWS, lambda shade: f"images/{shade}.png"), schema=schema(value=pa.string()))
write_stream("path_values.arrow", paths)
expect("path_values.arrow", ROWS, bytes_of=lambda shade: None, path_of=lambda shade: f"images/{shade}.png")
sliced = pa.concat_tables([table.slice(4, 2), table.slice(1, 3)])
write_stream("sliced.arrow", sliced)
expect("sliced.arrow", ROWS[4:6] + ROWS[1:4])
without = pa.table({"conversations": [ROWS[2][1]], "modalities": pa.array([[]], pa.list_(pa.null())), "id": [7]})
write_stream("no_images_at_all.arrow", without)
expect("no_images_at_all.arrow", [(None, ROWS[2][1], [])])
nulls = pa.table({"conversations": [ROWS[2][1], ROWS[5][1]], "text": pa.nulls(2), "modalities": pa.nulls(2)})
write_stream("null_columns.arrow", nulls)
expect("null_columns.arrow", [(None, ROWS[2][1], []), (None, ROWS[5][1], [])])

# ---- Parquet
(OUT / "snapshot/data").mkdir(parents=True)
whole = pa.table(columns(ROWS, as_struct), schema=schema())
pq.write_table(whole.slice(0, 4), OUT / "snapshot/data/train-00000-of-00002.parquet", row_group_size=3)
pq.write_table(whole.slice(4), OUT / "snapshot/data/train-00001-of-00002.parquet", compression="zstd")
pq.write_table(whole.slice(0, 1), OUT / "snapshot/data/test-00000-of-00001.parquet")
(OUT / "snapshot/README.md").write_text("---\nlicense: mit\n---\n")
expect("snapshot", ROWS, path_of=lambda shade: f"{shade}.png")
expect("snapshot/data/train-0000*.parquet", ROWS, path_of=lambda shade: f"{shade}.png")
expect("snapshot/data/train-00001-of-00002.parquet", ROWS[4:], path_of=lambda shade: f"{shade}.png")
pq.write_table(pa.table(columns(ROWS, as_struct), schema=large).append_column("id", pa.array(range(6))), OUT / "large_types.parquet", row_group_size=1)
expect("large_types.parquet", ROWS, path_of=lambda shade: f"{shade}.png")
for configuration in ("ct", "mri"):
    (OUT / "configurations" / configuration).mkdir(parents=True)
    pq.write_table(whole.slice(5), OUT / "configurations" / configuration / "train.parquet")

# ---- JSON
(OUT / "json/images").mkdir(parents=True)
for shade in range(10, 70, 10):
    (OUT / f"json/images/{shade}.png").write_bytes(png(shade))


def json_row(row):
    text, conversations, shades = row
    fields = {"text": text} if text is not None else {"conversations": conversations, "text": None}
    return fields | ({"modalities": [{"type": "image", "value": f"images/{shade}.png"} for shade in shades]} if shades else {})


lines = [json.dumps(json_row(row), ensure_ascii=bool(i % 2)) for i, row in enumerate(ROWS)]
(OUT / "json/train.jsonl").write_text("\n".join(lines[:3]) + "\n\n  \r\n" + "\n".join(lines[3:]))
(OUT / "json/array.json").write_text(json.dumps([json_row(row) | {"note": '] , } \\" ['} for row in ROWS], indent=1))
for name in ("json/train.jsonl", "json/array.json", "json"):
    expect(name, ROWS, bytes_of=lambda shade: None, path_of=lambda shade: f"images/{shade}.png")

# ---- what must be refused
(OUT / "wrong").mkdir()
write_stream("wrong/columns.arrow", pa.table({"messages": [["hi"]], "picture": [b"x"]}))
write_stream("wrong/turns.arrow", pa.table({"conversations": [[{"from": "human", "value": "hi"}]]}))
pq.write_table(pa.table({"question": ["hi"]}), OUT / "wrong/columns.parquet")
(OUT / "wrong/columns.jsonl").write_text('{"question": "secret words", "answer": 1}\n')
(OUT / "wrong/rows.jsonl").write_text(
    '{"text": "fine"}\n{"text": "secret words", \n{"text": 3}\n{"conversations": [{"role": "user"}]}\n'
    '{"text": "x", "modalities": [{"type": "image"}]}\n{"conversations": "secret words"}\n'
)
(OUT / "wrong/cut.json").write_text('[{"text": "fine"}, {"text": "secret')
bad_rows = [[{"role": "user", "content": None}], [{"role": "user", "content": "x"}]]
bad_images = [[], [{"type": "image", "value": None}]]
write_stream("wrong/rows.arrow", pa.table({"conversations": bad_rows, "modalities": bad_images}, schema=pa.schema(list(schema(value=pa.binary()))[1:])))

(OUT / "goldens.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


# ---- orders
def digest(order):
    order = np.asarray(order, np.int64)
    return {"first": order[:4].tolist(), "last": order[-4:].tolist(), "sha256": hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()}


orders = []
for n in (1, 2, 3, 20, 1000, 65537, 200_003):
    for seed in (0, 1, 42, 2**31, 2**40 + 7, 2**63 - 1):
        drawn = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        orders.append({"n": n, "seed": seed, "numpy": digest(np.random.default_rng(seed).permutation(n)), "torch": digest(drawn)})
(OUT / "orders.json").write_text("[\n" + ",\n".join(json.dumps(order) for order in orders) + "\n]\n")
