#!/usr/bin/env python3
"""Makes tests/data/case_two, the second parity case, and tests/data/bf16_reference.json of both cases.

    case_two.py            writes them
    case_two.py --check    computes the first case with the same code and compares with what stands in its expected.json

The first case came from another program, so the check proves the code that makes the second one (parity.py). The second case differs in
what an implementation could have taken for granted: untied head, grouped heads whose sizes do not multiply to the hidden size, odd widths,
a sharded bf16 base LLM whose embedding grows by the attachment token, GELU in the vision tower, several images a sample, samples without
image, micro-batches and steps that are cut short by the end of an epoch, all four training modes.
"""

import argparse
import io
import json
import random
import shutil
import sys
from pathlib import Path

import numpy
import parity
import torch
from datasets import Dataset, Features, List, Value, disable_progress_bars
from PIL import Image
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

disable_progress_bars()
DATA = Path(__file__).resolve().parent.parent / "data"
FIRST, SECOND = DATA / "case_qwen3_clip", DATA / "case_two"
BATCHES = {FIRST: [0, 1, 2, 4], SECOND: [0, 2, 3, 9]}
GENERATIONS = {FIRST: [0, 1, 4, 7], SECOND: [0, 2, 3, 6, 9, 13]}
ATTACHMENT = "<|reserved_special_token_0|>"
SEED = 2024
NUM_SAMPLES = 22
VOCABULARY = 1184  # without the added tokens

WORDS = """abdomen abscess acute adenoma airspace aneurysm angiography anterior aorta artery arthritis aspect asymmetry atelectasis atrophy
attenuation axial basal benign bilateral biopsy bladder blurred border bowel bronchus calcified callus cardiac carotid cartilage catheter
cerebral cervical chest chronic collapse colonic congestion consolidation contour contrast coronal cortex costophrenic cranial cystic
degenerative dense diaphragm diffuse dilated disc dislocation displaced distal doppler echogenic edema effusion elevated embolism
emphysema enhancement enlarged erosion exudate fatty femur fibrosis filling finding fissure fluid focal follicle fracture frontal gallbladder
gastric glandular granuloma hazy hemorrhage hepatic hernia hilar humerus hyperintense hypodense iliac impression indeterminate infarct
inferior infiltrate inflammation interstitial interval intracranial ischemic joint kidney knee lateral lesion ligament lobar lumbar
lymphadenopathy malignant mandible marginal marrow mediastinal meniscus metastasis midline mucosa multiple muscle narrowing necrosis
neoplasm neural node nodular obstruction occlusion opacity optic orbital ossification osteophyte ovarian pancreas papilla parenchyma
patellar pelvic perfusion pericardial peripheral pituitary plaque pleural pneumonia pneumothorax polyp portal posterior prostate
protocol proximal pulmonary radial rectal reflux renal residual retinal ruptured sacral sagittal sclerosis septum shadow signal sinus
spinal spleen stable stenosis stroke subdural superior suture swelling symmetric tendon thickening thoracic thrombus thyroid tibia
tissue tortuous trachea transverse trauma tumour ulcer unremarkable ureter uterine vascular venous ventricle vertebral vessel volume
wedge widened width without zone and of in the with no is at for to""".split()
FOREIGN = [
    "Größe 4,2 × 3,1 cm, unverändert.",
    "Épaississement pleural à gauche; re\u0301gression partielle.",  # decomposed accent: the tokenizer's NFC joins it
    "左肺下叶可见结节影。",
    "Очаг в правой доле печени 12 мм.",
    "كتلة في الرئة اليمنى",
    "右腎に嚢胞を認める。",
    "T2 ↑, ADC ↓ (≈ 0.9·10⁻³ mm²/s) 🩻",
]
KINDS = ["CT", "MRI", "X-ray", "ultrasound", "fundus photograph", "histology slide", "PET scan"]


# ------------------------------------------------------------------------------------------------------------ tokenizer


