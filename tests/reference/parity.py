"""What a whole parity case must come out as, computed with the modules of transformers.

A case is a folder in the layout of tests/data/case_qwen3_clip. `expectations(root)` reads its checkpoint, data and recipes and returns what
stands in expected.json and expected.safetensors; `bf16_losses(root)` the losses of the same model in bf16. fp32, CPU, eager attention.
The model, the labels, the order of the data and the optimizer step are put together here; every layer, the image processor, the tokenizer,
AdamW, the schedules and the clipping are those of transformers and torch.
"""

import io
import json
import math
import re
from pathlib import Path

import biomedclip
import numpy
import torch
import transformers
import yaml
from datasets import load_from_disk
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, CLIPConfig, CLIPImageProcessorPil, CLIPModel, get_scheduler
from transformers.trainer_pt_utils import get_parameter_names

CASE = "qwen3_clip"
IGNORED = -100
NEW_TOKENS = 16
transformers.logging.set_verbosity_error()

# Turns that the rule `label_mask: original` does not learn, by tokenizer_type: opening delimiters and the end tag.
UNLEARNT_TURNS = {
    "qwen3": [(f"<|im_start|>{role}", "<|im_end|>") for role in ("system", "user")],
    "llama": [(f"<|start_header_id|>{role}<|end_header_id|>", "<|eot_id|>") for role in ("system", "user")],
    "apertus": [(f"<|{role}_start|>", f"<|{role}_end|>") for role in ("system", "developer", "user")],
}
NEVER_DECAYED = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]  # as transformers.Trainer


# ---------------------------------------------------------------------------------------------------------------- model


class Projector(nn.Module):
    """Linear(D,D) GELU Linear(D,H) GELU Linear(H,H), exact GELU."""

    def __init__(self, width, hidden_size):
        super().__init__()
        self.projection = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, hidden_size), nn.GELU(), nn.Linear(hidden_size, hidden_size)
        )

    def forward(self, features):
        return self.projection(features)


class ClipWithProjection(nn.Module):
    def __init__(self, clip_config, hidden_size):
        super().__init__()
        self.feature_extractor = CLIPModel(clip_config)
        self.projector = Projector(clip_config.vision_config.hidden_size, hidden_size)

    def features(self, pixel_values):
        """[images, patches, width]: the last layer's output before the post layer norm, without the class token."""
        return self.feature_extractor.vision_model(pixel_values=pixel_values).last_hidden_state[:, 1:]

    def forward(self, pixel_values):
        return self.projector(self.features(pixel_values))


class BiomedClipWithProjection(nn.Module):
    """`encoder`: an open_clip model with a timm tower (biomedclip.py)."""

    def __init__(self, encoder, hidden_size):
        super().__init__()
        self.feature_extractor = encoder.build()
        self.projector = Projector(encoder.width, hidden_size)

    def features(self, pixel_values):
        """[images, patches, width]: the last block's output after the norm, without the class token."""
        return self.feature_extractor.visual.trunk.forward_features(pixel_values)[:, 1:]

    def forward(self, pixel_values):
        return self.projector(self.features(pixel_values))


class MultimodalModel(nn.Module):
    """Its state dict bears the names of the original's checkpoints. `encoder`: a CLIPConfig or a biomedclip.Encoder."""

    def __init__(self, llm_config, encoder):
        super().__init__()
        with_projection = ClipWithProjection if isinstance(encoder, CLIPConfig) else BiomedClipWithProjection
        self.model = AutoModelForCausalLM.from_config(llm_config, dtype=torch.get_default_dtype())
        self.modalities_with_projection = nn.ModuleList([with_projection(encoder, llm_config.hidden_size)])

    def embed(self, input_ids, pixel_values, attachment_id):
        """Token embeddings with the projected images, in order, in the places of the attachment token."""
        embeds = self.model.get_input_embeddings()(input_ids)
        if pixel_values is None:
            return embeds
        projected = self.modalities_with_projection[0](pixel_values).flatten(0, 1)
        places = (input_ids == attachment_id).unsqueeze(-1).expand_as(embeds)
        return embeds.masked_scatter(places, projected.to(embeds.dtype))

    def forward(self, batch, attachment_id):
        return self.model(
            inputs_embeds=self.embed(batch["input_ids"], batch["pixel_values"], attachment_id),
            attention_mask=batch["attention_mask"],
            position_ids=batch["position_ids"],
            labels=batch["labels"],
            use_cache=False,
        )

    def train_only(self, mode):
        """Freezes what `mode` does not train."""
        llm, vision, projector = {
            "ALIGNMENT": (False, False, True),
            "END2END": (True, False, True),
            "LM_ONLY": (True, False, False),
            "FULL": (True, True, True),
        }[mode]
        self.model.requires_grad_(llm)
        for modality in self.modalities_with_projection:
            modality.feature_extractor.requires_grad_(vision)
            modality.projector.requires_grad_(projector)


