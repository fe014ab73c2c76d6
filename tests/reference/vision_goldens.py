#!/usr/bin/env python3
"""Makes tests/data/vision: what transformers' CLIP and ViT and open_clip's timm towers make of images, features and gradients by name.

    vision_goldens.py

Weights and images are computed from names and numbers (`drawn`), here and in the test alike, so that none need be stored. Each entry of
goldens.json has a tower's configuration, its features, and for each of its tensors the gradient of a fixed sum of the features.
`biomedclip` is a whole tiny folder as open_clip reads it, with weights as .bin; `vit` the same tower as transformers' ViTModel has it.
"""

import json
import shutil
import zlib
from pathlib import Path

import biomedclip
import numpy
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTModel

FOLDER = Path(__file__).resolve().parent.parent / "data" / "vision"
torch.set_num_threads(1)


def drawn(name, shape):
    """Numbers in [-1, 1) that depend on the name and the place: splitmix64 of both."""
    count = int(numpy.prod(shape, dtype=numpy.int64))
    with numpy.errstate(over="ignore"):
        z = (numpy.uint64(zlib.crc32(name.encode())) << numpy.uint64(32)) + numpy.arange(1, count + 1, dtype=numpy.uint64)
        z *= numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    return torch.from_numpy(((z >> numpy.uint64(40)).astype(numpy.float64) / 2**23 - 1).astype(numpy.float32)).reshape(shape)


def weight(name, shape):
    """Norms near 1, small biases, products that keep their scale."""
    value = drawn(name, shape)
    if len(shape) == 0:
        return 2 + value
    if name.endswith("bias"):
        return 0.1 * value
    if len(shape) == 1 and "class_embedding" not in name:
        return 1 + 0.2 * value
    if any(part in name for part in ("class_embedding", "cls_token", "pos_embed", "position_embedding")):
        return 0.5 * value
    return value * (3 / (value.numel() / shape[0])) ** 0.5


def fill(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weight(name, parameter.shape))
    return model.eval()


def digest(tensor, count=4):
    flat = tensor.detach().float().flatten()
    places = numpy.linspace(0, len(flat) - 1, min(count, len(flat))).astype(int).tolist()
    return {"norm": flat.double().norm().item(), "largest": flat.abs().max().item(), "places": places, "values": flat[places].tolist()}


def golden(kind, config, tower, image_size, features_of):
    pixels = 2 * drawn("pixels", (3, 3, image_size, image_size))
    features = features_of(pixels)
    (features * drawn("direction", features.shape)).sum().backward()
    gradients = {name: digest(p.grad) for name, p in tower.named_parameters() if p.grad is not None}
    with torch.no_grad():
        narrow = features_of(pixels, torch.bfloat16)
    spread = ((narrow.float() - features).abs().max() / features.abs().max()).item()
    return {
        "kind": kind, "config": config, "image_size": image_size, "shape": list(features.shape), "features": digest(features, 40),
        "bf16_spread": spread, "gradients": gradients,
    }  # fmt: skip


