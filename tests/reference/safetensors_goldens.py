"""Writes tests/data/checkpoint/: files of Python's own writers, which ours are compared with byte by byte.

Made with safetensors 0.8.0, huggingface_hub 1.33.0, transformers 5.17.0, torch 2.11.0:
    python tests/reference/safetensors_goldens.py
"""

import pathlib

import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import save_file
from transformers import TrainerState

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "checkpoint"
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def counting(*shape: int) -> torch.Tensor:
    """0, 1, 2, ... modulo 100 in that shape: exact in every dtype."""
    return (torch.arange(torch.Size(shape).numel()) % 100).reshape(shape)


FOLDER.mkdir(parents=True, exist_ok=True)
mixed = {f"tensor.{name}": counting(3, 5).to(dtype) for name, dtype in DTYPES.items()}
mixed |= {"scalar": torch.tensor(7.0), "empty": torch.zeros(0, 3), 'name "quoted" \u00e9': counting(2).to(torch.int16)}
save_file(mixed, FOLDER / "mixed.safetensors", metadata={"format": "pt"})

(FOLDER / "sharded").mkdir(exist_ok=True)
layers = {f"layers.{i}.weight": counting(4, 8).float() + i for i in range(5)}
save_torch_state_dict(layers, str(FOLDER / "sharded"), max_shard_size=260)

state = TrainerState(epoch=0.5, global_step=20, max_steps=40, num_train_epochs=1, save_steps=10, logging_steps=5, eval_steps=500,
                     train_batch_size=4, is_world_process_zero=True, is_local_process_zero=True)  # fmt: skip
state.log_history = [{"epoch": 0.25, "grad_norm": 1.5, "learning_rate": 0.0001, "loss": 2.25, "step": 10},
                     {"epoch": 0.5, "grad_norm": 0.75, "learning_rate": 5e-05, "loss": 1.125, "step": 20}]  # fmt: skip
state.save_to_json(FOLDER / "trainer_state.json")
