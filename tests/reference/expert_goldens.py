#!/usr/bin/env python3
"""Makes tests/data/expert: a tiny CLIPModel folder, pairs of images and captions, and what transformers and torch make of them.

    expert_goldens.py

expected.safetensors holds the embeddings of the first batch, the gradients of its loss by name, and the parameters after the last step;
expected.json the order, losses, gradient norms and learning rates, and retrieval on the held-out pairs. Gradients and steps are taken on
the whole contrastive batch at once.
"""

import io
import json
import random
import shutil
from pathlib import Path

import numpy
import torch
from datasets import Dataset, Features, List, Value, disable_progress_bars
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast, get_scheduler

disable_progress_bars()
FOLDER = Path(__file__).resolve().parent.parent / "data" / "expert"
SEED, TRAINING_SEED, HELD_OUT, BATCH, STEPS = 3, 11, 4, 6, 5
LEARNING_RATE, WEIGHT_DECAY, WARMUP = 2e-3, 0.1, 2
ATTACHMENT = "<|reserved_special_token_0|>"
COLOURS = {"red": (200, 40, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "grey": (120, 120, 120), "white": (240, 240, 240)}
SHAPES = ["square", "bar", "frame"]
TEMPLATES = ["a red {}", "There is a {}."]


def picture(rng, colour, shape):
    """A shape on noise; 40 to 56 pixels a side, so that the processor resizes and crops."""
    width, height = rng.randint(40, 56), rng.randint(40, 56)
    pixels = numpy.random.default_rng(rng.randint(0, 10**6)).integers(0, 90, (height, width, 3)).astype(numpy.uint8)
    x, y = rng.randint(8, 14), rng.randint(8, 14)
    pixels[y : y + (20 if shape != "bar" else 8), x : x + 20] = COLOURS[colour]
    if shape == "frame":
        pixels[y + 5 : y + 15, x + 5 : x + 15] = 0
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def save(dataset, folder, fingerprint):
    dataset.save_to_disk(folder)
    state = json.loads((folder / "state.json").read_text()) | {"_fingerprint": fingerprint}  # the true one differs from run to run
    (folder / "state.json").write_text(json.dumps(state, indent=2))


def make_data():
    rng = random.Random(7)
    rows = []
    for index in range(20):
        colour, shape = rng.choice(list(COLOURS)), rng.choice(SHAPES)
        caption = rng.choice(["a {} {}", "{} {} on noise", "There is a {} {}, roughly where the picture's upper left corner is."]).format(colour, shape)
        image = {"type": "image", "value": {"bytes": picture(rng, colour, shape), "path": None}}
        rows.append({"text": (ATTACHMENT if index % 3 == 0 else "") + caption, "modalities": [image]})
    rows[9]["text"] = rows[4]["text"]  # the same caption twice
    value = {"bytes": Value("binary"), "path": Value("string")}
    features = Features({"text": Value("string"), "modalities": List({"type": Value("string"), "value": value})})
    save(Dataset.from_list(rows, features=features), FOLDER / "pairs", "00000000000000e1")
    return rows


def make_clip(captions):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    ids = {token: tokenizer.token_to_id(token) for token in ("<|startoftext|>", "<|endoftext|>")}
    tokenizer.post_processor = processors.TemplateProcessing(single="<|startoftext|> $A <|endoftext|>", special_tokens=list(ids.items()))
    clip = FOLDER / "clip"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|startoftext|>", eos_token="<|endoftext|>",
                            pad_token="<|endoftext|>", model_max_length=16).save_pretrained(clip)
    config = CLIPConfig(
        projection_dim=20,
        text_config={"vocab_size": len(tokenizer.get_vocab()), "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2,
                     "num_attention_heads": 3, "max_position_embeddings": 16, "hidden_act": "gelu", "projection_dim": 20,
                     "bos_token_id": ids["<|startoftext|>"], "eos_token_id": ids["<|endoftext|>"], "pad_token_id": ids["<|endoftext|>"]},
        vision_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32,
                       "patch_size": 8, "hidden_act": "quick_gelu", "projection_dim": 20},
    )
    torch.manual_seed(5)
    model = CLIPModel(config).eval()
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                parameter.copy_(0.05 * noise)
            elif "norm" in name or "layrnorm" in name:
                parameter.copy_(1 + 0.1 * noise)
            elif parameter.dim() == 2:
                parameter.copy_(noise / parameter.shape[1] ** 0.5)
    model.save_pretrained(clip)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(clip)
    return model, processor, tokenizer


def encode(tokenizer, caption, length):
    ids = tokenizer.encode(caption.replace(ATTACHMENT, "")).ids
    return ids if len(ids) <= length else ids[: length - 1] + ids[-1:]


def retrieval(images, texts, captions):
    similarity = images @ texts.T
    same = torch.tensor([[a == b for b in captions] for a in captions])

    def hits(matrix, k):
        best = matrix.masked_fill(~same, -2).max(1).values
        return ((matrix > best[:, None]).sum(1) < k).float().mean().item()

    return {"pairs": len(captions), "image_to_text_r1": hits(similarity, 1), "image_to_text_r5": hits(similarity, 5),
            "text_to_image_r1": hits(similarity.T, 1), "text_to_image_r5": hits(similarity.T, 5)}


