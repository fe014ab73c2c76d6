#!/usr/bin/env python3
"""Writes what a benchmark of a training step runs on: model folders with random weights, a data set and the recipes of both stages.

    make_bench_model.py FOLDER [--size demo|135m] [--samples 128]

FOLDER/SIZE gets `llm/` (hub format), `vision/` (CLIP, ViT type), `checkpoint/` (the whole model in the original's format, bf16), `data/`
(datasets.save_to_disk; PNG images, one a sample) and `stage1.yaml`, `stage2.yaml` ($BENCH_ROOT is FOLDER/SIZE, $OUT any folder). Both
the program and baseline.py train from the checkpoint with these recipes.

Sizes (docs/performance.md): demo is a Qwen3 of hidden 256, 8 layers, vocabulary 8192; 135m a Llama with the sizes of SmolLM2-135M. Four
samples a step have about 1100 and 1175 real tokens, within 12 % of their mean; 30 % and 40 % of them are learnt.
"""

import argparse
import io
import json
import random
import sys
from pathlib import Path

import numpy
import torch
from datasets import Dataset, Features, List, Value, disable_progress_bars
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, CLIPConfig, CLIPModel, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "reference"))
import parity  # noqa: E402

ATTACHMENT = "<|reserved_special_token_0|>"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
SIZES = {
    "demo": {
        "vocabulary": 8192,
        "tokens": 275,  # of a sample, its image's embeddings included
        "learnt_share": 0.30,
        "llm": {
            "architectures": ["Qwen3ForCausalLM"],
            "head_dim": 64,
            "hidden_size": 256,
            "intermediate_size": 768,
            "model_type": "qwen3",
            "num_attention_heads": 4,
            "num_hidden_layers": 8,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_theta": 5000000.0,
        },
        "vision": {"hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 4, "num_hidden_layers": 12},
    },
    "135m": {
        "vocabulary": 49152,
        "tokens": 294,
        "learnt_share": 0.40,
        "llm": {
            "architectures": ["LlamaForCausalLM"],
            "head_dim": 64,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "model_type": "llama",
            "num_attention_heads": 9,
            "num_hidden_layers": 30,
            "num_key_value_heads": 3,
            "rms_norm_eps": 1e-05,
            "rope_theta": 100000.0,
        },
        "vision": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12},
    },
}


def make_words(rng, count):
    """Distinct pseudo-words; a large vocabulary needs more of them than a word list has."""
    onsets = ["b", "br", "c", "ch", "d", "f", "g", "gl", "h", "l", "m", "n", "p", "pr", "r", "s", "st", "t", "th", "tr", "v", "w", ""]
    vowels, codas = ["a", "e", "i", "o", "u", "ea", "io", "ou"], ["", "n", "r", "l", "s", "m", "ct", "x", "nt", "sis"]
    words = {}
    while len(words) < count:
        words["".join(rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas) for _ in range(rng.randint(1, 4)))] = None
    return list(words)


def make_tokenizer(words, rng, vocabulary):
    """Byte-level BPE of Qwen's kind with exactly `vocabulary` tokens, the attachment token not counted."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    size = vocabulary - len(SPECIAL)
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    lines = (" ".join(rng.choices(words, k=40)) for _ in range(len(words) // 4))
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens(SPECIAL)
    assert tokenizer.get_vocab_size() == vocabulary, tokenizer.get_vocab_size()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE, model_max_length=2048
    )


def make_models(folder, size, tokenizer):
    """llm/, vision/ and checkpoint/, weights N(0, 0.02) as transformers draws them, stored in bf16."""
    # One row is left for the attachment token: the trained model has exactly the vocabulary of its size.
    llm = {"attention_bias": False, "eos_token_id": tokenizer.eos_token_id, "hidden_act": "silu", "max_position_embeddings": 2048}
    llm |= {"tie_word_embeddings": True, "torch_dtype": "bfloat16", "vocab_size": len(tokenizer)} | size["llm"]
    vision = {"hidden_act": "quick_gelu", "image_size": 224, "patch_size": 32, "projection_dim": 64, "model_type": "clip_vision_model"}
    text = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_hidden_layers": 1, "projection_dim": 64}
    text |= {"vocab_size": 64, "model_type": "clip_text_model"}
    clip = {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 64, "torch_dtype": "bfloat16"}
    clip |= {"text_config": text, "vision_config": vision | size["vision"]}
    processor = {"crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3, "size": 224}
    processor |= {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
    for name, config in (("llm", llm), ("vision", clip)):
        (folder / name).mkdir(parents=True)
        parity.write_json(folder / name / "config.json", config)
    parity.write_json(folder / "vision" / "preprocessor_config.json", processor | {"image_processor_type": "CLIPImageProcessor"})
    tokenizer.save_pretrained(folder / "llm")

    torch.manual_seed(0)
    llm_config, clip_config = AutoConfig.from_pretrained(folder / "llm"), CLIPConfig.from_pretrained(folder / "vision")
    for name, model in (("llm", AutoModelForCausalLM.from_config(llm_config)), ("vision", CLIPModel(clip_config))):
        save(model, folder / name / "model.safetensors")
    tokenizer.add_special_tokens({"extra_special_tokens": [ATTACHMENT]})
    tokenizer.save_pretrained(folder / "checkpoint")
    llm_config.vocab_size = len(tokenizer)
    whole = parity.MultimodalModel(llm_config, clip_config)
    for module in whole.modalities_with_projection[0].projector.projection[::2]:
        torch.nn.init.normal_(module.weight, std=0.02)
        torch.nn.init.zeros_(module.bias)
    save(whole, folder / "checkpoint" / "model.safetensors")
    modality = {"model_type": "meditron_clip", "modality_type": "image", "clip_name": "vision", "projection_type": "mlp"}
    config = {"architectures": ["MultiModalModelForCausalLM"], "model_type": "multimodal", "attachment_token_idx": len(tokenizer) - 1}
    config |= {"eos_token_idx": tokenizer.eos_token_id, "pad_token_idx": 0, "hidden_size": llm["hidden_size"], "vocab_size": len(tokenizer)}
    config |= {"dtype": "bfloat16", "llm_path": "llm", "modalities": [modality | {"hidden_size": llm["hidden_size"]}], "truncation": False}
    parity.write_json(folder / "checkpoint" / "config.json", config)


def save(model, path):
    state = {name: value.bfloat16().contiguous() for name, value in model.state_dict().items()}
    tied = [name for name in state if name.endswith("lm_head.weight")]
    for name in tied:
        del state[name]
    save_file(state, path, {"format": "pt"})


def make_image(rng, generator):
    """A PNG such as a scan makes: smooth structures under noise, larger than the processor's crop."""
    width, height = rng.randint(240, 420), rng.randint(240, 420)
    y, x = numpy.mgrid[0:height, 0:width]
    plane = sum(numpy.sin(rng.uniform(0.005, 0.08) * x + rng.uniform(0.005, 0.08) * y + rng.uniform(0, 6)) for _ in range(5))
    pixels = 128 + 40 * plane[..., None] + generator.normal(0, 6, (height, width, 3))
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8)).save(stream, "PNG")
    return stream.getvalue()


