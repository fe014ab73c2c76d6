#!/usr/bin/env python3
"""A small data set of real medical images, with models of a few layers and a recipe that learns it by heart.

    make_dataset.py PACKAGES OUTPUT

PACKAGES is what get_packages unpacked. OUTPUT gets `images/` (PNG), `data/` (datasets.save_to_disk), `questions.jsonl` (image, question,
answer), `llm/` (a random Qwen3 with the real Qwen3 tokenizer), `vision/` (a random CLIP) and `recipe.yaml` ($REAL_IMAGES is OUTPUT).

What is asked is known from the files themselves (DICOM: modality, body part, orientation, rows and columns; NIfTI: the axis of the slice)
or from their packages' documentation (scikit-image: what the picture shows; MRIcron: whose head or brain).
"""

import io
import json
import sys
import warnings
from pathlib import Path

import nibabel
import numpy
import pydicom
import torch
import yaml
from datasets import Dataset, Features, List, Value, disable_progress_bars
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer, CLIPConfig, CLIPModel, Qwen3Config
from transformers.utils.logging import disable_progress_bar

KIND = "What kind of image is this?"
PART = "What does it show?"
PLANE = "In which plane was it taken?"
SIZE = "How many pixels wide and high is it?"
ATTACHMENT = "<|reserved_special_token_0|>"


def stretched(pixels):
    """Grey values to 8 bits, the darkest and brightest percent clipped."""
    low, high = numpy.percentile(pixels, (1, 99))
    if high <= low:
        low, high = pixels.min(), max(pixels.max(), pixels.min() + 1)
    return Image.fromarray(((pixels - low) / (high - low) * 255).clip(0, 255).round().astype(numpy.uint8))


def size_of(image):
    return f"{image.width} x {image.height}"


