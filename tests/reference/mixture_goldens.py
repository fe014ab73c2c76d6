#!/usr/bin/env python3
"""Makes tests/data/mixture: tiny experts, a gate and fusion weights, and what a composition of transformers, torchvision and torch makes of
them, for every kind of mixture, fusion and behaviour.

    mixture_goldens.py

Language model, tokenizer and samples are those of tests/data/case_two. The towers are transformers' CLIPModel, the gate is torchvision's
ResNet with narrow stages, cross attention is torch.nn.functional.multi_head_attention_forward. expected.json: features, gate, and for each
mixture the projected tokens, logits, loss, every gradient (FULL), and ten optimizer steps of ALIGNMENT and END2END. A tensor is stated by
its norm and by its product with cos(0), cos(1), ..., in the order of `tensors`.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import parity
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPVisionModel

DATA = Path(__file__).resolve().parent.parent / "data"
FOLDER, CASE_TWO = DATA / "mixture", DATA / "case_two"
SHARED = ["experts/ct", "experts/mri", "experts/xray", "experts/general"]
PEP = ["experts/ct", "wide/mri", "experts/xray", "experts/general"]  # with a projector each, widths may differ
# In another order than the experts', so that a permutation read backwards shows; one by a path of its own.
CLASSES = ["elsewhere/experts/xray", "experts/ct", "general", "runs/mri"]
CLASS_OF = [1, 3, 0, 2]
HEADS, TOP_K = {"shared": 2, "pep": 3}, 2
BATCH = [0, 2, 3, 9]
STEPS = 10
KINDS = {"shared": "moe_meditron_clip", "pep": "moe_meditron_clip_pep"}
FUSIONS = ["weighted_average", "sequence_append", "cross_attn"]


# ---------------------------------------------------------------------------------------------------------------- files


def randomise(module, generator):
    """Weights large enough for the numbers to depend on them."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                parameter.copy_(0.05 * noise)
            elif "norm" in name or "bn" in name or "downsample.1" in name or "layrnorm" in name:
                parameter.copy_(1 + 0.1 * noise)
            elif parameter.dim() > 1:
                parameter.copy_(noise / (parameter.numel() / parameter.shape[0]) ** 0.5)


def clip_config(width, layers, act):
    vision = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers, "num_attention_heads": 2, "image_size": 32}
    vision |= {"patch_size": 8, "hidden_act": act, "projection_dim": 4}
    text = {"vocab_size": 5, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    text |= {"max_position_embeddings": 4, "projection_dim": 4, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return CLIPConfig(projection_dim=4, text_config=text, vision_config=vision, attn_implementation="eager")


def make_experts(generator):
    settings = {"experts/ct": (16, 2, "quick_gelu"), "experts/mri": (16, 1, "gelu"), "experts/xray": (16, 1, "quick_gelu")}
    settings |= {"experts/general": (16, 2, "quick_gelu"), "wide/mri": (24, 1, "gelu")}
    for name, (width, layers, act) in settings.items():
        make_expert(FOLDER / name, clip_config(width, layers, act), generator, without_text=name == "experts/xray")


def make_expert(folder, config, generator, without_text=False):
    model = CLIPModel(config)
    randomise(model, generator)
    if without_text:
        tower = CLIPVisionModel(model.config.vision_config)
        tower.load_state_dict({n.removeprefix("vision_model."): t for n, t in model.vision_model.state_dict().items()})
        model = tower
    model.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


class NarrowResNet(torchvision.models.ResNet):
    """torchvision's ResNet of bottleneck blocks with a 32nd of the channels in its stages."""

    def __init__(self, num_classes):
        super().__init__(torchvision.models.resnet.Bottleneck, [1, 2, 1, 1])
        self.fc = nn.Linear(64, num_classes)

    def _make_layer(self, block, planes, *arguments, **options):
        return super()._make_layer(block, planes // 32, *arguments, **options)


class GatingNetwork(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.resnet = NarrowResNet(num_classes)


def make_gate(folder, class_names, processor, generator):
    gate = GatingNetwork(len(class_names))
    randomise(gate, generator)
    gate.train()
    for _ in range(30):  # running statistics of something
        gate.resnet(torch.randn(8, 3, 32, 32, generator=generator))
    with torch.no_grad():
        gate.resnet.fc.weight *= 1.5
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in gate.state_dict().items()}, folder / "model.safetensors")
    config = {"architectures": ["GatingNetwork"], "model_type": "gating_network", "num_classes": len(class_names), "top_k": 1}
    parity.write_json(folder / "config.json", config | {"image_processor_path": processor, "class_names": class_names})


# ---------------------------------------------------------------------------------------------------------------- model


@dataclass
class Parts:
    """What a mixture is made of: folders of its experts and gate, the gate's class of each expert, the heads of its cross attention."""

    experts: list
    gate: Path
    class_of: list
    heads: int


PARTS = {kind: Parts([FOLDER / name for name in names], FOLDER / "gate", CLASS_OF, HEADS[kind]) for kind, names in (("shared", SHARED), ("pep", PEP))}


class CrossAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, queries, keys_values):
        q, kv = queries.transpose(0, 1), keys_values.transpose(0, 1)  # [tokens, images, width]
        output, _ = functional.multi_head_attention_forward(
            q, kv, kv, q.shape[-1], self.heads, None, torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]), None, None, False,
            0.0, self.proj.weight, self.proj.bias, training=False, need_weights=False, use_separate_proj_weight=True,
            q_proj_weight=self.q_proj.weight, k_proj_weight=self.k_proj.weight, v_proj_weight=self.v_proj.weight,
        )  # fmt: skip
        return output.transpose(0, 1)


