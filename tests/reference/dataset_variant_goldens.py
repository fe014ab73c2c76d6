"""Writes tests/data/dataset_variants: the same few rows in every layout of columns that Arrow, Parquet and `datasets` have, and what they say.

Made with Python 3.11, datasets 5.2, pyarrow 26. Run: python dataset_variant_goldens.py [tests/data/dataset_variants]
"""

import csv
import gzip
import hashlib
import io
import json
import pathlib
import shutil
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data/dataset_variants")
shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)
datasets.disable_progress_bars()

TOKEN = "<|reserved_special_token_0|>"
LONG = "a text that is too long to lie inside a view"


def blob(number):
    """Stands for an image: no one decodes it here."""
    return f"bytes of image {number}, which are long enough".encode()


def turns(*contents):
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


# (text, conversations, numbers of the images)
ROWS = [
    (None, turns(f"{TOKEN} What?", "A."), [1]),
    (LONG, None, []),
    (None, turns(f"{TOKEN}{TOKEN} é 图", LONG, "So?", "So."), [2, 3]),
    ("short", None, [4]),
]
expected = {}


def expect(name, rows=ROWS, has_bytes=True, path=lambda number: None):
    expected[name] = [
        {
            "text": text,
            "conversations": conversations or [],
            "modalities": [
                {"type": "image", "bytes_sha256": hashlib.sha256(blob(n)).hexdigest() if has_bytes else "", "path": path(n) or ""} for n in numbers
            ],
        }
        for text, conversations, numbers in rows
    ]


def columns(value, rows=ROWS):
    return {
        "text": [text for text, _, _ in rows],
        "conversations": [conversations for _, conversations, _ in rows],
        "modalities": [[{"type": "image", "value": value(n)} for n in numbers] for _, _, numbers in rows],
    }


def schema(string=pa.string(), binary=pa.binary(), list_=pa.list_, value=None):
    value = value or pa.struct({"bytes": binary, "path": string})
    return pa.schema({
        "text": string,
        "conversations": list_(pa.struct({"role": string, "content": string})),
        "modalities": list_(pa.struct({"type": string, "value": value})),
    })  # fmt: skip


def as_struct(n):
    return {"bytes": blob(n), "path": f"{n}.png"}


def name_of(n):
    return f"{n}.png"


def write(name, table, options=None, rows_per_batch=3):
    with pa.ipc.new_stream(OUT / name, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows_per_batch)


# ---- layouts of strings, bytes and lists
struct_table = pa.table(columns(as_struct), schema=schema())
write("string_views.arrow", pa.table(columns(as_struct), schema=schema(pa.string_view(), pa.binary_view())))
expect("string_views.arrow", path=name_of)
write("list_views.arrow", pa.table(columns(as_struct), schema=schema(list_=pa.list_view)))
expect("list_views.arrow", path=name_of)
write("large_list_views.arrow", pa.table(columns(as_struct), schema=schema(list_=pa.large_list_view)))
expect("large_list_views.arrow", path=name_of)
pairs = [ROWS[0], ROWS[0]]
fixed = schema(list_=lambda item: pa.list_(item, 2 if item.field(0).name == "role" else 1))
write("fixed_size_lists.arrow", pa.table(columns(as_struct, pairs), schema=fixed))
expect("fixed_size_lists.arrow", pairs, path=name_of)
words = pa.dictionary(pa.int8(), pa.string())
dictionary_schema = pa.schema({
    "text": pa.dictionary(pa.int32(), pa.string()),
    "conversations": pa.list_(pa.struct({"role": words, "content": pa.string()})),
    "modalities": pa.list_(pa.struct({"type": words, "value": pa.struct({"bytes": pa.binary(), "path": words})})),
})  # fmt: skip
write("dictionaries.arrow", pa.table(columns(as_struct), schema=dictionary_schema))
expect("dictionaries.arrow", path=name_of)
with pa.ipc.new_file(OUT / "dictionaries_indexed.arrow", dictionary_schema) as writer:
    writer.write_table(pa.table(columns(as_struct), schema=dictionary_schema))
expect("dictionaries_indexed.arrow", path=name_of)
runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], pa.int32()), pa.array(["twice", LONG]))
write("runs.arrow", pa.table({"text": runs}))
expect("runs.arrow", [(text, None, []) for text in ("twice", "twice", LONG, LONG)])
sizes = pa.table({"text": ["a", "b"], "modalities": [[{"type": "image", "value": blob(n)}] for n in (1, 2)]},
                 schema=pa.schema({"text": pa.string(), "modalities": pa.list_(pa.struct({"type": pa.string(), "value": pa.binary(len(blob(1)))}))}))  # fmt: skip
write("fixed_size_bytes.arrow", sizes)
expect("fixed_size_bytes.arrow", [("a", None, [1]), ("b", None, [2])])


class Label(pa.ExtensionType):
    """A type of someone's own; without their library it is what it is stored as."""

    def __init__(self):
        super().__init__(pa.string(), "someone.label")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls()


