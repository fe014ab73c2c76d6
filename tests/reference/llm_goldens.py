#!/usr/bin/env python3
"""Makes tests/data/llm: a tiny model of each language-model architecture, and what transformers makes of it.

    llm_goldens.py

NAME/config.json and NAME/model.safetensors (bf16, so that fp32 and bf16 runs start from the same numbers) as a hub folder has them; the
tokenizer's files lie once in tokenizer/, the texts in texts.jsonl, the recipe of the ten steps in lm_only.yaml. NAME/expected.json: logits
and loss of some texts, a digest of the gradient of every parameter, greedy continuations with margins, the trajectory of ten optimizer
steps, the losses again in bf16. fp32, CPU, eager attention.
"""

import json
import math
import random
import shutil
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, get_scheduler

import parity

transformers.utils.logging.disable_progress_bar()
FOLDER = Path(__file__).resolve().parent.parent / "data" / "llm"
TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|> ' + message.role + ' ' + message.content + ' <|im_end|> ' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|> assistant ' }}{%- endif %}"
)
WORDS = """the a of in left right lung heart liver kidney brain spine rib bone shows no acute small large mass nodule opacity effusion lesion fracture
image scan slice view chest axial upper lower lobe is are with without and or normal enlarged clear seen there dense bright dark round edge
system user assistant what where how many""".split()
SPECIAL = ["<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>"]
VOCABULARY = len(SPECIAL) + len(WORDS)
BATCH = [0, 3, 5]  # of texts.jsonl: their lengths are mixed
SPOTS = 6
STEPS = 10
DRAWN = 200  # sequences over which the error of bf16 is measured
ORDERS = [7, 8, 9, 10]  # seeds of the data's order: bf16 is measured over the ten steps of each