def sentence(rng, count):
    words = [rng.choice(WORDS) for _ in range(count)]
    if rng.random() < 0.35:
        place = rng.randrange(len(words))
        measures = [f"{rng.randint(1, 99)}.{rng.randint(0, 9)} mm", f"(grade {rng.randint(1, 4)})", "T1-weighted", "it's"]
        words.insert(place, rng.choice(measures))
    if rng.random() < 0.2:
        words.append(rng.choice(FOREIGN))
    return " ".join(words).capitalize() + rng.choice([".", ".", "!", "?", "...", ";"])


def make_tokenizer(folder):
    """A byte-level BPE of Qwen's kind, in hub format: the template in a file of its own, one added token that is not special."""
    rng = random.Random(SEED)
    corpus = [sentence(rng, rng.randint(3, 14)) for _ in range(3000)] + FOREIGN * 20 + [f"What does this {kind} show?" for kind in KINDS] * 40
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"])
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    config = {
        "add_bos_token": False,
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "model_max_length": 2048,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
    }
    parity.write_json(folder / "tokenizer_config.json", config)
    (folder / "chat_template.jinja").write_text(
        "{%- if messages[0].role == 'system' %}\n"
        "    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}\n"
        "{%- endif %}\n"
        "{%- for message in messages %}\n"
        "    {%- if (message.role == 'user') or (message.role == 'system' and not loop.first) %}\n"
        "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
        "    {%- elif message.role == 'assistant' %}\n"
        "        {{- '<|im_start|>' + message['role'] + '\\n' ~ message['content'] }}\n"
        "        {{- '<|im_end|>\\n' }}\n"
        "    {%- endif %}\n"
        "{%- endfor %}\n"
        "{%- if add_generation_prompt %}\n"
        "    {{- '<|im_start|>assistant\\n' }}\n"
        "{%- endif %}"
    )


# --------------------------------------------------------------------------------------------------------------- models


def random_state(model, seed):
    """Weights that make every part matter: products keep their scale, norms are near but not at 1, biases are not zero."""
    generator = torch.Generator().manual_seed(seed)
    out = {}
    for name, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if value.dim() == 0:
            out[name] = value
        elif name.endswith("bias"):
            out[name] = 0.05 * noise
        elif value.dim() == 1:
            out[name] = (0.3 if "class_embedding" in name else 0.1) * noise + (0.0 if "class_embedding" in name else 1.0)
        elif "embed" in name and "patch" not in name:
            out[name] = 0.3 * noise
        else:
            out[name] = noise / value[0].numel() ** 0.5
    return out


