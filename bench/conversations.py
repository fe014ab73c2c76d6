"""Conversations a second of one core's time from a row of a data set to ids and labels, side by side with datasets, transformers and tokenizers,
and the index of lengths over a million rows.

    python=$(tests/reference/make_environment)
    tests/reference/fetch_tokenizers.sh                 # the published tokenizers of Qwen3 and Llama 3.1, 30 MB
    $python bench/conversations.py [--tokenizers qwen3,llama3_1] [--rounds 3] [--seconds 4]
    $python bench/conversations.py --lengths 1000000    # counts that many rows of about 60 tokens on two threads

Both sides run in turn, A B A B, on the same data set, without images; ids and labels of every row are compared (under `assistant` the ids). Python renders with
apply_chat_template, encodes with the fast tokenizer and searches the delimiters' ids (found once, not for each row as the original does).
"""

import argparse
import collections
import hashlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/bench/conversations"
TYPES = {"qwen3": "qwen3", "llama3_1": "llama"}
UNLEARNT = {
    "qwen3": (["<|im_start|>system", "<|im_start|>user"], "<|im_end|>\n"),
    "llama": (["<|start_header_id|>system<|end_header_id|>", "<|start_header_id|>user<|end_header_id|>"], "<|eot_id|>"),
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenizers", default="qwen3,llama3_1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--lengths", type=int, default=0, metavar="ROWS")
    parser.add_argument("--threads", type=int, default=2, help="for --lengths")
    parser.add_argument("--python", help=argparse.SUPPRESS)  # how this script calls itself: folder,tokenizer,type,label_mask
    return parser.parse_args()


def vocabulary():
    """Words of the project's own pages, as often as they stand there."""
    text = " ".join(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))
    counts = collections.Counter(re.findall(r"[A-Za-z][a-z]+", text))
    return list(counts), list(counts.values())


def make_rows(path, count, turns, words):
    """A data set of conversations of about 60 (one turn) or 400 (four turns) tokens, in one Arrow file, a thousand rows a batch."""
    import pyarrow

    rng = random.Random(0)
    names, weights = vocabulary()

    def sentence(n):
        return " ".join(rng.choices(names, weights, k=n)).capitalize() + rng.choice([".", "?", ", 3.5 cm.", " (L4/L5)."])

    message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
    schema = pyarrow.schema([("conversations", pyarrow.list_(message))])
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, schema) as writer:
        for first in range(0, count, 1000):
            rows = [[{"role": role, "content": sentence(words)} for _ in range(turns) for role in ("user", "assistant")]
                    for _ in range(min(1000, count - first))]
            writer.write_batch(pyarrow.record_batch([pyarrow.array(rows, schema.field(0).type)], schema=schema))


