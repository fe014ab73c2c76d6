#!/usr/bin/env python3
"""Makes tests/data/gate: narrow ResNets as gates, images of three kinds, and what torchvision, transformers and torch make of them.

    gate_goldens.py

gate/          a gate as the original writes it: torchvision's names under `resnet.`
transformers/  the same weights as ResNetForImageClassification
images/        a data set a class; augment.safetensors: images after drawn crops, flips and colours, by torchvision on Pillow images
processor/     the image processor whose mean and std the gate is trained with
expected.safetensors
    pixels, logits, features, gradient.NAME, batch.logits, batch.NAME: one batch, with running statistics and with the batch's own
    scratch.NAME, thaw.NAME: all tensors after the runs of scratch.yaml (ten steps of the whole network, drawn from the seed) and
    thaw.yaml (the classifier alone for an epoch, then the whole network)
expected.json  losses, learning rates, gradient norms, validation and test of both
"""

import io
import json
import math
import random
import shutil
from pathlib import Path

import numpy
import torch
import torchvision.transforms.functional as F
from datasets import Dataset, Features, List, Value, disable_progress_bars
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import transforms
from torchvision.models.resnet import Bottleneck, ResNet
from transformers import CLIPImageProcessorPil, ResNetConfig, ResNetForImageClassification

disable_progress_bars()
FOLDER = Path(__file__).resolve().parent.parent / "data" / "gate"
WIDTHS, BLOCKS, CLASSES, SIDE = [4, 6, 6, 8], [1, 2, 1, 1], ["experts/disc", "experts/bars", "experts/both"], 64
# With this seed no ReLU of the ten steps stands at its kink; where one does, a last bit decides, and the course of the run with it.
SEED, LR, WEIGHT_DECAY, SMOOTHING = 9, 1e-3, 0.05, 0.05