class Mixture(nn.Module):
    """Its state dict bears the names of the original's checkpoints."""

    def __init__(self, kind, fusion, behaviour, hidden_size, top_k=TOP_K, experts="all", parts=None):
        super().__init__()
        self.kind, self.fusion, self.is_original, self.top_k, self.chosen_only = kind, fusion, behaviour == "original", top_k, experts == "top_k"
        self.parts = parts or PARTS[kind]
        configs = [json.loads((folder / "config.json").read_text()) for folder in self.parts.experts]
        visions = [config.get("vision_config", config) for config in configs]
        self.widths = [vision["hidden_size"] for vision in visions]
        self.experts = nn.ModuleList(
            CLIPModel(clip_config(vision["hidden_size"], vision["num_hidden_layers"], vision["hidden_act"])).vision_model for vision in visions
        )
        self.gating_network = GatingNetwork(len(self.parts.class_of))
        if kind == "shared":
            self.projector = parity.Projector(self.widths[0], hidden_size)
        else:
            self.projectors = nn.ModuleList(parity.Projector(width, hidden_size) for width in self.widths)
        if fusion == "cross_attn":
            self.cross_attn = CrossAttention(hidden_size if kind == "pep" else self.widths[0], self.parts.heads)

    def features(self, pixel_values):
        """A list of [images, patches, width], one an expert."""
        return [expert(pixel_values=pixel_values).last_hidden_state[:, 1:] for expert in self.experts]

    def probabilities(self, pixel_values):
        return self.gating_network.resnet(pixel_values).softmax(-1)

    def weights(self, pixel_values):
        p = self.probabilities(pixel_values)
        index = list(self.parts.class_of)
        if self.is_original and self.kind == "pep" and self.fusion == "weighted_average":
            index = list(range(len(index)))
        elif self.is_original:
            index = [self.parts.class_of.index(expert) for expert in range(len(index))]
        return p[:, index]

    def fuse(self, tokens, weights):
        count = len(tokens)
        if self.fusion == "weighted_average":
            if self.chosen_only:
                kept = torch.zeros_like(weights).scatter(1, weights.topk(self.top_k, 1).indices, 1.0)
                weights = weights * kept / (weights * kept).sum(1, keepdim=True)
            return sum(weights[:, e, None, None] * tokens[e] for e in range(count))
        if self.fusion == "sequence_append":
            if self.is_original:
                return torch.cat(tokens, 1)
            rows = []
            for image in range(len(tokens[0])):
                chosen = sorted(weights[image].topk(self.top_k).indices.tolist())
                rows.append(torch.cat([tokens[e][image] for e in chosen]))
            # An expert that no image chose has a gradient of zero, where torch's AdamW would leave it out of a step.
            return torch.stack(rows) + 0.0 * sum(each.sum() for each in tokens)
        specialists = list(range(count)) if self.is_original else list(range(count - 1))
        rows = []
        for image in range(len(tokens[0])):
            chosen = specialists
            if self.chosen_only:
                order = weights[image, specialists].topk(min(self.top_k, len(specialists))).indices.tolist()
                chosen = sorted(specialists[i] for i in order)
            scale = weights[image, chosen].softmax(-1)
            rows.append(torch.cat([scale[i] * tokens[e][image] for i, e in enumerate(chosen)]))
        return self.cross_attn(tokens[-1], torch.stack(rows))

    def forward(self, pixel_values):
        tokens, weights = self.features(pixel_values), self.weights(pixel_values)
        if self.kind == "pep":
            return self.fuse([projector(each) for projector, each in zip(self.projectors, tokens)], weights)
        return self.projector(self.fuse(tokens, weights))