def group_of(name):
    """The component that a tensor is reported under."""
    if ".projector." in name:
        return "image.projector"
    if name.startswith("modalities_with_projection."):
        return "image.encoder"
    name = name.removeprefix("model.").removeprefix("model.")
    return "llm." + ".".join(name.split(".")[: 2 if name.startswith("layers.") else 1])


# ----------------------------------------------------------------------------------------------------------------- case


class Case:
    """A case's tokenizer, model config, samples and recipes, read from its folder."""

    tokenizer_type = "qwen3"

    def __init__(self, root):
        self.root = Path(root)
        self.folder = self.root / "cases" / CASE
        self.checkpoint = self.folder / "checkpoint"
        self.config = json.loads((self.checkpoint / "config.json").read_text())
        self.tokenizer = AutoTokenizer.from_pretrained(self.checkpoint)
        vision = self.root / self.config["modalities"][0]["clip_name"]
        if self.config["modalities"][0]["model_type"] == "meditron_biomedclip":
            self.encoder = biomedclip.Encoder(vision)
            self.processor, self.num_embeddings = self.encoder.processor, self.encoder.num_patches
        else:
            self.encoder = CLIPConfig.from_pretrained(vision, attn_implementation="eager")
            self.processor = CLIPImageProcessorPil.from_pretrained(vision)
            vision_config = self.encoder.vision_config
            self.num_embeddings = (vision_config.image_size // vision_config.patch_size) ** 2
        self.llm_config = AutoConfig.from_pretrained(self.root / self.config["llm_path"], attn_implementation="eager")
        self.llm_config.vocab_size = len(self.tokenizer)
        self.attachment_id = self.config["attachment_token_idx"]
        self.attachment = self.tokenizer.convert_ids_to_tokens(self.attachment_id)
        self.recipes = [self.read_recipe(path) for path in sorted(self.folder.glob("*.yaml"))]
        self.samples = [self.read_sample(row) for row in load_from_disk(self.root / "data" / "arrow")]
        for sample in self.samples:
            ids, labels = assistant_labels(self.tokenizer, sample["conversations"])
            sample["labels_assistant"] = self.expand(ids, labels)[0]
            assert len(sample["labels_assistant"]) == len(sample["input_ids"])

    def read_recipe(self, path):
        return yaml.safe_load(path.read_text().replace("$CASE_ROOT", str(self.root)).replace("$OUT", "out"))

    def read_sample(self, row):
        text = self.tokenizer.apply_chat_template(row["conversations"], tokenize=False)
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        labels = original_labels(self.tokenizer, ids, self.tokenizer_type)
        images = [Image.open(io.BytesIO(item["value"]["bytes"])) for item in row["modalities"]]
        assert ids.count(self.attachment_id) == len(images)
        sample = {"conversations": row["conversations"], "paths": [item["value"]["path"] for item in row["modalities"]]}
        sample["input_ids"], sample["image_ranges"] = self.expand(ids)
        sample["labels"] = self.expand(ids, labels)[0]
        sample["rgb"] = [image.convert("RGB") for image in images]
        sample["pixel_values"] = [self.processor(image, return_tensors="pt")["pixel_values"][0] for image in images]
        return sample

    def expand(self, ids, labels=None):
        """Each attachment token becomes as many as an image has embeddings. Gives the ids (or `labels`, masked there) and the ranges."""
        expanded, ranges = [], []
        for position, token in enumerate(ids):
            if token == self.attachment_id:
                ranges.append([len(expanded), len(expanded) + self.num_embeddings])
                expanded += [token if labels is None else IGNORED] * self.num_embeddings
            else:
                expanded.append(token if labels is None else labels[position])
        return expanded, ranges

    def collate(self, indices):
        """Right padding to the longest sample of the micro-batch; a padded position is 0."""
        samples = [self.samples[index] for index in indices]
        lengths = [len(sample["input_ids"]) for sample in samples]
        longest = max(lengths)

        def padded(rows, value):
            return torch.tensor([list(row) + [value] * (longest - len(row)) for row in rows])

        pixels = [image for sample in samples for image in sample["pixel_values"]]
        return {
            "input_ids": padded([sample["input_ids"] for sample in samples], self.tokenizer.pad_token_id or 0),
            "labels": padded([sample["labels"] for sample in samples], IGNORED),
            "attention_mask": padded([[1] * length for length in lengths], 0),
            "position_ids": padded([range(length) for length in lengths], 0),
            "pixel_values": torch.stack(pixels) if pixels else None,
        }

    def build_model(self):
        model = MultimodalModel(self.llm_config, self.encoder)
        missing, unexpected = model.load_state_dict(load_file(self.checkpoint / "model.safetensors"), strict=False)
        missing = [name for name in missing if not (name == "model.lm_head.weight" and self.llm_config.tie_word_embeddings)]
        assert not missing and not unexpected, (missing, unexpected)
        model.model.tie_weights()
        return model.eval()


def original_labels(tokenizer, ids, tokenizer_type):
    """Everything is learnt but system and user turns, each from its opening delimiter to its end tag and, in Qwen's, the line break after it."""
    labels = list(ids)
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
    for opening, end in UNLEARNT_TURNS[tokenizer_type]:
        opening, end = tokenizer(opening, add_special_tokens=False)["input_ids"], tokenizer.convert_tokens_to_ids(end)
        for start in range(len(ids) - len(opening) + 1):
            if ids[start : start + len(opening)] == opening:
                stop = ids.index(end, start) + 1
                if tokenizer_type == "qwen3" and ids[stop : stop + len(newline)] == newline:
                    stop += len(newline)
                labels[start:stop] = [IGNORED] * (stop - start)
    return labels


def assistant_labels(tokenizer, conversations):
    """(ids, labels): only the assistant's text and its end tag are learnt; the borders come from rendering the conversation message by message."""
    text = tokenizer.apply_chat_template(conversations, tokenize=False)
    spans = []
    for count, message in enumerate(conversations, 1):
        if message["role"] == "assistant":
            start = len(tokenizer.apply_chat_template(conversations[: count - 1], tokenize=False, add_generation_prompt=True))
            spans.append((start, text.index("<|im_end|>", start) + len("<|im_end|>")))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    is_learnt = [any(a <= start and stop <= b for a, b in spans) for start, stop in encoded["offset_mapping"]]
    ids = encoded["input_ids"]
    return ids, [token if learnt else IGNORED for token, learnt in zip(ids, is_learnt)]


# ------------------------------------------------------------------------------------------------------------- training


def batches_of(recipe, n):
    """The order of the data: (shuffle_order, micro-batches of each step as lists of sample indices)."""
    arguments = recipe["training_args"]
    order = numpy.random.default_rng(recipe["seed"]).permutation(n).tolist()
    size, accumulation, max_steps = (
        arguments[key] for key in ("per_device_train_batch_size", "gradient_accumulation_steps", "max_steps")
    )
    steps, epoch = [], 0
    while len(steps) < max_steps:
        generator = torch.Generator().manual_seed(arguments["seed"] + epoch)
        positions = torch.randperm(n, generator=generator).tolist()
        micros = [[order[position] for position in positions[i : i + size]] for i in range(0, n, size)]
        steps += [micros[i : i + accumulation] for i in range(0, len(micros), accumulation)]
        epoch += 1
    return order, steps[:max_steps]


def optimizer_groups(named_parameters, model, weight_decay):
    decayed = set(get_parameter_names(model, [nn.LayerNorm], NEVER_DECAYED))
    trained = dict(named_parameters)
    return [
        {"params": [p for name, p in trained.items() if name in decayed], "weight_decay": weight_decay},
        {"params": [p for name, p in trained.items() if name not in decayed], "weight_decay": 0.0},
    ], [name for name in trained if name not in decayed]


def train(case, recipe, dtype=torch.float32, autocast=False, max_steps=None):
    """A recipe's trajectory. In bf16 the model holds bf16 weights and AdamW steps on fp32 copies of them; with `autocast` the
    weights stay fp32 and the products are bf16."""
    arguments = recipe["training_args"]
    torch.manual_seed(0)
    model = case.build_model()
    model.train_only(recipe["training_mode"])
    model.to(dtype)
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    masters = [(name, p if dtype == torch.float32 else nn.Parameter(p.detach().float())) for name, p in trained]
    groups, undecayed = optimizer_groups(masters, model, arguments["weight_decay"])
    betas = (arguments.get("adam_beta1", 0.9), arguments.get("adam_beta2", 0.999))
    optimizer = torch.optim.AdamW(groups, lr=arguments["learning_rate"], betas=betas, eps=arguments.get("adam_epsilon", 1e-8))
    warmup = arguments.get("warmup_steps", 0) or math.ceil(arguments.get("warmup_ratio", 0.0) * arguments["max_steps"])
    scheduler = get_scheduler(
        arguments["lr_scheduler_type"],
        optimizer,
        num_warmup_steps=warmup,
        num_training_steps=arguments["max_steps"],
        scheduler_specific_kwargs=arguments.get("lr_scheduler_kwargs"),
    )
    order, steps = batches_of(recipe, len(case.samples))
    out = {"shuffle_order": order, "batches": [micro for step in steps for micro in step], "micro_losses": [], "step_losses": []}
    out |= {"learning_rates_logged": [], "grad_norms_before_clipping": []}
    for step in steps[:max_steps]:
        for micro in step:
            batch = case.collate(micro)
            if batch["pixel_values"] is not None:
                batch["pixel_values"] = batch["pixel_values"].to(dtype)
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = model(batch, case.attachment_id).loss
            # Without an image nothing leads to a frozen LLM's projector: its gradient is zero and the micro-batch counts.
            if loss.requires_grad:
                (loss.float() / len(step)).backward()
            out["micro_losses"].append(loss.item())
            accumulate(trained, masters)
        # A step wholly without images would leave torch's AdamW without a gradient where it has to be zero: cases keep clear of it.
        assert any(case.samples[index]["paths"] for micro in step for index in micro)
        out["step_losses"].append(float(numpy.mean(out["micro_losses"][-len(step) :])))
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in masters], arguments["max_grad_norm"])
        out["grad_norms_before_clipping"].append(norm.item())
        out["learning_rates_logged"].append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if dtype != torch.float32:
            with torch.no_grad():
                for (_, p), (_, master) in zip(trained, masters):
                    p.copy_(master)
    reached = [(name, p) for name, p in masters if p in optimizer.state]
    out["trainable"] = len(reached)
    out["no_weight_decay"] = [name for name in undecayed if name in dict(reached)]
    out["final_parameters"] = {name: {"norm": p.double().norm().item(), "first": p.flatten()[:3].tolist()} for name, p in reached}
    return out