class Narrow(ResNet):
    """torchvision's ResNet of bottleneck blocks with other numbers of channels."""

    def __init__(self):
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation, self.groups, self.base_width = nn.BatchNorm2d, WIDTHS[0], 1, 1, 64
        self.conv1 = nn.Conv2d(3, WIDTHS[0], kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for i in range(4):
            setattr(self, f"layer{i + 1}", self._make_layer(Bottleneck, WIDTHS[i], BLOCKS[i], stride=1 if i == 0 else 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(4 * WIDTHS[3], len(CLASSES))

    def features(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return torch.flatten(self.avgpool(self.layer4(self.layer3(self.layer2(self.layer1(x))))), 1)


def random_gate():
    """Weights of an order at which every part of the network shows in the logits."""
    model, generator = Narrow(), torch.Generator().manual_seed(17)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("num_batches_tracked"):
                tensor.fill_(300)  # bf16 could not hold one more
            elif name.endswith("running_var"):
                tensor.copy_(1 + 0.5 * noise.abs())
            elif tensor.dim() == 4:
                tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
            elif ("bn" in name or "downsample.1" in name) and name.endswith("weight"):
                tensor.copy_(1 + 0.2 * noise)
            else:
                tensor.copy_(0.3 * noise)
    return model


def to_transformers(model):
    config = ResNetConfig(embedding_size=WIDTHS[0], hidden_sizes=[4 * width for width in WIDTHS], depths=BLOCKS,
                          id2label=dict(enumerate(CLASSES)), label2id={name: i for i, name in enumerate(CLASSES)})
    other = ResNetForImageClassification(config).eval()
    # Both have their tensors in the order of the network, but for the shortcut, which transformers names first in a block.
    ours = {}
    for name, tensor in model.state_dict().items():
        key = name.replace("conv1.", "0.").replace("bn1.", "0.").replace("conv2.", "1.").replace("bn2.", "1.").replace("conv3.", "2.").replace("bn3.", "2.")
        if name.startswith("fc."):
            ours["classifier.1." + name[3:]] = tensor
            continue
        kind = "convolution" if "conv" in name or "downsample.0" in name else "normalization"
        last = name.rsplit(".", 1)[1]
        if name.startswith("layer"):
            stage, block = name[5 : name.index(".")], name.split(".")[1]
            part = "shortcut" if "downsample" in name else f"layer.{key.split('.')[2]}"
            ours[f"resnet.encoder.stages.{int(stage) - 1}.layers.{block}.{part}.{kind}.{last}"] = tensor
        else:
            ours[f"resnet.embedder.embedder.{kind}.{last}"] = tensor
    other.load_state_dict(ours)
    return other


def write_gate(model):
    folder = FOLDER / "gate"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["GatingNetwork"], "model_type": "gating_network", "num_classes": len(CLASSES), "top_k": 1,
        "image_processor_path": "openai/clip-vit-base-patch32", "class_names": CLASSES}, indent=2) + "\n")
    save_file({"resnet." + name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors", metadata={"format": "pt"})
    to_transformers(model).save_pretrained(FOLDER / "transformers")


def picture(rng, kind):
    """A disc, bars or both on a ramp; 50 to 90 pixels a side."""
    width, height = rng.randint(50, 90), rng.randint(50, 90)
    y, x = numpy.mgrid[0:height, 0:width]
    ramp = (x * rng.uniform(0.2, 1) + y * rng.uniform(0.2, 1)) // 4 * 4
    pixels = numpy.stack([ramp + rng.uniform(0, 60) for _ in range(3)], -1)
    colour = [rng.uniform(90, 240) for _ in range(3)]
    if kind != 0:
        pixels[(x // rng.randint(4, 7)) % 2 == 0] = colour
    if kind != 1:
        pixels[(x - width * rng.uniform(0.4, 0.6)) ** 2 + (y - height * rng.uniform(0.4, 0.6)) ** 2 < rng.uniform(12, 18) ** 2] = colour[::-1]
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8)).save(out, "PNG")
    return out.getvalue()


def make_data():
    rng = random.Random(3)
    classes = []
    for kind, count in enumerate([14, 12, 13]):
        images = [picture(rng, kind) for _ in range(count)]
        rows = [{"text": "a picture", "modalities": [{"type": "image", "value": {"bytes": image, "path": None}}]} for image in images]
        value = {"bytes": Value("binary"), "path": Value("string")}
        path = FOLDER / "images" / CLASSES[kind].split("/")[1]
        Dataset.from_list(rows, features=Features({"text": Value("string"), "modalities": List({"type": Value("string"), "value": value})})).save_to_disk(path)
        state = json.loads((path / "state.json").read_text()) | {"_fingerprint": f"00000000000000a{kind}"}  # the true one differs from run to run
        (path / "state.json").write_text(json.dumps(state, indent=2))
        classes.append([Image.open(io.BytesIO(image)).convert("RGB") for image in images])
    return classes


def augmentations(images):
    """Images after each step of the training transform, with given numbers."""
    tensors, cases, rng = {}, [], random.Random(8)
    for i, image in enumerate(images):
        width, height = rng.randint(20, image.width), rng.randint(20, image.height)
        case = {"left": rng.randint(0, image.width - width), "top": rng.randint(0, image.height - height), "width": width, "height": height,
                "flipped": i % 2 == 1, "order": rng.sample([0, 1, 2], 3), "factors": [rng.uniform(0.8, 1.2) for _ in range(3)], "side": 24}
        case["factors"] = [float(numpy.float32(factor)) for factor in case["factors"]]
        result = F.resized_crop(image, case["top"], case["left"], height, width, [24, 24], transforms.InterpolationMode.BILINEAR)
        result = F.hflip(result) if case["flipped"] else result
        for step in case["order"]:
            result = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation][step](result, case["factors"][step])
        tensors[f"augmented.{i}"] = torch.from_numpy(numpy.array(result))
        plain = transforms.CenterCrop(SIDE)(transforms.Resize(SIDE * 8 // 7)(image))
        tensors[f"plain.{i}"] = torch.from_numpy(numpy.array(plain))
        tensors[f"image.{i}"] = torch.from_numpy(numpy.array(image))
        cases.append(case)
    save_file(tensors, FOLDER / "augment.safetensors")
    (FOLDER / "augment.json").write_text(json.dumps(cases, indent=1) + "\n")


def draw(classes):
    """Rows of the three draws, one class after the other: at most 12 of a class, test, validation, training."""
    first, train, validation, test = 0, [], [], []
    for label, images in enumerate(classes):
        rows = [first + row for row in numpy.random.default_rng(SEED + label).permutation(len(images)).tolist()[:12]]
        test, validation, train = test + rows[:2], validation + rows[2:4], train + rows[4:]
        first += len(images)
    return train, validation, test


def epoch_batches(train, epoch, size):
    shuffled = numpy.random.default_rng(SEED).permutation(len(train)).tolist()
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SEED + epoch)).tolist()
    rows = [train[shuffled[i]] for i in order]
    return [rows[i * size : (i + 1) * size] for i in range(len(rows) // size)]


def learning_rate_factors(warmup, total):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    rising = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=warmup)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warmup)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rising, falling], milestones=[warmup])
    factors = []
    for _ in range(total):
        factors.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return factors