class MultimodalModel(parity.MultimodalModel):
    def __init__(self, llm_config, mixture):
        nn.Module.__init__(self)
        self.model = parity.AutoModelForCausalLM.from_config(llm_config, dtype=torch.float32)
        self.modalities_with_projection = nn.ModuleList([mixture])

    def train_only(self, mode):
        llm, vision, projector = {"ALIGNMENT": (0, 0, 1), "END2END": (1, 0, 1), "FULL": (1, 1, 1)}[mode]
        for name, parameter in self.named_parameters():
            if name.startswith("model."):
                parameter.requires_grad_(bool(llm))
            else:
                is_projector = any(part in name for part in (".projector.", ".projectors.", ".cross_attn."))
                parameter.requires_grad_(bool(projector if is_projector else vision))


class Case(parity.Case):
    """The samples of the second case with a mixture in the place of its encoder."""

    def __init__(self, kind, fusion, behaviour, **options):
        self.setting = (kind, fusion, behaviour)
        self.options = options
        super().__init__(CASE_TWO)

    @property
    def num_embeddings(self):
        kind, fusion, behaviour = self.setting
        count = len(SHARED) if behaviour == "original" else self.options.get("top_k", TOP_K)
        return 16 * (count if fusion == "sequence_append" else 1)

    @num_embeddings.setter
    def num_embeddings(self, _):
        pass

    @property
    def processor(self):
        return CLIPImageProcessorPil.from_pretrained(FOLDER / "experts" / "general")

    @processor.setter
    def processor(self, _):
        pass

    def build_model(self):
        kind, fusion, behaviour = self.setting
        mixture = Mixture(kind, fusion, behaviour, self.llm_config.hidden_size, **self.options)
        model = MultimodalModel(self.llm_config, mixture)
        llm = {name: t for name, t in load_file(self.checkpoint / "model.safetensors").items() if name.startswith("model.")}
        model.load_state_dict(llm | {"modalities_with_projection.0." + name: t for name, t in mixture_weights(kind, fusion).items()})
        return model.eval()


def part_weights(parts):
    """The tensors of experts and gate, as below a mixture's prefix in a checkpoint."""
    tensors = {}
    for number, folder in enumerate(parts.experts):
        for key, tensor in load_file(folder / "model.safetensors").items():
            key = key.removeprefix("vision_model.")
            if key.startswith(("embeddings.", "encoder.", "pre_layrnorm.", "post_layernorm.")) and "position_ids" not in key:
                tensors[f"experts.{number}.{key}"] = tensor
    return tensors | {"gating_network." + key: t for key, t in load_file(parts.gate / "model.safetensors").items()}


def mixture_weights(kind, fusion):
    """The tensors of a mixture, as below its prefix in a checkpoint."""
    tensors = part_weights(PARTS[kind])
    for key, tensor in load_file(FOLDER / "fusion.safetensors").items():
        if key.startswith(kind + ".") and (fusion == "cross_attn" or ".cross_attn." not in key):
            tensors[key.removeprefix(kind + ".")] = tensor
    return tensors


def make_fusion_weights(hidden_size, generator):
    tensors = {}
    for kind in KINDS:
        mixture = Mixture(kind, "cross_attn", "correct", hidden_size)
        for name in ("projector", "projectors", "cross_attn"):
            if hasattr(mixture, name):
                part = getattr(mixture, name)
                randomise(part, generator)
                tensors |= {f"{kind}.{name}.{key}": tensor.detach() for key, tensor in part.state_dict().items()}
    save_file(tensors, FOLDER / "fusion.safetensors")


