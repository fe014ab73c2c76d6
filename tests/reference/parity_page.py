"""Writes docs/parity.md from what the parity tests report.

    export PARITY_REPORT=$PWD/parity.jsonl; rm -f $PARITY_REPORT
    build/tests/generation_test && build/tests/training_test
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


MIXTURES = """
## Mixtures

The largest difference over all of them: both kinds of projector, the three fusions, `correct`, `original` and `top_k` (trajectories: `correct`), against
compositions of transformers' CLIP, torchvision's ResNet and torch's attention (`tests/reference/mixture_goldens.py`).

| quantity | largest | in | bound |
|---|---|---|---|
"""


def print_mixtures(records):
    sys.stdout.write(MIXTURES)
    worst = {}
    for record in records:
        if record["quantity"] not in worst or record["largest"] > worst[record["quantity"]]["largest"]:
            worst[record["quantity"]] = record
    for quantity, record in worst.items():
        print(f"| {quantity} | {record['largest']:.1e} | {record['case'].removeprefix('mixture ')} | {record['bound']:.0e} |")


def main():
    rows, mixtures, cases = {}, [], []
    for line in open(sys.argv[1]):
        record = json.loads(line)
        if record["case"].startswith("mixture "):
            mixtures.append(record)
            continue
        if record["case"] not in cases:
            cases.append(record["case"])
        cell = rows.setdefault(record["quantity"], {"bound": 0.0})
        cell[record["case"]] = max(cell.get(record["case"], 0.0), record["largest"])
        cell["bound"] = max(cell["bound"], record["bound"])
    sys.stdout.write(HEAD)
    print(f"| quantity | {' | '.join(cases)} | bound |\n|{'---|' * (len(cases) + 2)}")
    for quantity, cell in rows.items():
        cells = [f"{cell[case]:.1e}" if case in cell else "" for case in cases]
        print(f"| {quantity} | {' | '.join(cells)} | {cell['bound']:.0e} |")
    if mixtures:
        print_mixtures(mixtures)


if __name__ == "__main__":
    main()