def initialise(model):
    """Weights drawn from the seed, in the order of the tensors."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dim() == 4:
                tensor.copy_(torch.normal(0.0, (2 / (tensor.shape[0] * tensor.shape[2] * tensor.shape[3])) ** 0.5, tensor.shape, generator=generator))
            elif name.startswith("fc."):
                tensor.uniform_(-1 / math.sqrt(4 * WIDTHS[3]), 1 / math.sqrt(4 * WIDTHS[3]), generator=generator)


def measure(model, pixels, labels, rows):
    model.eval()
    with torch.no_grad():
        logits = model(pixels[rows]).double()
    right = logits.argmax(1)
    confusion = [[int(((labels[rows] == truth) & (right == guess)).sum()) for guess in range(len(CLASSES))] for truth in range(len(CLASSES))]
    return {"loss": nn.functional.cross_entropy(logits, labels[rows]).item(), "accuracy": (right == labels[rows]).float().mean().item(), "confusion": confusion}


def train(model, pixels, labels, draws, epochs, batch, accumulation, warmup_epochs, thaw_after, tensors, prefix):
    rows, validation, test = draws
    micro = [epoch_batches(rows, epoch, batch) for epoch in range(epochs)]
    steps_per_epoch = -(-len(micro[0]) // accumulation)
    factors = learning_rate_factors(warmup_epochs * steps_per_epoch, epochs * steps_per_epoch)
    record = {"losses": [], "learning_rates": [], "grad_norms": [], "validation": []}
    step = 0
    for epoch in range(epochs):
        frozen = epoch < thaw_after
        if epoch == 0 or epoch == thaw_after:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(not frozen or name.startswith("fc."))
            trained = [p for p in model.parameters() if p.requires_grad]
            rate = LR if epoch < thaw_after or thaw_after == 0 else LR / 10
            optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=WEIGHT_DECAY)
        for first in range(0, len(micro[epoch]), accumulation):
            parts = micro[epoch][first : first + accumulation]
            model.train(not frozen)
            optimizer.param_groups[0]["lr"] = rate * factors[step]
            losses = []
            for part in parts:
                loss = nn.functional.cross_entropy(model(pixels[part]), labels[part], label_smoothing=SMOOTHING) / len(parts)
                loss.backward()
                losses.append(loss.item())
            record["losses"].append(sum(losses))
            record["learning_rates"].append(rate * factors[step])
            record["grad_norms"].append(torch.sqrt(sum(p.grad.double().square().sum() for p in trained)).item())
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        result = measure(model, pixels, labels, validation)
        record["validation"].append({"loss": result["loss"], "accuracy": result["accuracy"]})
    tensors |= {f"{prefix}.{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    record["last_test"] = measure(model, pixels, labels, test)
    return record


def recipe(name, lines):
    (FOLDER / f"{name}.yaml").write_text(f"""\
num_classes: {len(CLASSES)}
top_k: 1
image_processor_path: $CASE_ROOT/processor
class_names: [{", ".join(CLASSES)}]
dataset_class_map:
  0: $CASE_ROOT/images/disc
  1: [$CASE_ROOT/images/bars]
  experts/both: $CASE_ROOT/images/both
max_samples_per_class: 12
val_split: 0.17
test_split: 0.17
seed: {SEED}
lr: {LR}
weight_decay: {WEIGHT_DECAY}
label_smoothing: {SMOOTHING}
scheduler: cosine
augment: false
output_dir: $OUT/gate
{lines}""")


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    torch.use_deterministic_algorithms(True)
    gate = random_gate()
    write_gate(gate)
    tensors = {}

    pixels = torch.randn([5, 3, 64, 80], generator=torch.Generator().manual_seed(2))
    targets = torch.tensor([0, 2, 1, 1, 0])
    gate.eval()
    tensors |= {"pixels": pixels, "logits": gate(pixels).detach(), "features": gate.features(pixels).detach()}
    other = to_transformers(gate)
    assert (other(pixels).logits - tensors["logits"]).abs().max() < 1e-5 * tensors["logits"].abs().max()
    for prefix, training in (("gradient", False), ("batch", True)):
        model = random_gate().train(training)
        logits = model(pixels)
        nn.functional.cross_entropy(logits, targets).backward()
        tensors |= {f"{prefix}.{name}": p.grad.clone() for name, p in model.named_parameters()}
        if training:
            tensors["batch.logits"] = logits.detach()
            tensors |= {f"batch.{name}": buffer.clone() for name, buffer in model.named_buffers()}

    classes = make_data()
    augmentations([images[k] for images in classes for k in (0, 3)])
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(FOLDER / "processor")
    transform = transforms.Compose([transforms.Resize(SIDE * 8 // 7), transforms.CenterCrop(SIDE), transforms.ToTensor(),
                                    transforms.Normalize(processor.image_mean, processor.image_std)])
    images = torch.stack([transform(image) for of_class in classes for image in of_class])
    labels = torch.tensor([label for label, of_class in enumerate(classes) for _ in of_class])
    draws = draw(classes)
    assert len(draws[0]) == 24

    scratch = Narrow()
    initialise(scratch)
    expected = {"scratch": train(scratch, images, labels, draws, 5, 6, 2, 1, 0, tensors, "scratch")}
    thaw = Narrow()
    initialise(thaw)
    thaw.load_state_dict({name: tensor for name, tensor in random_gate().state_dict().items() if not name.startswith("fc.")}, strict=False)
    expected["thaw"] = train(thaw, images, labels, draws, 3, 6, 1, 1, 1, tensors, "thaw")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "expected.safetensors")
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    recipe("scratch", f"widths: {WIDTHS}\nblocks: {BLOCKS}\nnum_epochs: 5\nwarmup_epochs: 1\nbatch_size: 6\ngradient_accumulation_steps: 2\n")
    recipe("thaw", "pretrained_backbone: $CASE_ROOT/gate\nfreeze_backbone: true\nunfreeze_after_epoch: 1\nnum_epochs: 3\nwarmup_epochs: 1\nbatch_size: 6\n")
    for name, record in expected.items():
        print(name, [round(loss, 4) for loss in record["losses"]], record["validation"], record["last_test"]["confusion"])


if __name__ == "__main__":
    main()
