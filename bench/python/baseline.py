#!/usr/bin/env python3
"""The same training in Python: what the program is measured against.

    baseline.py --config RECIPE [key.path=value ...] [--threads 2] [--precision bf16|autocast|fp32] [--attention sdpa|eager] [--output FILE]

Reads the recipe that the program reads (`base_model` set, one CLIP) and trains with transformers' modules and its Trainer, in the manner
of the original: bf16 weights under autocast (`training_args.bf16: true`; `autocast` keeps fp32 weights), samples padded on the right, every
logit computed, `training_args.gradient_checkpointing` obeyed. Same weights, samples, order, batches and schedule as the program.

Prints one JSON object: `seconds` of each step (data loading included), real `tokens` of each step (no padding), `losses`, `grad_norms`,
`peak_rss_mb`, `seconds_to_first_forward` (from the start of the process to the start of the first forward pass), settings, versions.
"""

import argparse
import json
import os
import re
import resource
import sys
import time
from pathlib import Path



def process_start():
    """When the kernel started this process, in seconds of time.time(): the imports below belong to the first step."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


PROCESS_START = process_start()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["bf16", "autocast", "fp32"], help="default: by the recipe's training_args.bf16")
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    parser.add_argument("--output", type=Path, help="write the JSON there too")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    return parser.parse_args()


ARGUMENTS = parse_arguments()
os.environ["OMP_NUM_THREADS"] = str(ARGUMENTS.threads)
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import io  # noqa: E402

import numpy  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import yaml  # noqa: E402
from datasets import concatenate_datasets, load_from_disk  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoConfig, AutoTokenizer, CLIPConfig, CLIPImageProcessorPil, Trainer, TrainerCallback, TrainingArguments  # noqa: E402
from transformers.initialization import no_init_weights  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "reference"))
from parity import IGNORED, MultimodalModel, original_labels  # noqa: E402


def read_recipe(path, overrides):
    def expand(match):
        name = match.group(1) or match.group(2)
        if name not in os.environ:
            sys.exit(f"error: ${name} in {path} is not set")
        return os.environ[name]

    recipe = yaml.safe_load(re.sub(r"\$(?:\{(\w+)\}|(\w+))", expand, path.read_text()))
    for override in overrides:
        keys, value = override.split("=", 1)
        *parents, last = keys.split(".")
        node = recipe
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        node[last] = yaml.safe_load(value)
    return recipe


def numbers_of(arguments):
    """YAML 1.1 takes 1e-4 for a string."""
    return {key: float(value) if isinstance(value, str) and re.fullmatch(r"[\d.]+e[-+]?\d+", value) else value for key, value in arguments.items()}


class Collator:
    """Rows of the data set to a micro-batch: template, tokens, labels, decoded and processed images, padding on the right."""

    def __init__(self, tokenizer, tokenizer_type, processor, attachment_id, num_embeddings, dtype):
        self.tokenizer_type = tokenizer_type
        self.tokenizer, self.processor, self.attachment_id = tokenizer, processor, attachment_id
        self.num_embeddings, self.dtype = num_embeddings, dtype

    def __call__(self, rows):
        all_ids, all_labels, images = [], [], []
        for row in rows:
            text = self.tokenizer.apply_chat_template(row["conversations"], tokenize=False)
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            counts = [self.num_embeddings if token == self.attachment_id else 1 for token in ids]
            learnt = original_labels(self.tokenizer, ids, self.tokenizer_type)
            labels = [IGNORED if token == self.attachment_id else label for token, label in zip(ids, learnt)]
            all_ids.append([token for token, count in zip(ids, counts) for _ in range(count)])
            all_labels.append([label for label, count in zip(labels, counts) for _ in range(count)])
            images += [Image.open(io.BytesIO(item["value"]["bytes"])) for item in row["modalities"]]
        longest = max(map(len, all_ids))

        def padded(lists, value):
            return torch.tensor([list(row) + [value] * (longest - len(row)) for row in lists])

        batch = {
            "input_ids": padded(all_ids, self.tokenizer.pad_token_id),
            "labels": padded(all_labels, IGNORED),
            "attention_mask": padded([[1] * len(ids) for ids in all_ids], 0),
            "position_ids": padded([range(len(ids)) for ids in all_ids], 0),
        }
        if images:
            batch["pixel_values"] = self.processor(images, return_tensors="pt")["pixel_values"].to(self.dtype)
        return batch


class TrainedModel(MultimodalModel):
    """The model as Trainer calls it; it counts real tokens and notes when the first forward pass begins."""

    def __init__(self, llm_config, clip_config, attachment_id):
        super().__init__(llm_config, clip_config)
        self.attachment_id = attachment_id
        self.tokens = 0
        self.first_forward = None

    def forward(self, input_ids, labels, attention_mask, position_ids, pixel_values=None):
        self.first_forward = self.first_forward or time.time()
        self.tokens += int(attention_mask.sum())
        batch = {"input_ids": input_ids, "labels": labels, "attention_mask": attention_mask}
        batch |= {"position_ids": position_ids, "pixel_values": pixel_values}
        loss = super().forward(batch, self.attachment_id).loss
        if pixel_values is None:  # the projector's gradient is zero then, not absent
            loss = loss + 0.0 * sum(p.sum() for p in self.modalities_with_projection[0].projector.parameters())
        return {"loss": loss}

    def gradient_checkpointing_enable(self, **kwargs):
        self.model.gradient_checkpointing_enable(**kwargs)


class Recorder(TrainerCallback):
    def __init__(self, model):
        self.model = model
        self.ends, self.tokens, self.losses, self.grad_norms, self.rates = [], [], [], [], []

    def on_train_begin(self, args, state, control, **kwargs):
        self.ends.append(time.perf_counter())

    def on_step_end(self, args, state, control, **kwargs):
        self.ends.append(time.perf_counter())
        self.tokens.append(self.model.tokens)
        self.model.tokens = 0

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.losses.append(logs["loss"])
            self.grad_norms.append(float(logs["grad_norm"]))
            self.rates.append(logs["learning_rate"])


def build_model(recipe, tokenizer, checkpoint, attention, dtype):
    config = json.loads((checkpoint / "config.json").read_text())
    clip_config = CLIPConfig.from_pretrained(recipe["modalities"][0]["clip_name"], attn_implementation=attention)
    llm_config = AutoConfig.from_pretrained(recipe["base_llm"], attn_implementation=attention)
    llm_config.vocab_size = len(tokenizer)
    torch.set_default_dtype(dtype)
    with no_init_weights():
        model = TrainedModel(llm_config, clip_config, config["attachment_token_idx"])
    state = {}
    for file in sorted(checkpoint.glob("model*.safetensors")):
        state |= load_file(file)
    missing, unexpected = model.load_state_dict({name: value.to(dtype) for name, value in state.items()}, strict=False)
    missing = [name for name in missing if not (name == "model.lm_head.weight" and llm_config.tie_word_embeddings)]
    assert not missing and not unexpected, (missing, unexpected)
    model.model.tie_weights()
    model.train_only(recipe["training_mode"])
    return model


def training_arguments(recipe, precision):
    known = TrainingArguments.__dataclass_fields__
    arguments = numbers_of(recipe["training_args"])
    if "warmup_ratio" in arguments:
        arguments["warmup_steps"] = arguments.pop("warmup_ratio")  # a share where it is below 1
    dropped = [key for key in arguments if key not in known or key == "deepspeed"]
    arguments = {key: value for key, value in arguments.items() if key not in dropped}
    arguments["lr_scheduler_kwargs"] = numbers_of(arguments.get("lr_scheduler_kwargs", {}))
    arguments |= {"bf16": precision != "fp32", "use_cpu": True, "report_to": "none", "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True}
    return TrainingArguments(**arguments)


def main():
    torch.set_num_threads(ARGUMENTS.threads)
    transformers.logging.set_verbosity_error()
    recipe = read_recipe(ARGUMENTS.config, ARGUMENTS.overrides)
    precision = ARGUMENTS.precision or ("bf16" if recipe["training_args"].get("bf16") else "fp32")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    checkpoint = Path(recipe["base_model"])
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = build_model(recipe, tokenizer, checkpoint, ARGUMENTS.attention, dtype)
    processor = CLIPImageProcessorPil.from_pretrained(recipe["modalities"][0]["clip_name"])
    vision = model.modalities_with_projection[0].feature_extractor.config.vision_config
    collator = Collator(tokenizer, recipe["tokenizer_type"], processor, model.attachment_id, (vision.image_size // vision.patch_size) ** 2, dtype)
    dataset = concatenate_datasets([load_from_disk(item["packed_path"]) for item in recipe["datasets"]])
    dataset = dataset.select(numpy.random.default_rng(recipe.get("seed", 0)).permutation(len(dataset)))
    recorder = Recorder(model)
    trainer = Trainer(model, training_arguments(recipe, precision), collator, dataset, callbacks=[recorder])
    trainer.model_accepts_loss_kwargs = False  # the loss of a step is the mean of its micro-batches' means
    trainer.pop_callback(transformers.PrinterCallback)
    trainer.train()
    seconds = [end - start for start, end in zip(recorder.ends, recorder.ends[1:])]
    kept = sorted(tokens / s for tokens, s in list(zip(recorder.tokens, seconds))[2:]) or [0.0]  # the first two steps warm up
    result = {
        "seconds": [round(s, 5) for s in seconds],
        "tokens": recorder.tokens,
        "tokens_per_second_median": round(kept[len(kept) // 2], 1),
        "tokens_per_second_best": round(kept[-1], 1),
        "losses": recorder.losses,
        "grad_norms": recorder.grad_norms,
        "learning_rates": recorder.rates,
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "seconds_to_first_forward": round(model.first_forward - PROCESS_START, 3),
        "training_mode": recipe["training_mode"],
        "precision": precision,
        "attention": ARGUMENTS.attention,
        "gradient_checkpointing": bool(recipe["training_args"].get("gradient_checkpointing")),
        "threads": ARGUMENTS.threads,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    if ARGUMENTS.output:
        ARGUMENTS.output.write_text(json.dumps(result) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