CLIPS = {
    "vit_b_32": {"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 4, "image_size": 96, "patch_size": 32},
    "vit_b_16": {"hidden_size": 40, "intermediate_size": 160, "num_attention_heads": 5, "image_size": 64, "patch_size": 16},
    "vit_l_14": {"hidden_size": 48, "intermediate_size": 192, "num_attention_heads": 3, "image_size": 70, "patch_size": 14, "num_hidden_layers": 3},
    "laion": {"hidden_size": 36, "intermediate_size": 75, "num_attention_heads": 3, "image_size": 56, "patch_size": 14, "hidden_act": "gelu"},
}


def clip_goldens():
    for name, vision in CLIPS.items():
        vision = {"num_hidden_layers": 2, "hidden_act": "quick_gelu"} | vision
        config = {"model_type": "clip", "vision_config": vision, "text_config": {}}
        sizes = [vision["image_size"], vision["image_size"] + 2 * vision["patch_size"], vision["image_size"] - vision["patch_size"]]
        for image_size in sizes if name in ("vit_l_14", "vit_b_32") else sizes[:1]:
            clip = CLIPConfig(vision_config=vision, text_config={"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 10})
            clip._attn_implementation = "eager"
            tower = fill(CLIPModel(clip).vision_model)

            def features_of(pixels, dtype=None, tower=tower, image_size=image_size, own=vision["image_size"]):
                run = tower if dtype is None else type(tower)(tower.config).to(dtype).eval()
                if dtype is not None:
                    run.load_state_dict(tower.state_dict())
                return run(pixel_values=pixels.to(dtype or pixels.dtype), interpolate_pos_encoding=image_size != own).last_hidden_state[:, 1:]

            yield golden("clip", config, tower, image_size, features_of)


TIMMS = {
    "plain": {"img_size": 48, "patch_size": 16, "embed_dim": 48, "depth": 2, "num_heads": 3},
    "other": {"img_size": 40, "patch_size": 8, "embed_dim": 30, "depth": 3, "num_heads": 5, "mlp_ratio": 3.2},
}


def vit_config(model):
    return {
        "model_type": "timm_vit", "hidden_size": model.embed_dim, "intermediate_size": model.blocks[0].mlp.fc1.out_features,
        "num_hidden_layers": len(model.blocks), "num_attention_heads": model.blocks[0].attn.num_heads,
        "image_size": model.patch_embed.img_size[0], "patch_size": model.patch_embed.patch_size[0],
    }  # fmt: skip


def features_of_timm(tower):
    def features_of(pixels, dtype=None):
        tower.to(dtype or torch.float32)
        features = tower.forward_features(pixels.to(dtype or pixels.dtype))[:, tower.num_prefix_tokens :]
        tower.float()
        return features

    return features_of


def timm_goldens():
    for sizes in TIMMS.values():
        tower = fill(VisionTransformer(num_classes=0, **sizes))
        yield golden("timm", vit_config(tower), tower, sizes["img_size"], features_of_timm(tower))
    tower = fill(timm.create_model("test_vit", num_classes=0))
    yield golden("timm", vit_config(tower), tower, 160, features_of_timm(tower))


def vit_names(depth):
    """Names of a tower's tensors: timm's -> transformers' (a list: the parts of one tensor)."""
    names = {"cls_token": ["embeddings.cls_token"], "pos_embed": ["embeddings.position_embeddings"]}
    for kind in ("weight", "bias"):
        names[f"patch_embed.proj.{kind}"] = [f"embeddings.patch_embeddings.projection.{kind}"]
        names[f"norm.{kind}"] = [f"layernorm.{kind}"]
        for i in range(depth):
            names[f"blocks.{i}.attn.qkv.{kind}"] = [f"layers.{i}.attention.{part}_proj.{kind}" for part in "qkv"]
            parts = {"norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.o_proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
            names |= {f"blocks.{i}.{ours}.{kind}": [f"layers.{i}.{theirs}.{kind}"] for ours, theirs in parts.items()}
    return names


def to_vit(trunk, depth):
    """A timm tower's state in transformers' names."""
    state = {}
    for ours, theirs in vit_names(depth).items():
        state |= {name: part.clone() for name, part in zip(theirs, trunk[ours].chunk(len(theirs)))}
    return state


def vit_goldens():
    """transformers' ViTModel with the weights of a timm tower, other eps, positions interpolated."""
    config = {
        "model_type": "vit", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 48,
        "patch_size": 16, "layer_norm_eps": 1e-5,
    }  # fmt: skip
    twin = fill(VisionTransformer(num_classes=0, img_size=48, patch_size=16, embed_dim=32, depth=2, num_heads=4, mlp_ratio=2))
    for image_size in (48, 80):
        tower = ViTModel(ViTConfig(**{key: value for key, value in config.items() if key != "model_type"}), add_pooling_layer=False).eval()
        tower.load_state_dict(to_vit(twin.state_dict(), 2))

        def features_of(pixels, dtype=None, tower=tower, image_size=image_size):
            run = type(tower)(tower.config, add_pooling_layer=False).to(dtype or torch.float32).eval() if dtype else tower
            if dtype:
                run.load_state_dict(tower.state_dict())
            return run(pixel_values=pixels.to(dtype or pixels.dtype), interpolate_pos_encoding=image_size != 48).last_hidden_state[:, 1:]

        entry = golden("vit", config, tower, image_size, features_of)
        gradients = {name: parameter.grad for name, parameter in tower.named_parameters()}
        entry["gradients"] = {ours: digest(torch.cat([gradients[name] for name in theirs])) for ours, theirs in vit_names(2).items()}
        yield entry


BIOMEDCLIP = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}


def make_folders():
    """The same tower three times: open_clip's .bin; transformers' ViTModel in the spelling before version 5; and its dual encoder."""
    model = fill(biomedclip.build(BIOMEDCLIP))
    biomedclip.write_folder(FOLDER / "biomedclip", model, BIOMEDCLIP)
    state, sizes = model.state_dict(), BIOMEDCLIP
    vit = {
        "model_type": "vit", "hidden_size": sizes["embed_dim"], "intermediate_size": 4 * sizes["embed_dim"], "num_hidden_layers": sizes["depth"],
        "num_attention_heads": sizes["num_heads"], "image_size": sizes["img_size"], "patch_size": sizes["patch_size"], "layer_norm_eps": 1e-6,
    }  # fmt: skip
    converted = ViTModel(ViTConfig(**{k: v for k, v in vit.items() if k != "model_type"}), add_pooling_layer=False).eval()
    trunk = {name.removeprefix("visual.trunk."): value for name, value in state.items() if name.startswith("visual.trunk.")}
    new = to_vit(trunk, sizes["depth"])
    converted.load_state_dict(new)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 3} | {f"image_{key}": value for key, value in biomedclip.PREPROCESS.items()}
    converted.save_pretrained(FOLDER / "vit")  # in the old spelling, as the hub's repositories have it
    biomedclip.write_json(FOLDER / "vit" / "config.json", vit)
    biomedclip.write_json(FOLDER / "vit" / "preprocessor_config.json", processor)
    dual = FOLDER / "dual"
    dual.mkdir()
    biomedclip.write_json(dual / "config.json", {"model_type": "vision-text-dual-encoder", "vision_config": vit, "text_config": {"model_type": "bert"}, "projection_dim": 12})
    biomedclip.write_json(dual / "preprocessor_config.json", processor)
    tensors = {f"vision_model.{name}": value for name, value in new.items()}
    tensors |= {"visual_projection.weight": state["visual.head.proj.weight"], "logit_scale": state["logit_scale"], "text_model.embeddings.word": torch.zeros(3, 2)}
    save_file({name: value.contiguous() for name, value in tensors.items()}, dual / "model.safetensors", {"format": "pt"})
    pixels = drawn("pixels", (2, 3, 32, 32))
    with torch.no_grad():
        features = model.visual.trunk.forward_features(pixels)[:, 1:]
        assert torch.allclose(converted(pixel_values=pixels).last_hidden_state[:, 1:], features, atol=1e-5)
    return {"features": digest(features, 40), "shape": list(features.shape), "passengers": sorted(name for name in state if not name.startswith("visual.trunk."))}


def make_clip_bin():
    """A CLIPModel's folder as old repositories of the hub have it: pytorch_model.bin alone, position ids in it, sizes as numbers."""
    folder = FOLDER / "clip_bin"
    folder.mkdir()
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 16}
    text = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 12, "max_position_embeddings": 5}
    config = {"model_type": "clip", "projection_dim": 6, "vision_config": vision, "text_config": text}
    model = fill(CLIPModel(CLIPConfig(projection_dim=6, vision_config=vision, text_config=text | {"eos_token_id": 2, "bos_token_id": 1})))
    ids = {"vision_model.embeddings.position_ids": torch.arange(5).expand(1, -1), "text_model.embeddings.position_ids": torch.arange(5).expand(1, -1)}
    torch.save(model.state_dict() | ids, folder / "pytorch_model.bin")
    biomedclip.write_json(folder / "config.json", config)
    biomedclip.write_json(folder / "preprocessor_config.json", {"crop_size": 32, "size": 32, "feature_extractor_type": "CLIPFeatureExtractor"})


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    towers = [*clip_goldens(), *timm_goldens(), *vit_goldens()]
    text = ",\n".join(json.dumps(rounded(tower)) for tower in towers)
    (FOLDER / "goldens.json").write_text('{"biomedclip": ' + json.dumps(rounded(make_folders())) + ',\n"towers": [\n' + text + "\n]}\n")
    make_clip_bin()
    for file in FOLDER.rglob("*.safetensors"):
        file.chmod(0o644)


if __name__ == "__main__":
    main()