def zero_shot(model, processor, tokenizer):
    """Images by class, without captions, classified by the mean of the templates' text embeddings as CLIP's authors do."""
    rng = random.Random(17)
    value = {"bytes": Value("binary"), "path": Value("string")}
    features = Features({"modalities": List({"type": Value("string"), "value": value})})
    classes, logits, labels = [], [], []
    for shape in SHAPES:
        ids = [torch.tensor([encode(tokenizer, template.replace("{}", shape), 16)]) for template in TEMPLATES]
        texts = [functional.normalize(model.get_text_features(each).pooler_output, dim=-1) for each in ids]
        classes.append(functional.normalize(torch.cat(texts).mean(0), dim=0))
    for label, shape in enumerate(SHAPES):
        rows = [{"modalities": [{"type": "image", "value": {"bytes": picture(rng, rng.choice(list(COLOURS)), shape), "path": None}}]} for _ in range(4 + label)]
        save(Dataset.from_list(rows, features=features), FOLDER / "shapes" / shape, f"00000000000000f{label}")
        for row in rows:
            image = Image.open(io.BytesIO(row["modalities"][0]["value"]["bytes"]))
            pixels = processor(image, return_tensors="pt")["pixel_values"]
            embedding = functional.normalize(model.get_image_features(pixels).pooler_output, dim=-1)
            logits.append(model.logit_scale.exp() * embedding[0] @ torch.stack(classes).T)
            labels.append(label)
    logits = torch.stack(logits)
    predictions = logits.argmax(1).tolist()
    confusion = [[sum(t == i and p == j for t, p in zip(labels, predictions)) for j in range(len(SHAPES))] for i in range(len(SHAPES))]
    return {"classes": SHAPES, "images": len(labels), "confusion": confusion, "loss": functional.cross_entropy(logits, torch.tensor(labels)).item()}


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    rows = make_data()
    model, processor, tokenizer = make_clip([row["text"].replace(ATTACHMENT, "") for row in rows])
    eos = model.config.text_config.eos_token_id
    ids = [encode(tokenizer, row["text"], 16) for row in rows]
    pixels = [processor(Image.open(io.BytesIO(row["modalities"][0]["value"]["bytes"])), return_tensors="pt")["pixel_values"][0] for row in rows]

    def collate(indices):
        longest = max(len(ids[i]) for i in indices)
        return {"input_ids": torch.tensor([ids[i] + [eos] * (longest - len(ids[i])) for i in indices]),
                "pixel_values": torch.stack([pixels[i] for i in indices])}

    permutation = numpy.random.default_rng(SEED).permutation(len(rows)).tolist()
    held_out, trained_on = permutation[:HELD_OUT], permutation[HELD_OUT:]
    shuffle_order = numpy.random.default_rng(SEED).permutation(len(trained_on)).tolist()
    batches = []
    for epoch in range(3):
        order = torch.randperm(len(trained_on), generator=torch.Generator().manual_seed(TRAINING_SEED + epoch)).tolist()
        order = [trained_on[shuffle_order[i]] for i in order]
        batches += [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]

    def is_decayed(name, parameter):
        return not (name.endswith("bias") or "norm" in name or name == "logit_scale")

    groups = [{"params": [p for n, p in model.named_parameters() if is_decayed(n, p)], "weight_decay": WEIGHT_DECAY},
              {"params": [p for n, p in model.named_parameters() if not is_decayed(n, p)], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=WARMUP, num_training_steps=STEPS)
    tensors = {}
    expected = {"batches": batches[:STEPS], "losses": [], "grad_norms": [], "learning_rates": [], "logit_scales": []}
    for step in range(STEPS):
        out = model(**collate(batches[step]), return_loss=True)
        out.loss.backward()
        if step == 0:
            tensors["images"], tensors["texts"] = out.image_embeds.detach().clone(), out.text_embeds.detach().clone()
            tensors |= {f"gradient.{name}": p.grad.clone() for name, p in model.named_parameters()}
        expected["losses"].append(out.loss.item())
        expected["grad_norms"].append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        expected["learning_rates"].append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        expected["logit_scales"].append(model.logit_scale.item())
    tensors |= {f"final.{name}": p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        out = model(**collate(held_out))
        captions = [ids[i] for i in held_out]
        expected["retrieval"] = retrieval(out.image_embeds, out.text_embeds, captions)
        expected["zero_shot"] = zero_shot(model, processor, tokenizer)
    save_file(tensors, FOLDER / "expected.safetensors")
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    zero_shot_map = "\n".join(f"  {shape}: [$CASE_ROOT/shapes/{shape}]" for shape in SHAPES)
    (FOLDER / "expert.yaml").write_text(f"""\
clip_name: $CASE_ROOT/clip
held_out: {HELD_OUT / len(rows)}
seed: {SEED}
zero_shot_class_map:
{zero_shot_map}
zero_shot_templates: {json.dumps(TEMPLATES)}
datasets:
- packed_path: $CASE_ROOT/pairs
training_args:
  output_dir: $OUT/expert
  per_device_train_batch_size: {BATCH}
  max_steps: {STEPS}
  learning_rate: {LEARNING_RATE}
  lr_scheduler_type: cosine
  warmup_steps: {WARMUP}
  weight_decay: {WEIGHT_DECAY}
  max_grad_norm: 1.0
  seed: {TRAINING_SEED}
""")
    print({key: value for key, value in expected.items() if key != "batches"})


if __name__ == "__main__":
    main()