def make_models(root):
    """The base LLM (two shards, bf16), the CLIP model (fp32) and the checkpoint, whose weights have moved on from both."""
    llm_folder, clip_folder, checkpoint = root / "llm" / "qwen3", root / "vision" / "clip", root / "cases" / parity.CASE / "checkpoint"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(llm_folder / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        chat_template=(llm_folder / "chat_template.jinja").read_text(),
    )
    rows = len(tokenizer)
    llm = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "dtype": "bfloat16",
        "eos_token_id": tokenizer.eos_token_id,
        "head_dim": 14,
        "hidden_act": "silu",
        "hidden_size": 45,
        "initializer_range": 0.02,
        "intermediate_size": 109,
        "layer_types": ["full_attention"] * 3,
        "max_position_embeddings": 2048,
        "max_window_layers": 3,
        "model_type": "qwen3",
        "num_attention_heads": 6,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_theta": 50000.0, "rope_type": "default"},
        "sliding_window": None,
        "tie_word_embeddings": False,
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": rows,
    }
    parity.write_json(llm_folder / "config.json", llm)
    clip = {
        "architectures": ["CLIPModel"],
        "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592,
        "model_type": "clip",
        "projection_dim": 12,
        "text_config": {
            "hidden_act": "gelu",
            "hidden_size": 12,
            "intermediate_size": 20,
            "max_position_embeddings": 8,
            "model_type": "clip_text_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "projection_dim": 12,
            "vocab_size": 64,
        },
        "torch_dtype": "float32",
        "vision_config": {
            "hidden_act": "gelu",
            "hidden_size": 39,
            "image_size": 32,
            "intermediate_size": 83,
            "layer_norm_eps": 2e-05,
            "model_type": "clip_vision_model",
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "patch_size": 8,
            "projection_dim": 12,
        },
    }
    clip_folder.mkdir(parents=True, exist_ok=True)
    parity.write_json(clip_folder / "config.json", clip)
    processor = {
        "crop_size": 32,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": [0.5, 0.45, 0.4],
        "image_std": [0.25, 0.3, 0.275],
        "resample": 3,
        "size": 32,
    }
    parity.write_json(clip_folder / "preprocessor_config.json", processor)

    llm_config, clip_config = Qwen3Config(**llm), CLIPConfig.from_pretrained(clip_folder)
    base = random_state(Qwen3ForCausalLM(llm_config), SEED + 1)
    base["lm_head.weight"] *= 2  # sharper choices, hence margins
    base = {name: value.bfloat16() for name, value in base.items()}
    shards = {
        "model-00001-of-00002.safetensors": [n for n in base if "embed" in n or "layers.0." in n],
        "model-00002-of-00002.safetensors": [n for n in base if not ("embed" in n or "layers.0." in n)],
    }
    for file, names in shards.items():
        save_file({name: base[name] for name in names}, llm_folder / file, {"format": "pt"})
    index = {"metadata": {"total_size": sum(value.nbytes for value in base.values())}}
    index["weight_map"] = {name: file for file, names in shards.items() for name in sorted(names)}
    parity.write_json(llm_folder / "model.safetensors.index.json", index)
    tower = random_state(CLIPModel(clip_config), SEED + 2)
    save_file(tower, clip_folder / "model.safetensors", {"format": "pt"})

    tokenizer.add_special_tokens({"extra_special_tokens": [ATTACHMENT]})
    tokenizer.save_pretrained(checkpoint)
    tokenizer_json = checkpoint / "tokenizer.json"
    tokenizer_json.write_text(json.dumps(json.loads(tokenizer_json.read_text()), ensure_ascii=False, separators=(",", ":")))
    llm_config.vocab_size = len(tokenizer)
    assert len(tokenizer) == rows + 1
    state = random_state(parity.MultimodalModel(llm_config, clip_config), SEED + 3)
    for name, value in state.items():
        start = base.get(name.removeprefix("model."), tower.get(name.removeprefix("modalities_with_projection.0.feature_extractor.")))
        if start is not None and start.dim() > 0:
            value.mul_(0.05)
            value[: len(start)] += start.float()
    save_file(state, checkpoint / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["MultiModalModelForCausalLM"],
        "attachment_token_idx": rows,
        "dtype": "float32",
        "eos_token_idx": tokenizer.eos_token_id,
        "hidden_size": llm["hidden_size"],
        "initializer_range": 0.02,
        "llm_path": "llm/qwen3",
        "max_sequence_length": None,
        "modalities": [
            {
                "architectures": None,
                "clip_name": "vision/clip",
                "hidden_size": llm["hidden_size"],
                "kwargs": {"attn_implementation": None, "model_type": "meditron_clip"},
                "modality_type": "image",
                "model_type": "meditron_clip",
                "projection_type": "mlp",
                "use_2d_position_ids": False,
            }
        ],
        "model_type": "multimodal",
        "pad_token_idx": 0,
        "padding_side": "left",
        "transformers_version": "5.17.0",
        "truncation": False,
        "vocab_size": rows + 1,
    }
    parity.write_json(checkpoint / "config.json", config)


# ----------------------------------------------------------------------------------------------------------------- data


