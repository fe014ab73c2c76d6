"""Forward and backward of each language-model architecture beside transformers: the same random weights, tokens and precision, runs in turn.

    python=$(tests/reference/make_environment)
    ninja -C build llm_step matmul_rate
    $python bench/architectures.py [--sizes small,135m] [--only apertus,qwen2] [--rounds 2] [--steps 6] [--threads 2]

Both sides compute a micro-batch of four samples of about 280 tokens, other lengths each step, 40 % of the positions learnt; the Python side pads
them to the longest and computes every logit, as training there does. Tokens are real ones. "Like for like": neither recomputes; "the recipe":
Python with gradient checkpointing, as the cookbook's recipes ask, ours as it runs where memory allows. The share counts the matrix products of
the decoder, its attention and the labelled rows of the head in the best step, against the machine's best rate in the same dtype.
Without --update nothing is written; with it the table of docs/performance.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PAGE, BEGIN, END = ROOT / "docs" / "performance.md", "<!-- bench/architectures.py -->", "<!-- end of architectures -->"
LENGTHS = [262, 297, 281, 270]
SIZES = {
    "small": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2,
              "head_dim": 64, "vocab_size": 8192},
    "135m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
             "head_dim": 64, "vocab_size": 49152},
}
SCALING = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
PLAIN = {"rope_type": "default", "rope_theta": 100000.0}
ARCHITECTURES = {
    "apertus": {"model_type": "apertus", "rope_parameters": SCALING, "max_position_embeddings": 65536, "pad_token_id": None},
    "llama": {"model_type": "llama", "rope_parameters": SCALING, "max_position_embeddings": 131072},
    "smollm2": {"model_type": "llama", "rope_parameters": PLAIN, "tie_word_embeddings": True},
    "qwen2": {"model_type": "qwen2", "rope_parameters": PLAIN, "tie_word_embeddings": True},
    "qwen3": {"model_type": "qwen3", "rope_parameters": PLAIN, "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "rope_parameters": PLAIN, "sliding_window": None},
}


def make_model(folder, values):
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(**values)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    state = {name: value.bfloat16().contiguous() for name, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    folder.mkdir()
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_diff_dict() | {"architectures": [type(model).__name__]}))


def python_side(folder, dtype, checkpointing, steps, threads):
    """The child process: the same batches, padded."""
    import time

    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation="sdpa").train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": True})
        model.enable_input_require_grads()
    vocabulary, seconds = model.config.vocab_size, []
    for step in range(steps):
        lengths = [length + step for length in LENGTHS]
        ids = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for s, length in enumerate(lengths):
            ids[s, :length] = (torch.arange(length) * 7919 + s * 104729 + step * 31) % vocabulary
            mask[s, :length] = 1
            labels[s, length * 6 // 10 + 1 : length] = ids[s, length * 6 // 10 + 1 : length]
        model.zero_grad(set_to_none=True)
        start = time.perf_counter()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        seconds.append(time.perf_counter() - start)
    norm = sum(p.grad.double().norm().item() ** 2 for p in model.parameters()) ** 0.5
    print(json.dumps({"seconds": seconds, "loss": loss.item(), "grad_norm": norm}))


def flop(values, labelled, lengths):
    """Matrix products of a step, forward and backward (2 and 4 operations a weight and token), each sample's attention over its whole square."""
    layer = values["hidden_size"] * values["head_dim"] * 2 * (values["num_attention_heads"] + values["num_key_value_heads"])
    layer += (2 if values["model_type"] == "apertus" else 3) * values["hidden_size"] * values["intermediate_size"]
    attention = 2 * values["num_attention_heads"] * values["head_dim"] * sum(length**2 for length in lengths)
    return 6 * (values["num_hidden_layers"] * (layer * sum(lengths) + attention) + values["vocab_size"] * values["hidden_size"] * labelled)


def child(command, environment):
    result = subprocess.run([str(part) for part in command], check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def median(values):
    return sorted(values)[len(values) // 2]


def speeds(runs):
    """Tokens a second of each step but the first two of a run."""
    return [(sum(LENGTHS) + step * len(LENGTHS)) / seconds for run in runs for step, seconds in enumerate(run["seconds"]) if step >= 2]


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="small,135m")
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    parser.add_argument("--precisions", default="bfloat16,float32")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--python-side", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.python_side:
        folder, dtype, checkpointing = args.python_side
        return python_side(folder, dtype, checkpointing == "1", args.steps, args.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "OMP_WAIT_POLICY": "passive", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
                   "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    rate = child([BUILD / "bench/matmul_rate"], environment)
    lines = [f"{platform.processor() or platform.machine()}, {args.threads} threads; best matrix product fp32 {rate['fp32']:.0f}, bf16 {rate['bf16']:.0f} GFLOP/s.", "",
             "| size | architecture | precision | tokens/s ours, median | Python | like for like | of best steps | both recompute | the recipe | share of the rate |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for size in args.sizes.split(","):
            for name in args.only.split(","):
                values = SIZES[size] | ARCHITECTURES[name]
                folder = Path(temporary) / f"{size}-{name}"
                make_model(folder, values)
                for dtype in args.precisions.split(","):
                    runs = {}
                    for _ in range(args.rounds):
                        for checkpointing in (0, 1):
                            ours = [BUILD / "bench/llm_step", folder, dtype, checkpointing, args.steps, *LENGTHS]
                            python = [sys.executable, __file__, "--steps", args.steps, "--threads", args.threads, "--python-side", folder, dtype, checkpointing]
                            runs.setdefault(("ours", checkpointing), []).append(child(ours, environment))
                            runs.setdefault(("python", checkpointing), []).append(child(python, environment))
                    # Both sides must have computed the same thing.
                    a, b = runs["ours", 0][0], runs["python", 0][0]
                    for key, bound in (("loss", 1e-5 if dtype == "float32" else 0.01), ("grad_norm", 1e-4 if dtype == "float32" else 0.03)):
                        assert abs(a[key] - b[key]) < bound * b[key], (size, name, dtype, key, a[key], b[key])
                    speed = {key: speeds(run) for key, run in runs.items()}
                    lengths = [length + args.steps - 1 for length in LENGTHS]  # of the last step
                    labelled = sum(length - length * 6 // 10 - 1 for length in lengths)
                    best_seconds = sum(lengths) / max(speed["ours", 0])
                    share = flop(values, labelled, lengths) / best_seconds / (rate["bf16" if dtype == "bfloat16" else "fp32"] * 1e9)
                    ratio = [median(speed["ours", 0]) / median(speed["python", 0]), max(speed["ours", 0]) / max(speed["python", 0]),
                             median(speed["ours", 1]) / median(speed["python", 1]), median(speed["ours", 0]) / median(speed["python", 1])]
                    lines.append(f"| {size} | {name} | {'bf16' if dtype == 'bfloat16' else 'fp32'} | {median(speed['ours', 0]):.0f} | {median(speed['python', 0]):.0f} | "
                                 + " | ".join(f"{value:.2f}" for value in ratio) + f" | {100 * share:.0f} % |")
                    print(lines[-1], flush=True)
    if args.update:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