write("extension.arrow", pa.table({"text": pa.ExtensionArray.from_storage(Label(), pa.array(["one", None, "two"])), "conversations": [None, turns("a", "b"), None]}))
expect("extension.arrow", [("one", None, []), (None, turns("a", "b"), []), ("two", None, [])])
json_type = pa.array(['"quoted"'], pa.json_(pa.string()))
write("json_extension.arrow", pa.table({"text": json_type}))
expect("json_extension.arrow", [('"quoted"', None, [])])

# ---- images of several kinds in one column: bytes, paths and structs
kinds = pa.array([1, 0, 2], pa.int8())
values = pa.UnionArray.from_dense(kinds, pa.array([0, 0, 0], pa.int32()), [pa.array([blob(1)]), pa.array(["2.png"]), pa.array([as_struct(3)])],
                                  ["bytes", "path", "both"], [1, 0, 2])  # fmt: skip
items = pa.StructArray.from_arrays([pa.array(["image"] * 3), values], ["type", "value"])
write("union.arrow", pa.table({"text": ["all"], "modalities": pa.ListArray.from_arrays(pa.array([0, 3], pa.int32()), items)}))
expect("union.arrow", [("all", None, [1, 2, 3])], path=name_of)
expected["union.arrow"][0]["modalities"][0]["path"] = ""
expected["union.arrow"][0]["modalities"][1]["bytes_sha256"] = ""

# ---- image columns instead of `modalities`
one = [("a", None, [1]), ("b", None, []), ("c", None, [2])]
texts = [text for text, _, _ in one]
images = [as_struct(1), None, as_struct(2)]
write("image_column.arrow", pa.table({"text": texts, "image": images}))
expect("image_column.arrow", one, path=name_of)
pq.write_table(pa.table({"text": texts, "image": images, "label": [0, 1, 0]}), OUT / "image_column.parquet")
expect("image_column.parquet", one, path=name_of)
write("image_bytes.arrow", pa.table({"text": texts, "image": [blob(1), None, blob(2)]}))
expect("image_bytes.arrow", one)
write("image_paths.arrow", pa.table({"text": texts, "image": ["1.png", None, "2.png"]}))
expect("image_paths.arrow", one, has_bytes=False, path=name_of)
several = [("a", None, [1, 2]), ("b", None, []), ("c", None, [3])]
write("images_column.arrow", pa.table({"text": texts, "images": [[as_struct(1), as_struct(2)], None, [as_struct(3)]]}))
expect("images_column.arrow", several, path=name_of)
write("modalities_or_image.arrow", pa.table({"text": texts, "modalities": [None, [], [{"type": "image", "value": blob(2)}]], "image": [blob(1), None, blob(4)]}))
expect("modalities_or_image.arrow", one)
(OUT / "image.jsonl").write_text(
    '{"text": "a", "image": "1.png"}\n{"text": "b", "image": null}\n{"text": "c", "image": {"path": "2.png", "bytes": null}}\n'
)
expect("image.jsonl", one, has_bytes=False, path=name_of)
(OUT / "images.jsonl").write_text('{"text": "a", "images": ["1.png", "2.png"]}\n{"text": "b"}\n{"text": "c", "images": "3.png", "modalities": null}\n')
expect("images.jsonl", several, has_bytes=False, path=name_of)
saved = datasets.Dataset.from_dict({"text": texts, "image": images}).cast_column("image", datasets.Image())
saved.save_to_disk(OUT / "saved_images", num_shards=2)
expect("saved_images", one, path=name_of)

# ---- a Sequence of a dict is stored as a dict of lists
sequences = datasets.Features({
    "conversations": {"role": datasets.Sequence(datasets.Value("string")), "content": datasets.Sequence(datasets.Value("string"))},
    "modalities": {"type": datasets.Sequence(datasets.Value("string")), "value": datasets.Sequence(datasets.Image())},
})  # fmt: skip
talks = [ROWS[0], ROWS[2], (None, turns("no", "image"), [])]
as_dicts = {
    "conversations": [{key: [turn[key] for turn in talk] for key in ("role", "content")} for _, talk, _ in talks],
    "modalities": [{"type": ["image"] * len(numbers), "value": [as_struct(n) for n in numbers]} for _, _, numbers in talks],
}
datasets.Dataset.from_dict(as_dicts, features=sequences).save_to_disk(OUT / "sequences")
expect("sequences", talks, path=name_of)

# ---- compressed batches
for kind in ("lz4", "zstd"):
    write(f"{kind}.arrow", struct_table, pa.ipc.IpcWriteOptions(compression=kind), rows_per_batch=2)
    expect(f"{kind}.arrow", path=name_of)
