"""Training, side by side with the Python original: the same weights, samples, precision and checkpointing, runs in turn A B A B.

    python=$(tests/reference/make_environment)       # transformers and torch, about 5 GB, once
    $python bench/training.py [--sizes demo,135m] [--rounds 2] [--steps 10] [--output FILE.json]

Prints one table: tokens/s (median over the steps of all rounds, the first two of a run left out; real tokens, no padding), the ratio of the two
medians and of the two best steps, share of the machine's best matrix-product rate, peak memory, start to first step.
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


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="demo,135m")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", type=Path, default=ROOT / ".deps" / "bench", help="folder of the model sizes; made where missing")
    parser.add_argument("--only", help="stage,precision,checkpointing: for instance 2,bf16,on")
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


def flop_per_token(config, labelled_share, stage):
    """Forward and backward of the decoder on real tokens; attention and the vision tower are left out, so the share is a lower bound."""
    heads, kv = config["num_attention_heads"], config.get("num_key_value_heads", config["num_attention_heads"])
    hidden = config["hidden_size"]
    head_dim = config.get("head_dim", hidden // heads)
    layer = hidden * head_dim * (2 * heads + 2 * kv) + 3 * hidden * config["intermediate_size"]
    weights = layer * config["num_hidden_layers"] + labelled_share * config["vocab_size"] * hidden
    return weights * (6 if stage == 2 else 4)  # a frozen decoder has no weight gradients


def overrides(precision, checkpointing, steps):
    return [f"training_args.bf16={'true' if precision == 'bf16' else 'false'}",
            f"training_args.gradient_checkpointing={'true' if checkpointing else 'false'}", f"training_args.max_steps={steps}"]


def run_ours(recipe, environment, extra):
    with tempfile.TemporaryDirectory() as out:
        command = [BUILD / "multimeditron", "train", "--quiet", "--config", recipe, *extra]
        subprocess.run(command, check=True, env={**environment, "OUT": out})
        lines = [json.loads(line) for line in next(Path(out).rglob("metrics.jsonl")).read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    start = next(line for line in lines if line.get("event") == "start")
    end = next(line for line in lines if line.get("event") == "end")
    return {"seconds": [s["seconds"] for s in steps], "tokens": [s["tokens"] for s in steps], "losses": [s["loss"] for s in steps],
            "memory": end["peak_memory_bytes"] / 1e6, "start": start["seconds_to_first_step"]}


def run_python(recipe, environment, extra, threads):
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, ROOT / "bench/python/baseline.py", "--config", recipe, "--threads", str(threads), *extra]
        result = subprocess.run(command, check=True, env={**environment, "OUT": out}, stdout=subprocess.PIPE, text=True)
    result = json.loads(result.stdout.splitlines()[-1])
    return {"seconds": result["seconds"], "tokens": result["tokens"], "losses": result["losses"], "memory": result["peak_rss_mb"],
            "start": result["seconds_to_first_forward"]}


def median(values):
    return sorted(values)[len(values) // 2]


def speeds(run):
    return [tokens / seconds for tokens, seconds in list(zip(run["tokens"], run["seconds"]))[2:]]


def main():
    args = arguments()
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "OMP_WAIT_POLICY": "passive",  # both sides: spinning threads suffer most from a busy machine
                   "TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    sizes = args.sizes.split(",")
    for size in sizes:
        if not (args.models / size / "stage2.yaml").exists():
            subprocess.run([sys.executable, ROOT / "bench/python/make_bench_model.py", args.models, "--size", size], check=True)
    rate = json.loads(subprocess.run([BUILD / "bench/matmul_rate"], check=True, env=environment, stdout=subprocess.PIPE).stdout)
    print(f"{platform.processor() or platform.machine()}, {args.threads} threads; best matrix product fp32 {rate['fp32']:.0f}, bf16 {rate['bf16']:.0f} GFLOP/s\n")
    print("| size | stage | precision | checkpointing | tokens/s ours | Python | ratio of medians | of best steps | share of rate | memory MB | Python | first step s | Python |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    for size in sizes:
        config = json.loads((args.models / size / "llm/config.json").read_text())
        for stage in (1, 2):
            for precision in ("bf16", "fp32"):
                for checkpointing in (True, False):
                    if args.only and args.only != f"{stage},{precision},{'on' if checkpointing else 'off'}":
                        continue
                    recipe = args.models / size / f"stage{stage}.yaml"
                    extra = overrides(precision, checkpointing, args.steps)
                    here = {**environment, "BENCH_ROOT": str(args.models / size)}
                    ours, python = [], []
                    for _ in range(args.rounds):
                        ours.append(run_ours(recipe, here, extra))
                        python.append(run_python(recipe, here, extra, args.threads))
                    a, b = [s for run in ours for s in speeds(run)], [s for run in python for s in speeds(run)]
                    # Both sides must have trained the same thing.
                    drift = max(abs(x - y) / y for x, y in zip(ours[0]["losses"], python[0]["losses"]))
                    assert drift < (0.02 if precision == "bf16" else 1e-4), f"losses differ by {drift}"
                    labelled = 0.3 if size == "demo" else 0.4
                    share = max(a) * flop_per_token(config, labelled, stage) / (rate[precision] * 1e9)
                    row = {"size": size, "stage": stage, "precision": precision, "checkpointing": checkpointing, "ours": median(a), "python": median(b),
                           "ratio": median(a) / median(b), "best_ratio": max(a) / max(b), "share": share, "memory": min(r["memory"] for r in ours),
                           "python_memory": min(r["memory"] for r in python), "start": min(r["start"] for r in ours),
                           "python_start": min(r["start"] for r in python), "loss_difference": drift}
                    rows.append(row)
                    print(f"| {size} | {stage} | {precision} | {'on' if checkpointing else 'off'} | {row['ours']:.0f} | {row['python']:.0f} | {row['ratio']:.2f} "
                          f"| {row['best_ratio']:.2f} | {100 * share:.0f} % | {row['memory']:.0f} | {row['python_memory']:.0f} | {row['start']:.2f} "
                          f"| {row['python_start']:.2f} |", flush=True)
    if args.output:
        args.output.write_text(json.dumps({"rate": rate, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