def make_image(rng, number):
    """(file name, encoded bytes): every mode that PNG and JPEG have at 8 bits, odd and lopsided sizes, smaller and larger than the crop."""
    width, height = rng.choice([(32, 32), (33, 47), (57, 32), (21, 25), (90, 31), (9, 70), (64, 48), (41, 40), (1, 1), (35, 101)])
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float64)
    planes = []
    for _ in range(4):
        fx, fy, phase = rng.uniform(0.02, 0.4), rng.uniform(0.02, 0.4), rng.uniform(0, 6)
        planes.append(127.5 + 100 * numpy.sin(fx * x + fy * y + phase) + rng.uniform(-27, 27))
    rgba = Image.fromarray(numpy.stack(planes, -1).clip(0, 255).round().astype(numpy.uint8), "RGBA")
    kind = number % 11
    mode = ["RGB", "RGB", "L", "RGBA", "P", "RGB", "1", "LA", "L", "PT", "RGB"][kind]
    stream = io.BytesIO()
    if kind in (1, 5, 8, 10):
        options = {1: {"quality": 80}, 5: {"quality": 92, "subsampling": 0}, 8: {"quality": 70}, 10: {"quality": 75, "progressive": True}}[kind]
        rgba.convert(mode).save(stream, "JPEG", **options)
        return f"{number:03}.jpg", stream.getvalue()
    if mode == "PT":
        rgba.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=13).save(stream, "PNG", transparency=3, optimize=True)
    elif mode == "P":
        rgba.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=61).save(stream, "PNG", optimize=True)
    else:
        rgba.convert(mode).save(stream, "PNG", optimize=True)
    return f"{number:03}.png", stream.getvalue()


def with_images(rng, text, count):
    """`text` with `count` attachments: in front, inside, at the end, side by side without anything between."""
    if count == 0:
        return text
    run = ATTACHMENT * (count - 1) if rng.random() < 0.5 else " ".join([ATTACHMENT] * (count - 1))
    middle = len(text) // 2
    return {
        0: lambda: ATTACHMENT + "\n" + text[:middle] + run + text[middle:],
        1: lambda: run + ATTACHMENT + text,
        2: lambda: text + "\n" + run + " " + ATTACHMENT,
        3: lambda: text[:middle] + run + ATTACHMENT + text[middle:],
    }[rng.randrange(4)]()


def make_samples(rng):
    """Lists of messages and the number of images of each sample."""
    samples = []
    for index in range(NUM_SAMPLES):
        if index in (2, 17):  # next to nothing
            messages = [{"role": "user", "content": "Hi" if index == 2 else "?"}, {"role": "assistant", "content": "No." if index == 2 else "7"}]
            samples.append(messages)
            continue
        if index == 5:  # nothing but an image
            samples.append([{"role": "user", "content": ATTACHMENT}, {"role": "assistant", "content": "Normal."}])
            continue
        turns = {0: 2, 3: 3, 9: 9, 6: 1}.get(index, rng.choice([1, 1, 1, 2]))
        has_images = index not in (9, 12, 15, 20)
        messages = []
        if rng.random() < 0.35 or index == 0:
            messages.append({"role": "system", "content": sentence(rng, rng.randint(3, 8))})
        for turn in range(turns):
            count = {0: [3, 1], 3: [1, 0, 2], 6: [4]}.get(index, [1, rng.choice([0, 1])])[turn] if has_images else 0
            question = f"What does this {rng.choice(KINDS)} show? " + sentence(rng, rng.randint(2, 9))
            messages.append({"role": "user", "content": with_images(rng, question, count)})
            answer = " ".join(sentence(rng, rng.randint(3, 12)) for _ in range(rng.choice([1, 1, 2])))
            messages.append({"role": "assistant", "content": answer + rng.choice(["", "", "\n"])})
        samples.append(messages)
    return samples


def make_data(root):
    """The same samples three times: save_to_disk folder, Parquet, JSONL with images as files."""
    rng = random.Random(SEED + 4)
    rows, lines, number = [], [], 0
    images = root / "data" / "jsonl" / "images"
    images.mkdir(parents=True)
    for messages in make_samples(rng):
        modalities, paths = [], []
        for _ in range(sum(message["content"].count(ATTACHMENT) for message in messages)):
            name, encoded = make_image(rng, number)
            number += 1
            (images / name).write_bytes(encoded)
            modalities.append({"type": "image", "value": {"bytes": encoded, "path": name}})
            paths.append({"type": "image", "value": f"images/{name}"})
        rows.append({"conversations": messages, "modalities": modalities})
        lines.append(json.dumps({"conversations": messages, "modalities": paths}, ensure_ascii=False) + "\n")
    (root / "data" / "jsonl" / "train.jsonl").write_text("".join(lines))
    image = {"type": Value("string"), "value": {"bytes": Value("binary"), "path": Value("string")}}
    message = {"role": Value("string"), "content": Value("string")}
    dataset = Dataset.from_list(rows, features=Features({"conversations": List(message), "modalities": List(image)}))
    dataset.save_to_disk(root / "data" / "arrow", num_shards=3)
    state_file = root / "data" / "arrow" / "state.json"
    state = json.loads(state_file.read_text()) | {"_fingerprint": "000000000000c0de"}  # the true one differs from run to run
    state_file.write_text(json.dumps(state, indent=2))
    (root / "data" / "parquet").mkdir()
    dataset.to_parquet(root / "data" / "parquet" / "train-00000-of-00001.parquet")