def accumulate(trained, masters):
    """Adds a bf16 model's gradients to those of its fp32 masters, so that accumulation itself does not round to bf16."""
    for (_, p), (_, master) in zip(trained, masters):
        if p is not master and p.grad is not None:
            master.grad = p.grad.float() if master.grad is None else master.grad + p.grad.float()
            p.grad = None


# --------------------------------------------------------------------------------------------------------- expectations


def digest(tensor):
    flat = tensor.detach().float().flatten()
    wide = flat.double()
    return {
        "shape": list(tensor.shape),
        "sum": wide.sum().item(),
        "abs_sum": wide.abs().sum().item(),
        "first": flat[:8].tolist(),
        "last": flat[-8:].tolist(),
    }


def norms(tensors):
    per_tensor = {name: t.double().norm().item() for name, t in tensors.items()}
    groups = {}
    for name, norm in per_tensor.items():
        groups[group_of(name)] = groups.get(group_of(name), 0.0) + norm**2
    total = math.sqrt(sum(norm**2 for norm in per_tensor.values()))
    return {"per_group": {k: math.sqrt(v) for k, v in groups.items()}, "per_tensor": per_tensor, "total": total}


def gradients_of(case, model, batch, mode):
    model.train_only(mode)
    model.zero_grad()
    model(batch, case.attachment_id).loss.backward()
    return norms({name: p.grad for name, p in model.named_parameters() if p.grad is not None})


