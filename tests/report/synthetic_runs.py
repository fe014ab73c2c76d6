#!/usr/bin/env python3
"""Writes a folder as `multimeditron demo` leaves it, with made-up figures and images: to look at report.html, to measure it and to click through it
without training anything. Needs NumPy and Pillow.

    tests/report/synthetic_runs.py FOLDER [--samples N] [--side PIXELS] [--seed N] [--kind demo|training|evaluation|unfinished]
"""

import argparse
import json
import math
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

KINDS = {
    "axial CT": [("Is there a lesion?", ["yes", "no"]), ("Which organ holds the lesion?", ["liver", "spleen", "left kidney", "right kidney", "none"])],
    "brain MRI": [("Is there a mass?", ["yes", "no"]), ("On which side is the mass?", ["left", "right", "no side"])],
    "ultrasound": [("How many cysts are there?", ["none", "one", "two", "three"]), ("How large is the cyst?", ["small", "large", "no cyst"])],
    "chest X-ray": [("Is there an opacity?", ["yes", "no"]), ("Where is the opacity?", ["left lung", "right lung", "both lungs", "nowhere"])],
}


def picture(kind, side, rng):
    """A grey phantom with noise: as hard to compress as the real thing."""
    image = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(image)
    centre, size = side / 2, side * rng.uniform(0.36, 0.46)
    draw.ellipse([centre - size, centre - size * 0.8, centre + size, centre + size * 0.8], fill=int(rng.integers(70, 140)))
    for _ in range(5):
        x, y, r = rng.uniform(0.3, 0.7) * side, rng.uniform(0.35, 0.65) * side, rng.uniform(0.04, 0.14) * side
        draw.ellipse([x - r, y - r, x + r, y + r * rng.uniform(0.6, 1.2)], fill=int(rng.integers(30, 240)))
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(side / 110))).astype(float)
    noise = rng.normal(0, 9, pixels.shape)
    if kind == "ultrasound":
        pixels = pixels * rng.rayleigh(0.8, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def interval(hits, rng):
    """Percent, standard error and a bootstrap interval."""
    hits = np.asarray(hits, float)
    means = rng.choice(hits, (400, len(hits))).mean(axis=1) if len(hits) else np.zeros(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"n": len(hits), "accuracy": 100 * hits.mean(), "stderr": 100 * means.std(), "ci95": [100 * low, 100 * high]}


def grouped(samples, key, rng):
    kinds = sorted({each["kind"] for each in samples})
    return {"overall": interval([each[key] for each in samples], rng), "groups": {"kind": {kind: interval([each[key] for each in samples if each["kind"] == kind], rng) for kind in kinds}}}


def write_evaluation(folder, count, side, rng):
    data = folder / "data" / "test"
    (data / "images").mkdir(parents=True, exist_ok=True)
    evaluation = folder / "evaluation"
    evaluation.mkdir(exist_ok=True)
    samples, attention, asked = [], [], []
    for i in range(count):
        kind = list(KINDS)[i % len(KINDS)]
        name = f"images/{i:04}.{'jpg' if i % 3 == 0 else 'png'}"
        picture(kind, side, rng).save(data / name)
        question, answers = ("What kind of image is this?", list(KINDS)) if i % 3 == 0 else KINDS[kind][i % 2]
        reference = kind if i % 3 == 0 else str(rng.choice(answers))

        def answer(skill):
            return reference if rng.random() < skill else str(rng.choice(answers))

        given, blind, swapped = answer(0.97 if i % 3 == 0 else 0.8), answers[0], answer(0.05)
        topic = "kind of image" if i % 3 == 0 else {"Is": "finding", "Ho": "number or size"}.get(question[:2], "place")
        samples.append({
            "id": f"test-{i:04}", "task": "phantoms", "image": name, "question": question, "kind": topic, "reference": reference, "answer": given, "score": int(given == reference),
            "blind_answer": blind, "blind_score": int(blind == reference), "swapped_answer": swapped, "swapped_image": f"images/{(i * 7 + 3) % count:04}.{'jpg' if (i * 7 + 3) % count % 3 == 0 else 'png'}",
            "swapped_score": int(swapped == reference), "majority": int(answers[0] == reference),
        })  # fmt: skip
        asked.append({"image": name, "question": question, "answer": reference, "kind": topic})
        if i < 8:
            y, x = np.mgrid[0:8, 0:8]
            cy, cx = rng.uniform(2, 6, 2)
            weights = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 3) + rng.uniform(0, 0.15, (8, 8))
            attention.append({"id": f"test-{i:04}", "image": name, "question": question, "reference": reference, "answer": given, "token": given.split()[0],
                              "grid": [8, 8], "weights": (weights / weights.sum()).reshape(-1).tolist(), "image_share": float(rng.uniform(0.2, 0.6))})  # fmt: skip
    (data / "questions.jsonl").write_text("".join(json.dumps(each) + "\n" for each in asked))
    (evaluation / "predictions-phantoms.jsonl").write_text("".join(json.dumps({key: value for key, value in each.items() if key != "majority"}) + "\n" for each in samples))
    (evaluation / "attention-phantoms.json").write_text(json.dumps({"samples": attention}))
    results = {
        "exact_match": grouped(samples, "score", rng),
        "baselines": {name: grouped(samples, key, rng) for name, key in [("majority", "majority"), ("blind", "blind_score"), ("swapped", "swapped_score")]},
        "data": str(data / "questions.jsonl"), "model": str(folder / "end2end" / "checkpoint-300"), "seconds": 21.5,
    }  # fmt: skip
    (evaluation / "results.json").write_text(json.dumps({"phantoms": results}, indent=1))
    sheet = Image.new("RGB", (6 * 130, 2 * 130), (18, 19, 22))
    for i in range(min(12, count)):
        sheet.paste(Image.open(data / asked[i]["image"]).resize((126, 126)), (130 * (i % 6) + 2, 130 * (i // 6) + 2))
    sheet.save(folder / "data" / "contact-sheet.png")


def write_run(folder, name, mode, steps, first, last, rng, state="finished", recipe=True):
    run = folder / name
    run.mkdir(parents=True, exist_ok=True)
    lines, done = [{"event": "start", "step": 0, "seconds_to_first_step": 0.61}], steps if state == "finished" else int(steps * 0.43)
    for step in range(1, done + 1):
        share = step / steps
        loss = last + (first - last) * math.exp(-6 * share) * (1 + 0.25 * rng.normal() * 0.5) + abs(rng.normal(0, last * 0.3))
        line = {"step": step, "epoch": 2 * share, "loss": loss, "grad_norm": 0.5 + 2 * math.exp(-4 * share) + abs(rng.normal(0, 0.2)),
                "learning_rate": 1e-3 * min(1, step / (0.1 * steps)) * 0.5 * (1 + math.cos(math.pi * share)), "tokens": int(rng.integers(900, 1300)), "samples": 16, "seconds": rng.uniform(0.12, 0.16)}  # fmt: skip
        if mode == "EXPERT":
            line["logit_scale"] = 10 + 20 * share
        lines.append(line)
        if mode == "EXPERT" and step % (steps // 3) == 0:
            lines.append({"event": "retrieval", "step": step, "image_to_text_recall_1": 100 * share * 0.8, "text_to_image_recall_1": 100 * share * 0.75})
    if state == "finished":
        lines.append({"event": "end", "step": steps, "seconds": 0.145 * steps, "peak_memory_bytes": int(rng.integers(350, 900)) * 10**6, "data_wait_s": 0.002 * steps})
    elif state == "interrupted":
        lines.append({"event": "interrupted", "step": done, "signal": "SIGTERM"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text + ('{"step": 99, "lo' if state == "running" else ""))
    (run / "STATE").write_text(state + "\n")
    if recipe:
        yaml = f"base_llm: models/llm\ntokenizer_type: qwen3\ntoken_size: 128\ntraining_mode: {mode}\ndatasets:\n- packed_path: data/train\ntraining_args:\n  output_dir: {run}\n  learning_rate: 0.001\n  max_steps: {steps}\n"
        (run / "recipe.yaml").write_text(yaml + "  weight_decay: 0.01\n  adam_beta1: 0.9\n")
        (folder / "recipes").mkdir(exist_ok=True)
        (folder / "recipes" / f"{name}.yaml").write_text(f"# {name}: a stage of the demo\n" + yaml)


def write_demo(folder, count, side, seed, rng):
    write_evaluation(folder, count, side, rng)
    stages = [("warmup", "LM_ONLY", 120, 5.4, 0.35), ("vision", "EXPERT", 240, 3.4, 0.4), ("alignment", "ALIGNMENT", 400, 3.1, 0.28), ("end2end", "END2END", 300, 1.9, 0.06)]
    for name, mode, steps, first, last in stages:
        write_run(folder, name, mode, steps, first, last, rng)
    titles = {"warmup": "Language warm-up", "vision": "Contrastive training of the vision tower", "alignment": "Stage 1: alignment", "end2end": "Stage 2: instructions"}
    phases = [{"name": "data", "title": "Drawing the images", "seconds": 8.2, "folder": "", "images": 3200}, {"name": "tokenizer", "title": "Training the tokenizer", "seconds": 0.9, "folder": ""}]
    phases += [{"name": name, "title": titles[name], "command": f"multimeditron train{'-expert' if mode == 'EXPERT' else ''} --config demo-output/recipes/{name}.yaml", "seconds": 0.15 * steps + 1, "folder": name,
                "flop_share": 0.31} | ({} if mode == "LM_ONLY" else {"images": 16 * steps}) for name, mode, steps, _, _ in stages]  # fmt: skip
    phases.append({"name": "evaluation", "title": "Evaluation on unseen images", "command": "multimeditron evaluate --model demo-output/end2end --tasks phantoms", "seconds": 21.5, "folder": "evaluation/", "images": 3 * count})
    (folder / "demo.json").write_text(json.dumps({"seed": seed, "phases": phases}, indent=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--samples", type=int, default=120)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=["demo", "training", "evaluation", "unfinished"], default="demo")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    if options.kind == "demo":
        write_demo(folder, options.samples, options.side, options.seed, rng)
    elif options.kind == "training":
        write_run(folder.parent, folder.name, "END2END", 4000, 2.1, 0.2, rng)
    elif options.kind == "evaluation":
        write_evaluation(folder, options.samples, options.side, rng)
    else:
        write_run(folder, "alignment", "ALIGNMENT", 400, 3.1, 0.3, rng)
        write_run(folder, "end2end", "END2END", 300, 1.9, 0.06, rng, "interrupted")
        write_run(folder, "longer", "END2END", 900, 1.9, 0.06, rng, "running")
        write_run(folder, "new", "END2END", 300, 1.9, 0.06, rng, "running")
        (folder / "new" / "metrics.jsonl").write_text("")


if __name__ == "__main__":
    main()