with pa.ipc.new_file(OUT / "lz4_indexed.arrow", struct_table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
    writer.write_table(struct_table, max_chunksize=1)
expect("lz4_indexed.arrow", path=name_of)
write("dictionaries_lz4.arrow", pa.table(columns(as_struct), schema=dictionary_schema), pa.ipc.IpcWriteOptions(compression="lz4"))
expect("dictionaries_lz4.arrow", path=name_of)

# ---- Parquet: codecs, encodings, page and file versions
variants = {
    "snappy": {"compression": "snappy"},
    "gzip": {"compression": "gzip"},
    "brotli": {"compression": "brotli"},
    "lz4": {"compression": "lz4"},
    "plain": {"compression": "none", "use_dictionary": False, "version": "1.0"},
    "pages_v2": {"data_page_version": "2.0", "data_page_size": 40},
    "old_lists": {"use_compliant_nested_type": False, "store_schema": False},
    "checked": {"write_page_checksum": True, "use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
}
for name, options in variants.items():
    pq.write_table(struct_table, OUT / f"{name}.parquet", row_group_size=2, **options)
    expect(f"{name}.parquet", path=name_of)
pq.write_table(pa.table(columns(as_struct), schema=schema(pa.large_string(), pa.large_binary(), pa.large_list)), OUT / "large.parquet")
expect("large.parquet", path=name_of)
pq.write_table(pa.table(columns(as_struct), schema=dictionary_schema), OUT / "dictionaries.parquet")
expect("dictionaries.parquet", path=name_of)

# ---- JSON lines in a compressed file, CSV
lines = "".join(json.dumps({"text": text, "conversations": talk, "modalities": [{"type": "image", "value": name_of(n)} for n in numbers]}) + "\n" for text, talk, numbers in ROWS)
with gzip.GzipFile(OUT / "lines.jsonl.gz", "wb", mtime=0) as file:
    file.write(lines[:100].encode())
with open(OUT / "lines.jsonl.gz", "ab") as file:  # a second member, as `cat a.gz b.gz` makes it
    file.write(gzip.compress(lines[100:].encode(), mtime=0))
expect("lines.jsonl.gz", has_bytes=False, path=name_of)
with pa.CompressedOutputStream(str(OUT / "lines.jsonl.zst"), "zstd") as file:
    file.write(lines.encode())
expect("lines.jsonl.zst", has_bytes=False, path=name_of)
for name, separator in (("table.csv", ","), ("table.tsv", "\t")):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(["id", "text", "image", "conversations"])
    writer.writerow([1, 'with "quotes", a\nline break, é', "1.png", ""])
    writer.writerow([2, "plain\ttab", "", ""])
    writer.writerow([3, "", "3.png", json.dumps(turns("a", "b"))])
    (OUT / name).write_text(text.getvalue(), newline="")
    expect(name, [('with "quotes", a\nline break, é', None, [1]), ("plain\ttab", None, []), (None, turns("a", "b"), [3])], has_bytes=False, path=name_of)

# ---- what must be refused
(OUT / "wrong").mkdir()
write("wrong/latin1.arrow", pa.table({"text": pa.Array.from_buffers(pa.string(), 2, [None, pa.array([0, 2, 4], pa.int32()).buffers()[1], pa.py_buffer(b"ok\xe9\xe8")])}))
write("wrong/lengths.arrow", pa.table({"conversations": [{"role": ["user", "assistant"], "content": ["one"]}]}))
huge = b"\0" * (300 << 20)  # unpacks to more than any file of this size may
text_schema = pa.schema({"text": pa.string()})
sink = io.BytesIO()
with pa.ipc.new_stream(sink, text_schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
    writer.write_batch(pa.record_batch({"text": pa.array([huge.decode()])}, schema=text_schema))
(OUT / "wrong/bomb.arrow").write_bytes(sink.getvalue())
pq.write_table(pa.table({"text": ["\0" * (300 << 20)]}), OUT / "wrong/bomb.parquet", compression="zstd", use_dictionary=False, write_statistics=False)
(OUT / "wrong/open_quote.csv").write_text('text\n"fine"\n"never closed\n')
(OUT / "wrong/fields.csv").write_text("text,image\nsecret words\n")
(OUT / "wrong/columns.csv").write_text("question,answer\nsecret,words\n")

# ---- selections of old versions: the data whole, and the numbers of the rows
for name, key in (("indices", "_indices_files"), ("indices_first_name", "_indices_data_files")):
    (OUT / name).mkdir()
    with pa.ipc.new_stream(OUT / name / "dataset.arrow", struct_table.schema) as writer:
        writer.write_table(struct_table, max_chunksize=2)
    with pa.ipc.new_stream(OUT / name / "indices.arrow", pa.schema({"indices": pa.uint64()})) as writer:
        writer.write_table(pa.table({"indices": pa.array([3, 0, 3], pa.uint64())}))
    state = {"_data_files": [{"filename": "dataset.arrow"}], key: [{"filename": "indices.arrow"}], "_fingerprint": "0123456789abcdef"}
    (OUT / name / "state.json").write_text(json.dumps(state))
    expect(name, [ROWS[3], ROWS[0], ROWS[3]], path=name_of)
shutil.copytree(OUT / "indices", OUT / "wrong/indices")
with pa.ipc.new_stream(OUT / "wrong/indices/indices.arrow", pa.schema({"indices": pa.uint64()})) as writer:
    writer.write_table(pa.table({"indices": pa.array([4], pa.uint64())}))

(OUT / "goldens.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