def make_text(rng, words, tokenizer, num_tokens):
    """Words that make about `num_tokens` tokens."""
    chosen, count = [], 0
    while count < num_tokens:
        chosen.append(rng.choice(words))
        count += len(tokenizer(" " + chosen[-1], add_special_tokens=False)["input_ids"])
    return " ".join(chosen)


def make_data(folder, size, tokenizer, words, rng, num_samples):
    generator = numpy.random.default_rng(0)
    embeddings, around = (224 // 32) ** 2, 10  # `around`: role headers, ends of turn, line breaks
    rows = []
    for index in range(num_samples):
        total = round(size["tokens"] * rng.uniform(0.88, 1.12))
        answer = round(total * size["learnt_share"]) - 5
        question = make_text(rng, words, tokenizer, total - answer - embeddings - around)
        messages = [
            {"role": "user", "content": f"{ATTACHMENT}\n{question}"},
            {"role": "assistant", "content": make_text(rng, words, tokenizer, answer)},
        ]
        value = {"bytes": make_image(rng, generator), "path": f"{index:04}.png"}
        rows.append({"conversations": messages, "modalities": [{"type": "image", "value": value}]})
    image = {"type": Value("string"), "value": {"bytes": Value("binary"), "path": Value("string")}}
    message = {"role": Value("string"), "content": Value("string")}
    features = Features({"conversations": List(message), "modalities": List(image)})
    Dataset.from_list(rows, features=features).save_to_disk(folder / "data", num_shards=2)


def make_recipes(folder, size):
    hidden_size = size["llm"]["hidden_size"]
    for stage, mode, rate, min_lr in ((1, "ALIGNMENT", 1e-4, 3e-5), (2, "END2END", 1e-5, 3e-6)):
        arguments = {
            "output_dir": f"$OUT/stage{stage}",
            "learning_rate": rate,
            "bf16": True,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "max_steps": 16,
            "gradient_checkpointing": True,
            "gradient_checkpointing_kwargs": {"use_reentrant": True},
            "max_grad_norm": 1.0,
            "weight_decay": 0.01,
            "lr_scheduler_type": "cosine_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr": min_lr},
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "remove_unused_columns": False,
            "dataloader_num_workers": 0,
            "seed": 42,
        }
        modality = {"model_type": "meditron_clip", "clip_name": "$BENCH_ROOT/vision", "hidden_size": hidden_size}
        recipe = {
            "base_llm": "$BENCH_ROOT/llm",
            "base_model": "$BENCH_ROOT/checkpoint",
            "attachment_token": ATTACHMENT,
            "tokenizer_type": "qwen3",
            "token_size": hidden_size,
            "seed": 0,
            "loaders": [{"loader_type": "raw-image", "modality_type": "image"}],
            "modalities": [modality],
            "training_mode": mode,
            "datasets": [{"packed_path": "$BENCH_ROOT/data"}],
            "training_args": arguments,
        }
        (folder / f"stage{stage}.yaml").write_text(parity.yaml.safe_dump(recipe, sort_keys=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, action="append", help="may be given several times (default: all)")
    parser.add_argument("--samples", type=int, default=128)
    arguments = parser.parse_args()
    disable_progress_bars()
    for name in arguments.size or SIZES:
        size, folder, rng = SIZES[name], arguments.folder / name, random.Random(0)
        if folder.exists():
            sys.exit(f"{folder} exists; remove it first")
        words = make_words(rng, size["vocabulary"])
        tokenizer = make_tokenizer(words, rng, size["vocabulary"] - 1)
        make_models(folder, size, tokenizer)
        make_data(folder, size, tokenizer, words, rng, arguments.samples)
        make_recipes(folder, size)
        print(json.dumps({"folder": str(folder), "vocabulary": len(tokenizer), "samples": arguments.samples}))


if __name__ == "__main__":
    main()