# -------------------------------------------------------------------------------------------------------------- expected


def stated(tensor):
    flat = tensor.detach().double().flatten()
    return [flat.norm().item(), (flat * torch.arange(len(flat), dtype=torch.float64).cos()).sum().item()]


RECIPE = {
    "seed": 4,
    "training_args": {
        "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "max_steps": STEPS, "seed": 13, "learning_rate": 0.002,
        "lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 0.0002}, "weight_decay": 0.01, "max_grad_norm": 1.0,
    },
}  # fmt: skip


def expectations(case):
    model = case.build_model()
    batch = case.collate(BATCH)
    mixture = model.modalities_with_projection[0]
    with torch.no_grad():
        projected, result = mixture(batch["pixel_values"]), model(batch, case.attachment_id)
    out = {"embeddings_per_image": case.num_embeddings, "projected": parity.digest(projected) | {"stated": stated(projected)}}
    out["loss"] = result.loss.item()
    ends = [row.sum().item() - 1 for row in batch["attention_mask"]]
    out["last_logits"] = stated(torch.stack([logits[end] for logits, end in zip(result.logits, ends)]))
    model.train_only("FULL")
    model(batch, case.attachment_id).loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    out["gradients"] = {name: stated(gradient) for name, gradient in gradients.items()}
    return out


def trajectory(case, mode, total):
    found = parity.train(case, RECIPE | {"training_mode": mode})
    keys = ("batches", "micro_losses", "step_losses", "learning_rates_logged", "grad_norms_before_clipping")
    return {key: found[key] for key in keys} | {"final_norms": {n: v["norm"] for n, v in found["final_parameters"].items()}}


def packed(expected):
    """Names once, for all mixtures."""
    names = sorted({name for each in expected["mixtures"].values() for name in each["gradients"]})
    number = {name: i for i, name in enumerate(names)}
    for each in expected["mixtures"].values():
        each["gradients"] = [[number[name], *values] for name, values in each["gradients"].items()]
        for run in each.get("trajectory", {}).values():
            run["final_norms"] = [[number[name], norm] for name, norm in run["final_norms"].items()]
    return {"tensors": names} | expected


def main():
    torch.set_num_threads(1)  # sums in one fixed order
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    generator = torch.Generator().manual_seed(21)
    torch.manual_seed(21)
    make_experts(generator)
    make_gate(FOLDER / "gate", CLASSES, "experts/general", generator)
    hidden_size = parity.Case(CASE_TWO).llm_config.hidden_size
    make_fusion_weights(hidden_size, generator)

    expected = {"batch": BATCH, "experts": {"shared": SHARED, "pep": PEP}, "heads": HEADS, "top_k": TOP_K, "recipe": RECIPE, "mixtures": {}}
    for kind in KINDS:
        case = Case(kind, "weighted_average", "correct")
        mixture = case.build_model().modalities_with_projection[0]
        with torch.no_grad():
            pixels = case.collate(BATCH)["pixel_values"]
            widest = max(mixture.widths)
            features = torch.stack([functional.pad(each, (0, widest - each.shape[-1])) for each in mixture.features(pixels)], 1)
            expected["features_" + kind] = parity.digest(features) | {"stated": stated(features)}
            expected["gate_weights"] = mixture.weights(pixels).tolist()
        for fusion in FUSIONS:
            for behaviour in ("correct", "original"):
                case = Case(kind, fusion, behaviour)
                found = expectations(case)
                if behaviour == "correct":
                    found["trajectory"] = {mode: trajectory(case, mode, found) for mode in ("ALIGNMENT", "END2END")}
                expected["mixtures"][f"{kind} {fusion} {behaviour}"] = found
                print(kind, fusion, behaviour, found["loss"])
            if fusion != "sequence_append":
                found = expectations(Case(kind, fusion, "correct", experts="top_k"))
                expected["mixtures"][f"{kind} {fusion} top_k"] = found
    text = json.dumps(parity.rounded(packed(expected)), separators=(",", ":"))
    (FOLDER / "expected.json").write_text(text.replace('"shared ', '\n"shared ').replace('"pep ', '\n"pep ') + "\n")


if __name__ == "__main__":
    main()
