"""Image files to a CLIP's pixel values on one core, beside Pillow and transformers' CLIPImageProcessor (its PIL backend): the same bytes, runs
in turn A B A B, the pixel values compared.

    python=$(tests/reference/make_environment)       # transformers and Pillow, about 5 GB, once
    ninja -C build image_pixels && $python bench/image.py [--rounds 5] [--seconds 1] [FILE or FOLDER...]

Without files it draws pictures whose spectrum falls as that of photographs does (amplitude 1 / frequency), JPEG of quality 90 and 4:2:0, and PNG.
`whole / decode` is ours: the whole way against decoding alone. `fast` is ours with `fast_decode`, beside the mean difference of its pixel values.
"""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

ROOT = Path(__file__).resolve().parent.parent
SIZES = [(500, 375), (1024, 1024), (2048, 2048)]


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    return parser.parse_args()


def picture(width, height):
    """Noise of amplitude 1 / frequency, its colours half as strong as its light."""
    rng = np.random.default_rng(width)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1

    def plane():
        spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency
        noise = np.fft.irfft2(spectrum, (height, width))
        return (noise - noise.mean()) / noise.std()

    light = plane()
    rgb = np.stack([light + 0.5 * plane() for _ in range(3)], axis=2)
    return Image.fromarray(np.clip(128 + 45 * rgb, 0, 255).astype(np.uint8))


def pictures(folder):
    for size in SIZES:
        for kind, options in (("jpg", {"quality": 90, "subsampling": 2}), ("png", {})):
            file = folder / f"{size[0]}x{size[1]}.{kind}"
            picture(*size).save(file, **options)
            yield file


def main():
    args = arguments()
    processor = CLIPImageProcessorPil()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        (scratch / "preprocessor_config.json").write_text("{}")
        files = [file for path in args.files for file in (sorted(path.iterdir()) if path.is_dir() else [path])] or list(pictures(scratch))
        print(f"{platform.machine()}, one core; load {os.getloadavg()[0]:.1f}; milliseconds of processor time, the least of all runs (behind the stroke: medians)\n")
        print("| image | decode ms | whole ms | whole / decode | Python: decode ms | whole ms | Python / ours, whole | whole / fast | fast differs by |")
        print("|---|---|---|---|---|---|---|---|---|")
        for file in files:
            ours, python = {"decode": [], "whole": [], "fast": []}, {"decode": [], "whole": []}
            content = file.read_bytes()
            for _ in range(args.rounds):
                command = [ROOT / "build/bench/image_pixels", file, scratch, str(args.seconds), scratch / "whole.npy", scratch / "fast.npy"]
                for key, seconds in json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout).items():
                    ours[key] += seconds[1:]  # the first pays for fresh memory
                end = time.perf_counter() + args.seconds
                while time.perf_counter() < end or len(python["whole"]) < 3:
                    start = time.process_time()
                    image = Image.open(io.BytesIO(content)).convert("RGB")
                    python["decode"].append(time.process_time() - start)
                    pixels = processor(image, return_tensors="np")["pixel_values"][0]
                    python["whole"].append(time.process_time() - start)
            whole, fast = np.load(scratch / "whole.npy"), np.load(scratch / "fast.npy")
            assert np.abs(whole - pixels).max() <= 1e-6 * np.abs(pixels).max(), "other pixel values than transformers'"
            def ms(side, key):
                return f"{1000 * min(side[key]):.2f} / {1000 * statistics.median(side[key]):.2f}"

            def ratio(above, below):
                return f"{min(above) / min(below):.2f} / {statistics.median(above) / statistics.median(below):.2f}"

            difference = np.abs(whole - fast)
            print(f"| {file.name} | {ms(ours, 'decode')} | {ms(ours, 'whole')} | {ratio(ours['whole'], ours['decode'])} | {ms(python, 'decode')} | {ms(python, 'whole')} "
                  f"| {ratio(python['whole'], ours['whole'])} | {ratio(ours['whole'], ours['fast'])} | {difference.mean():.3f}, at most {difference.max():.2f} |", flush=True)


if __name__ == "__main__":
    main()
