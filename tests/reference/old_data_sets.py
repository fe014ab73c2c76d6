"""Writes the rows of tests/data/dataset_versions with the version of `datasets` that this interpreter has, into a folder of that version's name.

Run by old_data_sets, once with each version. Works with `datasets` 1.2 to 5. Run: python old_data_sets.py tests/data/dataset_versions
"""

import hashlib
import json
import pathlib
import shutil
import sys

import datasets

OUT = pathlib.Path(sys.argv[1])
FOLDER = OUT / datasets.__version__
shutil.rmtree(str(FOLDER), ignore_errors=True)
FOLDER.mkdir(parents=True)
scratch = FOLDER / "scratch"
TOKEN = "<|reserved_special_token_0|>"

pngs = [b"\x89PNG\r\n\x1a\n" + bytes([n]) * 40 for n in range(4)]
talks = [[{"role": "user", "content": TOKEN * n + " é?"}, {"role": "assistant", "content": "answer %d" % n}] for n in range(4)]
values = [[{"type": "image", "value": {"bytes": pngs[k], "path": "%d.png" % k}} for k in range(n)] for n in range(4)]
string = datasets.Value("string")
features = datasets.Features({
    "conversations": [{"role": string, "content": string}],
    "modalities": [{"type": string, "value": {"bytes": datasets.Value("binary"), "path": string}}],
})  # fmt: skip


def described(n):
    images = [{"type": "image", "bytes_sha256": hashlib.sha256(pngs[k]).hexdigest(), "path": "%d.png" % k} for k in range(n)]
    return {"text": None, "conversations": talks[n], "modalities": images}


# From a file on the disk: versions before 1.5 cannot save what lies in memory only.
rows = datasets.Dataset.from_dict({"conversations": talks, "modalities": values}, features=features)
table = rows.data if hasattr(rows, "data") else rows._data
table = getattr(table, "table", table)
scratch.mkdir()
if hasattr(datasets.Dataset, "from_file"):
    writer = __import__("datasets.arrow_writer", fromlist=["ArrowWriter"]).ArrowWriter(path=str(scratch / "rows.arrow"), features=features)
    for talk, images in zip(talks, values):
        writer.write({"conversations": talk, "modalities": images})
    writer.finalize()
    rows = datasets.Dataset.from_file(str(scratch / "rows.arrow"))
rows.save_to_disk(str(FOLDER / "whole"))
chosen = rows.select([2, 0, 3], indices_cache_file_name=str(scratch / "chosen.arrow"))
chosen.save_to_disk(str(FOLDER / "selected"))
datasets.DatasetDict({"train": rows, "test": chosen}).save_to_disk(str(FOLDER / "dictionary"))
joined = datasets.concatenate_datasets([rows, rows])
joined.save_to_disk(str(FOLDER / "joined"))
expected = {"whole": [0, 1, 2, 3], "selected": [2, 0, 3], "dictionary": [0, 1, 2, 3], "joined": [0, 1, 2, 3, 0, 1, 2, 3]}
expected = {name: [described(n) for n in numbers] for name, numbers in expected.items()}
if hasattr(datasets, "Image"):
    pictures = datasets.Dataset.from_dict(
        {"text": ["a", "b"], "image": [{"bytes": pngs[0], "path": "0.png"}, {"bytes": pngs[1], "path": "1.png"}]},
        features=datasets.Features({"text": string, "image": datasets.Image()}),
    )
    pictures.save_to_disk(str(FOLDER / "pictures"))
    expected["pictures"] = [dict(described(n + 1), text="ab"[n], conversations=[], modalities=described(n + 1)["modalities"][n:]) for n in range(2)]
    (OUT / "rows.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
shutil.rmtree(str(scratch))
print(datasets.__version__, sorted(path.name for path in FOLDER.iterdir()))