def from_dicom(folder):
    """(name, image, {question: answer}) of pydicom's test files."""
    modalities = {"CT": "CT", "MR": "MRI", "NM": "Bone scan", "US": "Ultrasound", "SEG": "Segmentation mask", "CR": "X-ray"}
    parts = {"HEAD": "Head", "CSPINE": "Cervical spine", "WHOLE BODY": "Whole body"}
    files = ["CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "JPEG2000.dcm", "ExplVR_BigEnd.dcm"]
    files += ["liver_1frame.dcm", "dicomdirtests/77654033/CR1/6154"]
    for file in files:
        with warnings.catch_warnings():  # some of these files are faulty on purpose
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(folder / file)
            pixels = data.pixel_array
        image = Image.fromarray(pixels) if pixels.ndim == 3 else stretched(pixels.astype(float))
        answers = {KIND: modalities[data.Modality], SIZE: size_of(image)}
        part = parts.get(data.get("BodyPartExamined")) or {"Liver Segmentation": "Liver"}.get(data.get("SeriesDescription"))
        if part:
            answers[PART] = part
        orientation = [float(value) for value in data.get("ImageOrientationPatient", [])]
        if orientation == [1, 0, 0, 0, 1, 0]:
            answers[PLANE] = "Axial"
        yield Path(file).stem, image, answers


def from_nifti(folder):
    """Three slices through the middle of each of MRIcron's volumes."""
    volumes = {"ch2": "Human head", "ch2bet": "Human brain", "inia19-t1-brain": "Macaque brain"}
    for name, part in volumes.items():
        volume = nibabel.as_closest_canonical(nibabel.load(folder / f"{name}.nii.gz")).get_fdata()
        for axis, plane in enumerate(("Sagittal", "Coronal", "Axial")):
            pixels = numpy.rot90(numpy.take(volume, volume.shape[axis] // 2, axis))
            yield f"{name}-{plane.lower()}", stretched(pixels), {KIND: "MRI", PART: part, PLANE: plane}


def from_pictures(folder):
    """scikit-image's medical pictures."""
    for file, answers in {
        "ihc.png": {KIND: "Histology slide", PART: "Colonic glands"},
        "retina.jpg": {KIND: "Fundus photograph", PART: "Left eye"},
        "microaneurysms.png": {KIND: "Fundus photograph", PART: "Microaneurysms"},
        "cell.png": {KIND: "Phase microscopy", PART: "A cell in saline"},
    }.items():
        image = Image.open(folder / file)
        image.thumbnail((700, 700))
        yield Path(file).stem, image, answers if file == "retina.jpg" else answers | {SIZE: size_of(image)}


def make_data(packages, output):
    python = packages / "usr" / "lib" / "python3" / "dist-packages"
    images = list(from_dicom(python / "pydicom" / "data" / "test_files"))
    images += from_nifti(packages / "usr" / "share" / "mricron" / "templates")
    images += from_pictures(python / "skimage" / "data")
    (output / "images").mkdir(parents=True)
    rows, questions = [], []
    for name, image, answers in images:
        stream = io.BytesIO()
        image.save(stream, "PNG")
        (output / "images" / f"{name}.png").write_bytes(stream.getvalue())
        for question, answer in answers.items():
            messages = [{"role": "user", "content": f"{ATTACHMENT}{question}"}, {"role": "assistant", "content": answer}]
            value = {"bytes": stream.getvalue(), "path": f"{name}.png"}
            rows.append({"conversations": messages, "modalities": [{"type": "image", "value": value}]})
            questions.append({"image": f"images/{name}.png", "question": question, "answer": answer})
    modality = {"type": Value("string"), "value": {"bytes": Value("binary"), "path": Value("string")}}
    features = Features({"conversations": List({"role": Value("string"), "content": Value("string")}), "modalities": List(modality)})
    Dataset.from_list(rows, features=features).save_to_disk(output / "data")
    (output / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    return len(images), len(rows)


def make_models(tokenizer_folder, output):
    """Random weights as transformers draws them; the vocabulary padded to 151936 rows as Qwen3 publishes it."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    llm = Qwen3Config(
        vocab_size=151936,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    AutoModelForCausalLM.from_config(llm).save_pretrained(output / "llm")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (output / "llm" / file).write_bytes((tokenizer_folder / file).read_bytes())
    vision = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 64, "patch_size": 16}
    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 64}
    text |= {"bos_token_id": 0, "eos_token_id": 2}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(output / "vision")
    processor = {
        "crop_size": {"height": 64, "width": 64},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "CLIPImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": 64},
    }
    (output / "vision" / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def make_recipe(output):
    recipe = {
        "base_llm": "$REAL_IMAGES/llm",
        "base_model": None,
        "attachment_token": ATTACHMENT,
        "tokenizer_type": "qwen3",
        "token_size": 128,
        "seed": 0,
        "loaders": [{"loader_type": "raw-image", "modality_type": "image"}],
        "modalities": [{"model_type": "meditron_clip", "clip_name": "$REAL_IMAGES/vision", "hidden_size": 128, "projection_type": "mlp"}],
        "training_mode": "FULL",
        "datasets": [{"packed_path": "$REAL_IMAGES/data"}],
        "training_args": {
            "output_dir": "$OUT",
            "run_name": "real-images",
            "learning_rate": 0.001,
            "bf16": False,
            "per_device_train_batch_size": 16,
            "gradient_accumulation_steps": 1,
            "num_train_epochs": 60,
            "max_grad_norm": 1.0,
            "weight_decay": 0.01,
            "lr_scheduler_type": "cosine_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr": 0.0001},
            "warmup_steps": 10,
            "logging_steps": 1,
            "save_strategy": "steps",
            "save_steps": 0.5,
            "save_total_limit": 1,
            "report_to": "none",
            "remove_unused_columns": False,
            "dataloader_num_workers": 0,
            "seed": 42,
        },
    }
    (output / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def main():
    packages, output = Path(sys.argv[1]), Path(sys.argv[2])
    disable_progress_bars()
    disable_progress_bar()
    num_images, num_samples = make_data(packages, output)
    make_models(packages / "qwen3", output)
    make_recipe(output)
    print(f"{num_samples} questions about {num_images} real images in {output}")


if __name__ == "__main__":
    main()
