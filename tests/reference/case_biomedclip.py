#!/usr/bin/env python3
"""Makes tests/data/case_biomedclip, the parity case of `meditron_biomedclip`, and its part of tests/data/bf16_reference.json.

    case_biomedclip.py

A tied Qwen3 with a tower of BiomedCLIP's kind: open_clip's model with a timm ViT, its weights in open_clip_pytorch_model.bin. Recipes in the
shape of the cookbook's two for a single BiomedCLIP, in tiny, and FULL. Data, tokenizer and the rest as in case_two.
"""

import json
import shutil

import biomedclip
import case_two
import parity
import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast, Qwen3Config

CASE = case_two.DATA / "case_biomedclip"
SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
BATCH, GENERATIONS = [0, 2, 3, 9], [0, 3, 6, 9]
SEED = 4048

# The cookbook's keys for qwen_biomedclip; rates and batches of this size.
COOKBOOK = {
    "dataloader_num_workers": 2, "dataloader_prefetch_factor": 4, "ddp_find_unused_parameters": False, "gradient_checkpointing": True,
    "gradient_checkpointing_kwargs": {"use_reentrant": True}, "accelerator_config": {"dispatch_batches": False},
}  # fmt: skip
RECIPES = {
    "alignment": {
        "mode": "ALIGNMENT", "seed": 0, "learning_rate": 0.002, "batch": 4, "accumulation": 2, "max_steps": 10, "max_grad_norm": 1.0,
        "weight_decay": 0.01, "scheduler": "cosine_with_min_lr", "min_lr": 0.0006, "warmup": {"warmup_steps": 0}, "data_seed": 42,
        "more_arguments": COOKBOOK,
    },
    "end2end": {
        "mode": "END2END", "seed": 0, "learning_rate": 0.001, "batch": 4, "accumulation": 2, "max_steps": 10, "max_grad_norm": 1.0,
        "weight_decay": 0.01, "scheduler": "cosine_with_min_lr", "min_lr": 0.0003, "warmup": {"warmup_steps": 0}, "data_seed": 42,
        "more_arguments": COOKBOOK, "more_keys": {"truncation": True, "max_sequence_length": 4096},
    },
    "full": {
        "mode": "FULL", "seed": 6, "learning_rate": 0.0008, "batch": 3, "accumulation": 2, "max_steps": 10, "max_grad_norm": 0.7,
        "weight_decay": 0.05, "scheduler": "cosine", "warmup": {"warmup_steps": 2}, "data_seed": 9,
    },
}  # fmt: skip

README = """# The parity case of BiomedCLIP

Made by `tests/reference/case_biomedclip.py`. Same files and keys as `case_qwen3_clip` (its README explains them). A tied Qwen3 of 2 layers, width 36; an
encoder in open_clip's layout: `open_clip_config.json`, the wrapper's `config.json` with `vision_cfg`, and weights in `open_clip_pytorch_model.bin`, which
`torch.save` wrote: a timm ViT (32 px, patch 8, width 24, 3 heads, 2 blocks), its linear head, a text tower, a scale. The checkpoint is bf16. Recipes: the
cookbook's two stages of `qwen_biomedclip` with their keys, ten steps each, and FULL.
"""


def make_models(tokenizer_folder):
    llm_folder, clip_folder, checkpoint = CASE / "llm" / "qwen3", CASE / "vision" / "biomedclip", CASE / "cases" / parity.CASE / "checkpoint"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer_folder / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=2048,
        clean_up_tokenization_spaces=False, chat_template=(tokenizer_folder / "chat_template.jinja").read_text(),
    )  # fmt: skip
    rows = len(tokenizer)
    llm = {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "eos_token_id": tokenizer.eos_token_id, "head_dim": 12,
        "hidden_act": "silu", "hidden_size": 36, "initializer_range": 0.02, "intermediate_size": 80, "layer_types": ["full_attention"] * 2,
        "max_position_embeddings": 2048, "max_window_layers": 2, "model_type": "qwen3", "num_attention_heads": 4, "num_hidden_layers": 2,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": None, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "use_sliding_window": False, "vocab_size": rows,
    }  # fmt: skip
    llm_folder.mkdir(parents=True)
    parity.write_json(llm_folder / "config.json", llm)

    encoder = biomedclip.build(SIZES)
    encoder.load_state_dict({name: value.bfloat16().float() for name, value in case_two.random_state(encoder, SEED + 1).items()})
    biomedclip.write_folder(clip_folder, encoder.bfloat16(), SIZES)

    tokenizer.add_special_tokens({"extra_special_tokens": [case_two.ATTACHMENT]})
    tokenizer.save_pretrained(checkpoint)
    tokenizer_json = checkpoint / "tokenizer.json"
    tokenizer_json.write_text(json.dumps(json.loads(tokenizer_json.read_text()), ensure_ascii=False, separators=(",", ":")))
    llm_config = Qwen3Config(**llm)
    llm_config.vocab_size = len(tokenizer)
    model = parity.MultimodalModel(llm_config, biomedclip.Encoder(clip_folder))
    state = {name: value.bfloat16() for name, value in case_two.random_state(model, SEED + 2).items() if name != "model.lm_head.weight"}
    save_file(state, checkpoint / "model.safetensors", {"format": "pt"})
    modality = {"model_type": "meditron_biomedclip", "clip_name": "vision/biomedclip", "hidden_size": 36, "modality_type": "image"}
    config = {
        "architectures": ["MultiModalModelForCausalLM"], "attachment_token_idx": rows, "dtype": "bfloat16",
        "eos_token_idx": tokenizer.eos_token_id, "hidden_size": 36, "initializer_range": 0.02, "llm_path": "llm/qwen3",
        "max_sequence_length": None, "modalities": [modality | {"projection_type": "mlp", "trust_remote_code": True}],
        "model_type": "multimodal", "pad_token_idx": 0, "padding_side": "left", "transformers_version": "4.57.6", "truncation": False,
        "vocab_size": rows + 1,
    }  # fmt: skip
    parity.write_json(checkpoint / "config.json", config)


def main():
    torch.set_num_threads(1)  # sums in one fixed order
    shutil.rmtree(CASE, ignore_errors=True)
    CASE.mkdir()
    (CASE / "README.md").write_text(README)
    tokenizer_folder = CASE / "tokenizer"
    case_two.make_tokenizer(tokenizer_folder)
    make_models(tokenizer_folder)
    shutil.rmtree(tokenizer_folder)
    case_two.make_data(CASE)
    for name in ("jsonl", "parquet"):
        shutil.rmtree(CASE / "data" / name)
    modality = {"model_type": "meditron_biomedclip", "clip_name": "$CASE_ROOT/vision/biomedclip", "hidden_size": 36, "trust_remote_code": True}
    case_two.make_recipes(CASE, RECIPES, modality, "biomedclip")
    expected, tensors = parity.expectations(CASE, BATCH, GENERATIONS, num_new_tokens=16)
    folder = CASE / "cases" / parity.CASE
    parity.write_json(folder / "expected.json", expected)
    save_file(tensors, folder / "expected.safetensors")
    parity.update_json(case_two.DATA / "bf16_reference.json", {CASE.name: parity.bf16_losses(CASE, BATCH)})
    for file in CASE.rglob("*.safetensors"):
        file.chmod(0o644)


if __name__ == "__main__":
    main()