# -------------------------------------------------------------------------------------------------------------- recipes

RECIPES = {
    "alignment": {
        "mode": "ALIGNMENT", "seed": 3, "learning_rate": 0.003, "batch": 2, "accumulation": 3, "max_steps": 10, "max_grad_norm": 0.4,
        "weight_decay": 0.01, "scheduler": "cosine_with_min_lr", "min_lr": 0.0003, "warmup": {"warmup_steps": 0}, "data_seed": 11,
    },
    "end2end": {
        "mode": "END2END", "seed": 5, "learning_rate": 0.001, "batch": 3, "accumulation": 3, "max_steps": 12, "max_grad_norm": 1.5,
        "weight_decay": 0.1, "scheduler": "cosine_with_min_lr", "min_lr": 0.0001, "warmup": {"warmup_steps": 3}, "data_seed": 42,
    },
    "full": {
        "mode": "FULL", "seed": 8, "learning_rate": 0.0008, "batch": 5, "accumulation": 3, "max_steps": 11, "max_grad_norm": 1.0,
        "weight_decay": 0.05, "scheduler": "cosine", "warmup": {"warmup_ratio": 0.2}, "data_seed": 7,
        "adam": {"adam_beta1": 0.85, "adam_beta2": 0.98, "adam_epsilon": 1.0e-6},
    },
    "lm_only": {
        "mode": "LM_ONLY", "seed": 0, "learning_rate": 0.001, "batch": 4, "accumulation": 4, "max_steps": 10, "max_grad_norm": 100.0,
        "weight_decay": 0.01, "scheduler": "linear", "warmup": {"warmup_steps": 1}, "data_seed": 1,
    },
}  # fmt: skip


def make_recipes(root, recipes=None, modality=None, label="two"):
    modality = modality or {"model_type": "meditron_clip", "clip_name": "$CASE_ROOT/vision/clip", "hidden_size": 45, "projection_type": "mlp"}
    for name, r in (recipes or RECIPES).items():
        arguments = {
            "output_dir": f"$OUT/{name}",
            "run_name": f"parity-{label}-{name}",
            "learning_rate": r["learning_rate"],
            "bf16": False,
            "per_device_train_batch_size": r["batch"],
            "gradient_accumulation_steps": r["accumulation"],
            "max_steps": r["max_steps"],
            "max_grad_norm": r["max_grad_norm"],
            "weight_decay": r["weight_decay"],
            "lr_scheduler_type": r["scheduler"],
        }
        if "min_lr" in r:
            arguments["lr_scheduler_kwargs"] = {"min_lr": r["min_lr"]}
        arguments |= r["warmup"] | r.get("adam", {})
        arguments |= {"logging_steps": 1, "save_strategy": "no", "report_to": "none", "remove_unused_columns": False}
        arguments |= {"dataloader_num_workers": 0, "seed": r["data_seed"]}
        recipe = {
            "base_llm": "$CASE_ROOT/llm/qwen3",
            "base_model": f"$CASE_ROOT/cases/{parity.CASE}/checkpoint",
            "resume_from_checkpoint": False,
            "attachment_token": ATTACHMENT,
            "tokenizer_type": "qwen3",
            "token_size": modality["hidden_size"],
            "seed": r["seed"],
            "loaders": [{"loader_type": "raw-image", "modality_type": "image"}],
            "modalities": [modality],
            "training_mode": r["mode"],
            "datasets": [{"packed_path": "$CASE_ROOT/data/arrow"}],
            "training_args": arguments | r.get("more_arguments", {}),
        } | r.get("more_keys", {})
        text = parity.yaml.safe_dump(recipe, sort_keys=False, width=1000)
        (root / "cases" / parity.CASE / f"{name}.yaml").write_text(text)


