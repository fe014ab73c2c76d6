#!/usr/bin/env python3
"""Makes tests/data/torch_file: files that torch.save writes, and the same tensors as safetensors.

    torch_file_goldens.py
"""

import collections
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = Path(__file__).resolve().parent.parent / "data" / "torch_file"
DTYPES = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i64": torch.int64,
    "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8, "bool": torch.bool,
}  # fmt: skip


def counting(*shape):
    return (torch.arange(torch.Size(shape).numel()) % 100).reshape(shape)


def tensors():
    shared = counting(6, 4).float()
    cube = counting(3, 4, 5).to(torch.int16)
    return {f"dtype.{name}": counting(3, 5).to(dtype) for name, dtype in DTYPES.items()} | {
        "scalar": torch.tensor(7.5),
        "empty": torch.zeros(0, 3),
        "parameter": nn.Parameter(counting(2, 2).float()),
        "shared.rows": shared[2:5],
        "shared.transposed": shared.t(),
        "shared.column": shared[:, 1],
        "permuted": cube.permute(2, 0, 1),
        "every_other": cube[::2, 1:, ::3],
        "expanded": torch.arange(4).expand(3, 4),
        "odd_offset": torch.arange(9, dtype=torch.uint8)[3:],
        'name "quoted" \u00e9': counting(2).double(),
    }


shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir(parents=True)
whole = tensors()
torch.save(whole, FOLDER / "dict.bin")
torch.save(whole, FOLDER / "protocol_4.bin", pickle_protocol=4)
torch.save(whole, FOLDER / "old.bin", _use_new_zipfile_serialization=False)
save_file({name: tensor.detach().clone().contiguous() for name, tensor in whole.items()}, FOLDER / "expected.safetensors")

torch.manual_seed(0)
module = nn.Sequential(collections.OrderedDict(norm=nn.BatchNorm1d(3), linear=nn.Linear(3, 3), narrow=nn.Linear(2, 3).bfloat16()))
torch.save(module.state_dict(), FOLDER / "state_dict.bin")  # an OrderedDict with an attribute
wrapped = collections.OrderedDict((f"module.{name}", tensor) for name, tensor in module.state_dict().items())
torch.save({"epoch": 3, "name": "run", "rate": 1e-3, "state_dict": wrapped, "done": [True, None]}, FOLDER / "checkpoint.bin")
save_file({name: tensor.clone() for name, tensor in module.state_dict().items()}, FOLDER / "state_dict.safetensors")

sharded = FOLDER / "sharded"
sharded.mkdir()
names = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00001-of-00002.bin", "c": "pytorch_model-00002-of-00002.bin"}
for file in sorted(set(names.values())):
    torch.save({name: counting(2, 3).float() + ord(name) for name in names if names[name] == file}, sharded / file)
index = {"metadata": {"total_size": 72}, "weight_map": names}
(sharded / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")
