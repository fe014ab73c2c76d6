"""open_clip models of BiomedCLIP's kind in any size: a VisionTransformer of timm's as visual.trunk, a linear head, a text tower, a scale."""

import json

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from timm.models.vision_transformer import VisionTransformer
from torch import nn

PREPROCESS = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
PROJECTION = 12


def build(sizes):
    """`sizes`: VisionTransformer's arguments."""
    text = {"context_length": 8, "vocab_size": 40, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.model.CustomTextCLIP(PROJECTION, {"timm_model_name": "test_vit", "image_size": 160, "timm_pool": ""}, text)
    model.visual.trunk = VisionTransformer(num_classes=0, **sizes)
    model.visual.head = nn.Sequential()
    model.visual.head.add_module("proj", nn.Linear(sizes["embed_dim"], PROJECTION, bias=False))
    return model.eval()


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_folder(folder, model, sizes):
    """The files of the hub's repository: open_clip's configuration and weights, and the wrapper's configuration beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    vision = {"timm_model_name": "vit_base_patch16_224", "timm_model_pretrained": False, "timm_pool": "", "timm_proj": "linear"}
    model_cfg = {"embed_dim": PROJECTION, "vision_cfg": vision | {"image_size": sizes["img_size"]}, "text_cfg": {"context_length": 8}}
    write_json(folder / "open_clip_config.json", {"model_cfg": model_cfg, "preprocess_cfg": PREPROCESS})
    wrapper = {"image_size": sizes["img_size"], "patch_size": sizes["patch_size"], "width": sizes["embed_dim"], "heads": sizes["num_heads"]}
    write_json(folder / "config.json", {"model_type": "biomedclip", "vision_cfg": wrapper})
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")


class Encoder:
    """What such a folder says."""

    def __init__(self, folder):
        config = json.loads((folder / "open_clip_config.json").read_text())
        wrapper = json.loads((folder / "config.json").read_text())["vision_cfg"]
        state = torch.load(folder / "open_clip_pytorch_model.bin", weights_only=True)
        depth = sum(name.endswith(".norm1.weight") for name in state)
        self.width, size, patch = wrapper["width"], wrapper["image_size"], wrapper["patch_size"]
        self.sizes = {"img_size": size, "patch_size": patch, "embed_dim": self.width, "depth": depth, "num_heads": wrapper["heads"]}
        self.num_patches = (size // patch) ** 2
        self.transform = image_transform_v2(PreprocessCfg(size=size, **config["preprocess_cfg"]), is_train=False)

    def build(self):
        return build(self.sizes)

    def processor(self, image, return_tensors):
        return {"pixel_values": [self.transform(image.convert("RGB"))]}