@torch.no_grad()
def generate(case, model, index, num_new_tokens):
    """Greedy, with a KV cache, up to the first assistant turn; stops after the end of turn."""
    sample = case.samples[index]
    roles = [message["role"] for message in sample["conversations"]]
    messages = sample["conversations"][: roles.index("assistant")]
    num_images = sum(message["content"].count(case.attachment) for message in messages)
    text = case.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt_ids = case.expand(case.tokenizer(text, add_special_tokens=False)["input_ids"])[0]
    pixels = torch.stack(sample["pixel_values"][:num_images]) if num_images else None
    embeds = model.embed(torch.tensor([prompt_ids]), pixels, case.attachment_id)
    out = {"sample": index, "messages": len(messages), "images": num_images, "prompt_ids": prompt_ids, "new_ids": []}
    margins, cache = [], None
    while len(out["new_ids"]) < num_new_tokens:
        result = model.model(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        best = result.logits[0, -1].float().topk(2)
        out["new_ids"].append(best.indices[0].item())
        margins.append((best.values[0] - best.values[1]).item())
        if out["new_ids"][-1] == case.tokenizer.eos_token_id:
            break
        embeds = model.model.get_input_embeddings()(best.indices[:1]).unsqueeze(0)
    out["text"] = case.tokenizer.decode(out["new_ids"])
    out["top1_minus_top2"] = margins
    return out


def last_step_uncached(case, model, generation):
    """The next token after prompt and answer from one full forward pass, to hold the cached decoding against."""
    with torch.no_grad():
        ids = torch.tensor([generation["prompt_ids"] + generation["new_ids"][:-1]])
        count = generation["images"]
        pixels = torch.stack(case.samples[generation["sample"]]["pixel_values"][:count]) if count else None
        logits = model.model(inputs_embeds=model.embed(ids, pixels, case.attachment_id), use_cache=False).logits
    return logits[0, -1].argmax().item()


def expectations(root, batch_samples, generation_samples, num_new_tokens=NEW_TOKENS):
    """(expected.json as a dict, expected.safetensors as tensors) of the case in `root`."""
    case = Case(root)
    model = case.build_model()
    out = {
        "case": CASE,
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__, "dtype": "float32", "attention": "eager"},
        "vocab_size": len(case.tokenizer),
        "pad_token_id": case.tokenizer.pad_token_id,
        "eos_token_id": case.tokenizer.eos_token_id,
        "attachment_token_id": case.attachment_id,
        "embeddings_per_image": case.num_embeddings,
        "samples": [],
        "images": [],
    }
    for index, sample in enumerate(case.samples):
        ranges = sample["image_ranges"]
        before = sample["input_ids"][ranges[0][0] - 1] if ranges and ranges[0][0] > 0 else None
        out["samples"].append({"index": index} | {key: sample[key] for key in ("input_ids", "labels", "image_ranges", "labels_assistant")})
        learnt = sum(label != IGNORED for label in sample["labels"])
        out["samples"][-1] |= {"length": len(sample["input_ids"]), "learnt_tokens": learnt, "token_lost_by_original": before}
        for number, (path, rgb, pixels) in enumerate(zip(sample["paths"], sample["rgb"], sample["pixel_values"])):
            rgb_sum = int(numpy.asarray(rgb, dtype=numpy.int64).sum())
            image = {"sample": index, "image": number, "path": path, "decoded_size": list(rgb.size), "decoded_rgb_sum": rgb_sum}
            out["images"].append(image | {"pixel_values": digest(pixels)})

    batch = case.collate(batch_samples)
    with torch.no_grad():
        features = model.modalities_with_projection[0].features(batch["pixel_values"])
        projected = model.modalities_with_projection[0].projector(features)
        result = model(batch, case.attachment_id)
    last = [row.sum().item() - 1 for row in batch["attention_mask"]]
    rows = torch.stack([torch.stack([logits[0], logits[1], logits[end]]) for logits, end in zip(result.logits, last)])
    out["batch"] = {"samples": list(batch_samples)}
    out["batch"] |= {key: batch[key].tolist() for key in ("input_ids", "labels", "attention_mask", "position_ids")}
    out["batch"] |= {"features": digest(features), "projected": digest(projected), "loss": result.loss.item()}
    out["batch"] |= {"logits_first_row": digest(result.logits[0, 0]), "logits_last_real_row": digest(result.logits[0, last[0]])}
    tensors = {
        "batch.pixel_values": batch["pixel_values"],
        "batch.features": features,
        "batch.projected": projected,
        "batch.logits_first_two_and_last_real_rows": rows,
    }
    modes = [recipe["training_mode"] for recipe in case.recipes]
    out["gradients"] = {mode: gradients_of(case, model, batch, mode) for mode in modes}
    out["generation"] = [generate(case, model, index, num_new_tokens) for index in generation_samples]
    for generation in out["generation"]:
        assert last_step_uncached(case, model, generation) == generation["new_ids"][-1]
    out["trajectory"] = {recipe["training_mode"]: train(case, recipe) for recipe in case.recipes}
    for mode, trajectory in out["trajectory"].items():
        # A gradient that is zero but for rounding (a key bias) makes AdamW walk at random: nothing to compare.
        gradients = out["gradients"][mode]
        for name, norm in gradients["per_tensor"].items():
            if norm < 1e-6 * gradients["total"] or name.endswith("attn.qkv.bias"):  # a third of the latter is a key bias
                trajectory["final_parameters"].pop(name, None)
    return out, {name: tensor.contiguous() for name, tensor in tensors.items()}