README = """# The second parity case

Made by `tests/reference/case_two.py`. Same files and keys as `case_qwen3_clip` (its README explains them); other model, vocabulary, data and recipes:

- LLM: 3 layers, hidden 45, 6 query and 2 key heads of 14, MLP 109, untied head, rms eps 1e-5, `rope_parameters`; the base is bf16 in two shards with
  an index. Its embedding has as many rows as the tokenizer; embedding and head grow by the attachment token's row.
- CLIP: 32 px, patch 8, width 39, 3 heads, exact GELU; `preprocessor_config.json` in the old style, sizes as numbers. 16 embeddings an image.
- The checkpoint's weights differ from those of the base LLM and of the tower: who reads the wrong file gets other numbers.
- Tokenizer: padding is not the end of turn; the template is a file; one added token is not special.
- Data: 22 samples in three shards, 0 to 4 images each, attachments side by side, image alone, next to no text, 16 to 551 tokens, a decomposed accent (NFC), images from 1 x 1 to 90 x 31.
- Recipes: ALIGNMENT, END2END, FULL, LM_ONLY. Epochs end in short micro-batches and short steps; some micro-batches have no image; warm-up by steps
  and by ratio; cosine_with_min_lr, cosine, linear; clipping always (LM_ONLY: never); weight decay; FULL with other betas and epsilon.

Beyond the first case: `samples[].labels_assistant` (the `label_mask: assistant` labels); the groups `llm.lm_head` and `image.encoder`; in FULL only tensors that
a gradient reaches count as trainable (the text tower and the unused last norm stay as they are), and key biases of the tower, whose true gradient is 0, are not in `final_parameters`.
The numbers of fp64 differ from these by less than 1e-6 in every loss and norm.
"""

# ----------------------------------------------------------------------------------------------------------------- main


def check():
    """The first case computed by this code against its own expected values: exit 1 unless equal to rounding."""
    found, tensors = parity.expectations(FIRST, BATCHES[FIRST], GENERATIONS[FIRST])
    folder = FIRST / "cases" / parity.CASE
    numbers, others = parity.differences(json.loads((folder / "expected.json").read_text()), parity.rounded(found))
    for name, expected in parity.load_file(folder / "expected.safetensors").items():
        numbers[name] = ((expected - tensors[name]).abs().max() / expected.abs().max()).item()
    for kind, difference in sorted(numbers.items(), key=lambda item: -item[1]):
        print(f"{difference:8.1e}  {kind.removeprefix('.')}")
    for text in others:
        print("differs:", text)
    too_far = [kind for kind, difference in numbers.items() if difference > (1e-6 if "loss" in kind else 1e-5)]
    print("the first case is reproduced" if not too_far and not others else f"NOT reproduced: {too_far}")
    return 1 if too_far or others else 0


def make():
    shutil.rmtree(SECOND, ignore_errors=True)
    SECOND.mkdir()
    (SECOND / "README.md").write_text(README)
    make_tokenizer(SECOND / "llm" / "qwen3")
    make_models(SECOND)
    make_data(SECOND)
    make_recipes(SECOND)
    expected, tensors = parity.expectations(SECOND, BATCHES[SECOND], GENERATIONS[SECOND], num_new_tokens=24)
    folder = SECOND / "cases" / parity.CASE
    parity.write_json(folder / "expected.json", expected)
    save_file(tensors, folder / "expected.safetensors")
    bf16 = {root.name: parity.bf16_losses(root, BATCHES[root]) for root in (FIRST, SECOND)}
    parity.update_json(DATA / "bf16_reference.json", bf16)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare this code's numbers for the first case with its expected.json")
    torch.set_num_threads(1)  # sums in one fixed order
    sys.exit(check() if parser.parse_args().check else make())
