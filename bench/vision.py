"""Images a second of each vision tower, side by side with transformers (CLIP) and timm (BiomedCLIP): the same weights and pixels, runs in turn
A B A B, each checked by its features.

    python=$(tests/reference/make_environment)       # transformers, timm, open_clip and torch, about 5 GB, once
    $python bench/vision.py [--towers b32,biomedclip] [--rounds 3] [--seconds 4] [--batch 8] [--output FILE.json]

`frozen` is the forward pass as stages 1 and 2 run it, `trained` forward and backward of all weights (FULL).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
CLIPS = {
    "b32": {"patch_size": 32},
    "b16": {"patch_size": 16},
    "l14": {"patch_size": 14, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
    "l14_336": {"patch_size": 14, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336},
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--towers", default="b32,b16,l14,biomedclip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--python", help=argparse.SUPPRESS)  # how this script calls itself: tower,precision,mode,folder
    return parser.parse_args()


def make_tower(name, folder):
    """Writes the encoder's folder, with random weights."""
    torch.manual_seed(0)
    if name == "biomedclip":
        import timm

        trunk = timm.create_model("vit_base_patch16_224", num_classes=0)
        vision = {"timm_model_name": "vit_base_patch16_224", "image_size": 224}
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"vision_cfg": vision}, "preprocess_cfg": {}}))
        torch.save({f"visual.trunk.{key}": value for key, value in trunk.state_dict().items()}, folder / "open_clip_pytorch_model.bin")
        return 224
    from transformers import CLIPVisionConfig, CLIPVisionModel

    model = CLIPVisionModel(CLIPVisionConfig(**CLIPS[name]))
    tensors = {"vision_model." + key.removeprefix("vision_model."): value for key, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": CLIPS[name], "text_config": {}}))
    (folder / "preprocessor_config.json").write_text("{}")
    return CLIPS[name].get("image_size", 224)


def run_python(args):
    """The other side, in a process of its own."""
    name, precision, mode, folder = args.python.split(",")
    folder, dtype = Path(folder), torch.bfloat16 if precision == "bf16" else torch.float32
    torch.set_num_threads(args.threads)
    if name == "biomedclip":
        import timm

        model = timm.create_model("vit_base_patch16_224", num_classes=0)
        state = torch.load(folder / "open_clip_pytorch_model.bin", weights_only=True)
        model.load_state_dict({key.removeprefix("visual.trunk."): value for key, value in state.items()})

        def features_of(pixels):
            return model.forward_features(pixels)[:, 1:]
    else:
        from transformers import CLIPVisionConfig, CLIPVisionModel

        model = CLIPVisionModel(CLIPVisionConfig(**CLIPS[name], attn_implementation="sdpa"))
        state = load_file(folder / "model.safetensors")
        own = next(iter(model.state_dict())).startswith("vision_model.")
        model.load_state_dict(state if own else {key.removeprefix("vision_model."): value for key, value in state.items()})

        def features_of(pixels):
            return model(pixel_values=pixels).last_hidden_state[:, 1:]

    model = model.to(dtype).eval()
    pixels = load_file(folder / "pixels.safetensors")["pixel_values"]
    seconds, features = [], None
    while sum(seconds) < args.seconds or len(seconds) < 3:
        start = time.perf_counter()
        if mode == "trained":
            out = features_of(pixels.to(dtype))
            model.zero_grad()
            out.backward(torch.ones_like(out))
        else:
            with torch.no_grad():
                out = features_of(pixels.to(dtype))
        seconds.append(time.perf_counter() - start)
        features = out.detach().float() if features is None else features
    save_file({"features": features.contiguous()}, folder / "python.safetensors")
    print(json.dumps(seconds))


def main():
    args = arguments()
    if args.python:
        return run_python(args)
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "OMP_WAIT_POLICY": "passive", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    print(f"{platform.processor() or platform.machine()}, {args.threads} threads, {args.batch} images at once; load {os.getloadavg()[0]:.1f}\n")
    print("| tower | mode | precision | images/s ours | Python | ratio of medians | of best passes |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for name in args.towers.split(","):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            size = make_tower(name, folder)
            save_file({"pixel_values": torch.randn(args.batch, 3, size, size)}, folder / "pixels.safetensors")
            for mode in ("frozen", "trained"):
                for precision in ("bf16", "fp32"):
                    ours, python = [], []
                    for _ in range(args.rounds):
                        command = [BUILD / "bench/vision_tower", folder, folder / "pixels.safetensors", precision, mode, str(args.seconds), folder]
                        ours += json.loads(subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout)[1:]
                        command = [sys.executable, __file__, "--python", f"{name},{precision},{mode},{folder}", "--seconds", str(args.seconds), "--threads", str(args.threads)]
                        python += json.loads(subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])[1:]
                    a, b = load_file(folder / "features.safetensors")["features"], load_file(folder / "python.safetensors")["features"]
                    difference = ((a - b).abs().max() / b.abs().max()).item()
                    assert difference < (0.05 if precision == "bf16" else 1e-4), f"features differ by {difference}"
                    rate = [sorted(args.batch / s for s in side) for side in (ours, python)]
                    row = {"tower": name, "mode": mode, "precision": precision, "ours": rate[0][len(rate[0]) // 2], "python": rate[1][len(rate[1]) // 2],
                           "best_ours": rate[0][-1], "best_python": rate[1][-1], "difference": difference}
                    rows.append(row)
                    print(f"| {name} | {mode} | {precision} | {row['ours']:.1f} | {row['python']:.1f} | {row['ours'] / row['python']:.2f} "
                          f"| {row['best_ours'] / row['best_python']:.2f} |", flush=True)
    if args.output:
        args.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
