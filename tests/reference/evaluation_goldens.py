"""Writes tests/data/evaluation: what an evaluation's normalisation, intervals and attention must come out as.

normalised.json  Python's str.strip and str.lower on awkward answers.
bootstrap.json   cluster bootstraps with NumPy: `same_draws` from the generator that the program uses, written a second time here (equal to
                 rounding); `independent` from 200,000 resamples of NumPy's own generator (equal to the noise of 10,000).
attention.json   transformers' eager attention of the last position, for the prompts of the two worked examples (pixels by Pillow).

Made with Python 3.11, numpy 2.4, transformers 5.17, torch 2.11.
Run: python evaluation_goldens.py
"""

import json
from pathlib import Path

import numpy as np
import torch

from parity import Case

DATA = Path(__file__).parent.parent / "data"
OUT = DATA / "evaluation"
OUT.mkdir(exist_ok=True)


def write(name, value):
    (OUT / name).write_text(json.dumps(value, ensure_ascii=True, indent=None) + "\n")


# ------------------------------------------------------------------------------------------------------ normalised answers


def normalised(text):
    text = text.strip()
    return text.removesuffix(".").rstrip().lower()


ANSWERS = [
    "Yes",
    " yes.\n",
    "YES .",
    "yes..",
    "No, not seen",
    "2.5 cm.",
    "",
    ".",
    " . ",
    "  ",
    "Left  lung",
    "\u00c4RZTLICHE \u00dcBERSICHT.",
    "\u00a0Pneumothorax\u2003\u3000",
    "\x1c\x1fvalue\x85",
    "\u039d\u0395\u039a\u03a1\u03a9\u03a4\u0399\u039a\u0391",
    "\u041f\u0435\u0447\u0435\u043d\u044c",
    "\u809d\u810f\u3002",
    "\U00010400 deseret",
    "\ufffd broken \ufffd.",
    "tab\tinside.",
    "\u200bzero width.",
]
write("normalised.json", [{"text": text, "normalised": normalised(text)} for text in ANSWERS])


# --------------------------------------------------------------------------------------------------------------- bootstrap

MASK = (1 << 64) - 1


def splitmix_draws(seed, count, below):
    """`count` numbers in [0, below): SplitMix64, the upper 32 bits of each word, then its lower ones, scaled by multiply and shift."""
    steps = np.arange(1, (count + 1) // 2 + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(seed & MASK) + steps * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    halves = np.stack([z >> np.uint64(32), z & np.uint64(0xFFFFFFFF)], axis=1).reshape(-1)[:count]
    return ((halves * np.uint64(below)) >> np.uint64(32)).astype(np.int64)


def intervals(draws, sums, sizes):
    """Percentile intervals of the mean over drawn rows, in percent, of each measure. `draws`: [resamples, clusters]."""
    means = [100 * sums[m][draws].sum(axis=1) / sizes[draws].sum(axis=1) for m in range(len(sums))]
    return [np.percentile(mean, [2.5, 97.5]).tolist() for mean in means]


def bootstrap_case(seed, sizes, chances):
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    # Rows of a cluster resemble one another: that is what the interval has to show.
    level = rng.normal(0, 1.2, size=len(sizes))
    rows = np.stack(
        [(rng.random(len(clusters)) < 1 / (1 + np.exp(-(level[clusters] + np.log(p / (1 - p)))))).astype(float) for p in chances], axis=1
    )
    rows = np.concatenate([rows, rows[:, :1] - rows[:, 1:2]], axis=1)  # a paired difference
    sizes = np.array(sizes)
    sums = np.stack([np.bincount(clusters, rows[:, m], len(sizes)) for m in range(rows.shape[1])])
    draws = splitmix_draws(seed, 10_000 * len(sizes), len(sizes)).reshape(10_000, len(sizes))
    own = np.concatenate([rng.integers(0, len(sizes), size=(20_000, len(sizes))) for _ in range(10)])
    n = len(rows)
    return {
        "seed": seed,
        "clusters": clusters.tolist(),
        "rows": rows.tolist(),
        "percent": (100 * rows.mean(axis=0)).tolist(),
        "stderr": (100 * rows.std(axis=0, ddof=1) / np.sqrt(n)).tolist(),
        "same_draws": intervals(draws, sums, sizes),
        "independent": intervals(own, sums, sizes),
    }


write(
    "bootstrap.json",
    [
        bootstrap_case(0, [3] * 40, [0.8, 0.5]),
        bootstrap_case(5, list(np.random.default_rng(1).integers(1, 9, size=33)), [0.6, 0.65]),
        bootstrap_case(11, [1] * 120, [0.95, 0.3]),
    ],
)


# --------------------------------------------------------------------------------------------------------------- attention

QUESTION = "Which side is the lesion on?"


def attention_case(name):
    case = Case(DATA / name)
    model = case.build_model()
    prompts = []
    for index in range(3):
        images = case.samples[index]["pixel_values"][:1]
        message = {"role": "user", "content": case.attachment * len(images) + QUESTION}
        text = case.tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
        ids, ranges = case.expand(case.tokenizer(text, add_special_tokens=False)["input_ids"])
        with torch.no_grad():
            embeds = model.embed(torch.tensor([ids]), torch.stack(images) if images else None, case.attachment_id)
            output = model.model(inputs_embeds=embeds, output_attentions=True, use_cache=False)
        last = torch.stack([layer[0, :, -1] for layer in output.attentions])  # [layers, heads, T]
        prompts.append(
            {
                "sample": index,
                "image_range": ranges[0] if ranges else None,
                "input_ids": ids,
                "attention": [[[round(x, 9) for x in head] for head in layer] for layer in last.tolist()],
                "token": output.logits[0, -1].argmax().item(),
            }
        )
    return {"case": name, "question": QUESTION, "prompts": prompts}


write("attention.json", [attention_case(name) for name in ("case_qwen3_clip", "case_two")])