# Sizes unlike each other: groups of 1, 2, 3 and 5 heads, head_dim other than hidden / heads, more rows than tokens.
COMMON = {"max_position_embeddings": 64, "bos_token_id": None, "eos_token_id": 1}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
CASES = {
    "apertus": {"model_type": "apertus", "vocab_size": VOCABULARY, "hidden_size": 22, "intermediate_size": 38, "num_hidden_layers": 2,
                "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-5, "hidden_act": "xielu",
                "rope_parameters": LLAMA3 | {"factor": 8.0}, "pad_token_id": 4},
    "llama31": {"model_type": "llama", "vocab_size": VOCABULARY + 9, "hidden_size": 25, "intermediate_size": 34, "num_hidden_layers": 2,
                "num_attention_heads": 5, "num_key_value_heads": 1, "head_dim": 10, "rms_norm_eps": 1e-5,
                "rope_parameters": LLAMA3 | {"factor": 5.0}},
    "llama32_biases": {"model_type": "llama", "vocab_size": VOCABULARY + 2, "hidden_size": 24, "intermediate_size": 30, "num_hidden_layers": 2,
                       "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
                       "attention_bias": True, "mlp_bias": True, "rope_parameters": LLAMA3 | {"factor": 32.0}, "pad_token_id": 4},
    "smollm2": {"model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 24, "intermediate_size": 42, "num_hidden_layers": 3,
                "num_attention_heads": 6, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
                "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0}, "pad_token_id": 3},  # of a token that texts have, as the real one
    "qwen2": {"model_type": "qwen2", "vocab_size": VOCABULARY + 5, "hidden_size": 28, "intermediate_size": 36, "num_hidden_layers": 2,
              "num_attention_heads": 7, "num_key_value_heads": 1, "tie_word_embeddings": True,
              "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
    "qwen2_window": {"model_type": "qwen2", "vocab_size": VOCABULARY + 1, "hidden_size": 20, "intermediate_size": 32, "num_hidden_layers": 3,
                     "num_attention_heads": 2, "num_key_value_heads": 2, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1,
                     "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "mistral": {"model_type": "mistral", "vocab_size": VOCABULARY, "hidden_size": 18, "intermediate_size": 40, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "rms_norm_eps": 1e-5, "sliding_window": 7,
                "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "qwen3": {"model_type": "qwen3", "vocab_size": VOCABULARY + 3, "hidden_size": 30, "intermediate_size": 28, "num_hidden_layers": 2,
              "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 4, "attention_bias": True, "tie_word_embeddings": True,
              "rope_parameters": {"rope_type": "default", "rope_theta": 5000000.0}},
}


def make_tokenizer():
    folder = FOLDER / "tokenizer"
    folder.mkdir()
    vocabulary = {token: index for index, token in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(SPECIAL)
    content = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "unk_token": "<unk>", "chat_template": TEMPLATE}
    parity.write_json(folder / "tokenizer_config.json", config)
    return tokenizer


def make_texts():
    rng = random.Random(5)
    words = [word for word in WORDS if word not in ("system", "user", "assistant")]
    texts = [" ".join(rng.choices(words, k=length)) for length in (9, 4, 17, 41, 6, 2, 23, 12, 5, 30, 8, 14, 3, 19)]
    texts[2] += " <|im_end|>"
    texts[3] = texts[3].replace(" ", " <|im_end|> ", 1).replace(" ", " <pad> ", 1)
    (FOLDER / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return texts


def make_model(folder, values, seed, as_transformers_4=False):
    """A hub folder with config.json and random weights of this config."""
    folder.mkdir()
    config = AutoConfig.for_model(**(COMMON | values))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in key:
                parameter.copy_(1 + 0.2 * noise)
            elif key.endswith("bias"):
                parameter.copy_(0.3 * noise)
            elif "act_fn" in key:
                parameter.add_(0.4 * noise)
            elif "embed_tokens" in key:
                parameter.copy_(0.4 * noise)
            else:
                parameter.copy_(1.4 * noise / parameter.shape[1] ** 0.5)
        for layer, (key, buffer) in enumerate((k, b) for k, b in model.named_buffers() if k.endswith("act_fn.beta")):
            buffer.copy_(0.5 - 0.0625 * layer)  # the file's, not the library's defaults
            model.get_buffer(key.replace("beta", "eps")).copy_(-0.0078125 * layer - 2.0**-20)
    state = {key: value.bfloat16().contiguous() for key, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    written = config.to_diff_dict() | {"dtype": "bfloat16", "architectures": [type(model).__name__]}
    if as_transformers_4:
        rope = written.pop("rope_parameters")
        written["rope_theta"] = rope.pop("rope_theta")
        written["rope_scaling"] = rope
    parity.write_json(folder / "config.json", written)


def load(name, dtype, attention="eager"):
    return AutoModelForCausalLM.from_pretrained(FOLDER / name, dtype=dtype, attn_implementation=attention).eval()


def signs(count):
    """+1 and -1 by a hash of the index (splitmix64): a fixed direction to project a tensor on."""
    z = numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return 1.0 - 2.0 * ((z ^ (z >> numpy.uint64(31))) >> numpy.uint64(63)).astype(numpy.float64)


def digest(tensor):
    flat = tensor.detach().double().flatten().numpy()
    spots = [flat[i * (len(flat) - 1) // (SPOTS - 1)] for i in range(SPOTS)] if len(flat) > 1 else list(flat)
    return [numpy.linalg.norm(flat).item(), (flat * signs(len(flat))).sum().item(), numpy.abs(flat).max().item(), *map(float, spots)]


def drawn_ids(number, vocab_size):
    return [(7919 * t + 104729 * number + 31 * t * t) % vocab_size for t in range(3 + number % 20)]


def loss_of(model, ids):
    tensor = torch.tensor([ids])
    return nn.functional.cross_entropy(model(input_ids=tensor, use_cache=False).logits[0, :-1].float(), tensor[0, 1:], reduction="sum")


def batch_loss(model, texts, indices):
    """The mean over the labelled tokens of a micro-batch."""
    losses = [loss_of(model, texts[index]) for index in indices]
    return sum(losses) / sum(len(texts[index]) - 1 for index in indices)


@torch.no_grad()
def continuation(model, ids, count=12):
    ids, margins = list(ids), []
    prompt = len(ids)
    while len(ids) < prompt + count:
        best = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
        ids.append(best.indices[0].item())
        margins.append((best.values[0] - best.values[1]).item())
    return {"prompt": ids[:prompt], "new_ids": ids[prompt:], "margins": margins}


def train(name, texts, recipe, dtype, attention="eager", autocast=False):
    """In bf16 the model holds bf16 weights and AdamW steps on fp32 copies of them; with `autocast` the weights stay fp32."""
    arguments = recipe["training_args"]
    model = load(name, dtype, attention)
    trained = list(model.named_parameters())
    masters = [(key, p if dtype == torch.float32 else nn.Parameter(p.detach().float())) for key, p in trained]
    groups, undecayed = parity.optimizer_groups(masters, model, arguments["weight_decay"])
    optimizer = torch.optim.AdamW(groups, lr=arguments["learning_rate"])
    schedule = get_scheduler(arguments["lr_scheduler_type"], optimizer, arguments["warmup_steps"], arguments["max_steps"])
    _, steps = parity.batches_of(recipe, len(texts))
    losses, norms = [], []
    for step in steps:
        micro_losses = []
        for micro in step:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = batch_loss(model, texts, micro)
            (loss / len(step)).backward()
            micro_losses.append(loss.item())
            parity.accumulate(trained, masters)
        losses.append(sum(micro_losses) / len(micro_losses))
        norms.append(nn.utils.clip_grad_norm_([p for _, p in masters], arguments["max_grad_norm"]).item())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for (_, p), (_, master) in zip(trained, masters):
                p.copy_(master)
    out = {"losses": losses}
    if dtype == torch.float32:
        out |= {"grad_norms": norms, "no_weight_decay": undecayed, "final": {key: digest(p) for key, p in masters}}
    return out


def expectations(name, texts, recipe):
    model = load(name, torch.float32)
    ids = [texts[index] for index in BATCH]
    logits = [model(input_ids=torch.tensor([row]), use_cache=False).logits[0] for row in ids]
    loss = batch_loss(model, texts, BATCH)
    loss.backward()
    out = {
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
        "parameters": sum(p.numel() for p in model.parameters()),
        "input_ids": ids,
        "last_logits": [row[-1].tolist() for row in logits],
        "logits": [digest(row) for row in logits],
        "loss": loss.item(),
        "gradients": {key: digest(p.grad) for key, p in model.named_parameters()},
        "continuations": [continuation(model, texts[index][:length]) for index, length in ((6, 11), (3, 19), (0, 3))],
        "trajectory": train(name, texts, recipe, torch.float32),
    }
    half = load(name, torch.bfloat16)
    batch_loss(half, texts, BATCH).backward()
    pairs = [(a.grad.flatten(), b.grad.float().flatten()) for a, b in zip(model.parameters(), half.parameters())]
    with torch.no_grad():
        drawn = [drawn_ids(number, model.config.vocab_size) for number in range(DRAWN)]
        deviations = [(loss_of(half, ids) - loss_of(model, ids)).item() / (len(ids) - 1) for ids in drawn]
    out["bf16"] = {
        "loss_deviation": math.sqrt(sum(deviation**2 for deviation in deviations) / DRAWN),
        "least_cosine": min(nn.functional.cosine_similarity(a, b, dim=0).item() for a, b in pairs),
    } | bf16_trajectories(name, texts, recipe)
    return out


def bf16_trajectories(name, texts, recipe):
    """How far losses in bf16 come from those in fp32: the root mean square over all orders, the largest of the ways in which transformers
    computes in bf16. A single trajectory says little: one rounding more and it is another."""
    half, fp32, squares = torch.bfloat16, {}, [0.0, 0.0, 0.0]
    for seed in ORDERS:
        ordered = recipe | {"training_args": recipe["training_args"] | {"seed": seed}}
        losses = fp32[str(seed)] = train(name, texts, ordered, torch.float32)["losses"]
        ways = [train(name, texts, ordered, half), train(name, texts, ordered, half, "sdpa"), train(name, texts, ordered, torch.float32, autocast=True)]
        for i, way in enumerate(ways):
            squares[i] += sum((a - b) ** 2 for a, b in zip(way["losses"], losses))
    return {"fp32_losses": fp32, "trajectory_deviation": math.sqrt(max(squares) / (STEPS * len(ORDERS)))}


RECIPE = f"""\
base_llm: $MODEL
base_model:
tokenizer_type: qwen3
seed: 3
training_mode: LM_ONLY
datasets:
- packed_path: $CASE_ROOT/texts.jsonl
training_args:
  output_dir: $OUT
  learning_rate: 0.004
  lr_scheduler_type: cosine
  warmup_steps: 2
  weight_decay: 0.1
  max_grad_norm: 1.0
  per_device_train_batch_size: 3
  gradient_accumulation_steps: 2
  max_steps: {STEPS}
  save_strategy: steps
  seed: 7
"""


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    tokenizer = make_tokenizer()
    texts = [tokenizer.encode(text).ids for text in make_texts()]
    (FOLDER / "lm_only.yaml").write_text(RECIPE)
    recipe = parity.yaml.safe_load(RECIPE)
    for seed, (name, values) in enumerate(CASES.items()):
        make_model(FOLDER / name, values, seed + 1, as_transformers_4=name == "llama31")
        out = expectations(name, texts, recipe)
        parity.write_json(FOLDER / name / "expected.json", out)
        margins = min(min(c["margins"]) for c in out["continuations"])
        assert math.isfinite(out["loss"])
        print(f"{name}: loss {out['loss']:.4f} -> {out['trajectory']['losses'][-1]:.4f}, bf16 {out['bf16']['trajectory_deviation']:.1e}, least margin {margins:.1e}")


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums in one fixed order
    main()