def run_python(spec, seconds):
    """The other side, in a process of its own."""
    folder, tokenizer, kind, label_mask = spec.split(",")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from datasets import Dataset
    from transformers import AutoTokenizer

    dataset = Dataset.from_file(str(Path(folder) / "rows.arrow"))
    tokenizer = AutoTokenizer.from_pretrained(tokenizer)
    openings, end = UNLEARNT[kind]
    openings = [tokenizer(opening, add_special_tokens=False)["input_ids"] for opening in openings]
    end = tokenizer(end, add_special_tokens=False)["input_ids"]
    end_tag = {"qwen3": "<|im_end|>", "llama": "<|eot_id|>"}[kind]

    def original(row):
        ids = tokenizer(tokenizer.apply_chat_template(row["conversations"], tokenize=False), add_special_tokens=False)["input_ids"]
        labels = list(ids)
        for opening in openings:
            start = -1
            try:
                while True:
                    start = ids.index(opening[0], start + 1)
                    if ids[start : start + len(opening)] != opening:
                        continue
                    stop = ids.index(end[0], start) + 1
                    stop += ids[stop : stop + len(end) - 1] == end[1:] and len(end) - 1
                    labels[start:stop] = [-100] * (stop - start)
            except ValueError:
                pass
        return ids, labels

    def assistant(row):
        turns = row["conversations"]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        spans = []
        for count, turn in enumerate(turns, 1):
            if turn["role"] == "assistant":
                start = len(tokenizer.apply_chat_template(turns[: count - 1], tokenize=False, add_generation_prompt=True))
                spans.append((start, text.index(end_tag, start) + len(end_tag)))
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        labels = [token if any(a <= begin and stop <= b for a, b in spans) else -100
                  for token, (begin, stop) in zip(encoded["input_ids"], encoded["offset_mapping"])]
        return encoded["input_ids"], labels

    encode = original if label_mask == "original" else assistant
    sums = {"ids": hashlib.sha256(), "labels": hashlib.sha256()}
    for row in dataset:
        for total, numbers in zip(sums.values(), encode(row)):
            total.update("".join(f"{number} " for number in numbers).encode() + b"\n")
    rows = tokens = 0
    start = time.process_time()
    while (passed := time.process_time() - start) < seconds:
        tokens += len(encode(dataset[rows % len(dataset)])[0])
        rows += 1
    print(json.dumps({"rows_per_s": rows / passed, "tokens_per_s": tokens / passed} | {name: total.hexdigest() for name, total in sums.items()}))


def last_json(command, environment):
    output = subprocess.run([str(part) for part in command], check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main():
    args = arguments()
    if args.python:
        return run_python(args.python, args.seconds)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "RAYON_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        data = folder / "rows.arrow"
        if args.lengths:
            make_rows(data, args.lengths, 1, 16)
            for name in args.tokenizers.split(","):
                row = last_json([PROGRAM, data, ROOT / ".deps/tokenizers" / name, TYPES[name], "lengths", args.threads], environment)
                print(f"{name}: {row['rows']:,} rows, {row['tokens'] / row['rows']:.0f} tokens each: {row['seconds']:.1f} s on {args.threads} threads, "
                      f"{row['rows'] / row['seconds']:,.0f} rows/s, {row['peak_memory_bytes'] / 1e6:.0f} MB at most", flush=True)
            return
        print(f"one thread; load {os.getloadavg()[0]:.1f}\n")
        print("| tokenizer | conversation | label_mask | conversations/s ours, median | Python | ratio of medians | of best rounds |")
        print("|---|---|---|---|---|---|---|")
        for turns, words, title in ((1, 16, "1 question"), (4, 40, "4 questions")):
            make_rows(data, args.rows, turns, words)
            for name in args.tokenizers.split(","):
                tokenizer = ROOT / ".deps/tokenizers" / name
                for label_mask in ("original", "assistant"):
                    ours, python = [], []
                    for _ in range(args.rounds):
                        ours.append(last_json(["taskset", "-c", "0", PROGRAM, data, tokenizer, TYPES[name], "labels", label_mask, args.seconds], environment))
                        python.append(last_json(["taskset", "-c", "0", sys.executable, __file__, "--seconds", args.seconds, "--python",
                                                 f"{folder},{tokenizer},{TYPES[name]},{label_mask}"], environment))
                    # Under `assistant` the reference counts what Qwen3's template writes before the answer (an empty <think>) as part of it.
                    for key in ("ids", "labels") if label_mask == "original" else ("ids",):
                        assert len({side[key] for side in ours + python}) == 1, f"{name}, {label_mask}: {key} differ"
                    rate = [[side["rows_per_s"] for side in sides] for sides in (ours, python)]
                    length = ours[0]["tokens_per_s"] / ours[0]["rows_per_s"]
                    medians, best = [statistics.median(side) for side in rate], [max(side) for side in rate]
                    print(f"| {name} | {title}, {length:.0f} tokens | {label_mask} | {medians[0]:,.0f} | {medians[1]:,.0f} | {medians[0] / medians[1]:.2f} "
                          f"| {best[0] / best[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