def bf16_losses(root, batch_samples):
    """Losses of the batch and of the END2END trajectory in fp32, with bf16 weights, and under bf16 autocast, and the spreads."""
    case = Case(root)
    recipe = next(recipe for recipe in case.recipes if recipe["training_mode"] == "END2END")
    out = {}
    for name, dtype, autocast in (
        ("fp32", torch.float32, False),
        ("bf16", torch.bfloat16, False),
        ("bf16_autocast", torch.float32, True),
    ):
        batch = case.collate(batch_samples)
        batch["pixel_values"] = batch["pixel_values"].to(dtype)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = case.build_model().to(dtype)(batch, case.attachment_id).loss.item()
        trajectory = train(case, recipe, dtype, autocast)
        out[name] = {"loss": loss} | {key: trajectory[key] for key in ("micro_losses", "step_losses", "grad_norms_before_clipping")}
    for name in ("bf16", "bf16_autocast"):
        spread = {"loss": abs(out[name]["loss"] - out["fp32"]["loss"])}
        for key in ("micro_losses", "step_losses"):
            spread[key] = max(abs(a - b) for a, b in zip(out[name][key], out["fp32"][key]))
        out[name]["spread"] = spread
    return out


# ---------------------------------------------------------------------------------------------------------------- files


def rounded(value):
    """Floats to the nine digits that fp32 has."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def write_json(path, value):
    """Indented, with every list of numbers on one line."""
    text = json.dumps(rounded(value), indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^][{}\"]*\]", lambda match: re.sub(r"\s*\n\s*", " ", match.group()).replace("[ ", "[").replace(" ]", "]"), text)
    Path(path).write_text(text + "\n")


def update_json(path, entries):
    """Replaces or adds entries of an object."""
    old = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, old | entries)


def differences(expected, found, path="", out=None):
    """Largest relative difference of numbers per kind of entry, and every other difference: ({kind: difference}, [text])."""
    out = ({}, []) if out is None else out
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected:
            if key not in found:
                out[1].append(f"{path}.{key}: missing")
            else:
                differences(expected[key], found[key], f"{path}.{key}", out)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        if all(isinstance(item, float) for item in expected + found) and expected:
            scale = max(abs(item) for item in expected) or 1.0
            note(out, path, max(abs(a - b) for a, b in zip(expected, found)) / scale)
        else:
            for number, (a, b) in enumerate(zip(expected, found)):
                differences(a, b, f"{path}[{number}]", out)
    elif isinstance(expected, float) and isinstance(found, (int, float)):
        note(out, path, abs(expected - found) / (abs(expected) or 1.0))
    elif expected != found:
        out[1].append(f"{path}: {expected!r:.80} expected, {found!r:.80} found")
    return out


def note(out, path, difference):
    kind = re.sub(r"\[\d+\]|(?<=per_tensor\.).*|(?<=final_parameters\.).*(?=\.\w+$)", "*", path)
    out[0][kind] = max(out[0].get(kind, 0.0), difference)
