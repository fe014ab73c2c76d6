#!/usr/bin/env python3
"""Makes tests/data/cookbook: what ten optimizer steps of each of the cookbook's twenty recipes come out as, in tiny.

    cookbook_goldens.py

The recipes are the shipped files (recipes/sft) with the few overrides that expected.json lists. The models and data sets that they name are
found under their names: `hub` says which folder below tests/data stands for which id, `data` which rows of case_two's samples make which
data set. Here are tiny Llama 3.1, Apertus and Qwen3 with their tokenizers and chat templates, a fifth expert and a gate of five classes;
the other encoders are those of case_two, case_biomedclip and mixture. Stage 1 starts from these parts, with projectors and rows of the
embedding that are drawn as the program draws them; stage 2 starts from where stage 1 ends. A tensor is stated as in mixture_goldens.py.
"""

import json
import shutil
from pathlib import Path

import biomedclip
import llm_goldens
import mixture_goldens
import parity
import torch
import transformers
import yaml
from case_two import ATTACHMENT
from datasets import load_from_disk
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoTokenizer, CLIPConfig, CLIPImageProcessorPil

DATA = Path(__file__).resolve().parent.parent / "data"
RECIPES = DATA.parent.parent / "recipes" / "sft"
FOLDER = DATA / "cookbook"
STEPS = 10
LLAMA, APERTUS, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "swiss-ai/Apertus-8B-Instruct-2509", "Qwen/Qwen3-4B-Instruct-2507"
HUB = {
    LLAMA: "cookbook/llama",
    APERTUS: "cookbook/apertus",
    QWEN: "cookbook/qwen3",
    "openai/clip-vit-large-patch14": "case_two/vision/clip",
    "openai/clip-vit-base-patch32": "mixture/experts/general",
    "michel-ducartier/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224": "case_biomedclip/vision/biomedclip",
    "ClosedMeditron/clip-vit-base-patch32": "mixture/experts/general",
    "ClosedMeditron/MedExpert-CT": "mixture/experts/ct",
    "ClosedMeditron/MedExpert-MRI": "mixture/experts/mri",
    "ClosedMeditron/MedExpert-Ultrasound": "cookbook/ultrasound",
    "ClosedMeditron/MedExpert-Xray": "mixture/experts/xray",
    "ClosedMeditron/MultiMeditron-Gating": "cookbook/gate",
}
# As the published gate has them: paths of the experts, in another order than the recipes', one of them a checkpoint in its run.
CLASSES = ["ClosedMeditron/MedExpert-CT", "ClosedMeditron/clip-vit-base-patch32", "experts/MedExpert-MRI"]
CLASSES += ["experts/MedExpert-Ultrasound/checkpoint-4350", "ClosedMeditron/MedExpert-Xray"]
CLASS_OF = [0, 2, 3, 4, 1]
# Rows of case_two, some without an image.
ROWS = {
    "llava_pretrain_cleaned": [1, 4], "pixmo_anything": [5, 6], "pixmo_cap": [2, 7], "medtrinity_conversations_1_formatted_alignment": [8, 10, 11],
    "llava_instruct": [13, 12], "medtrinity_conversations_1": [14, 16], "medtrinity_conversations_2": [17, 18], "BUSI": [19],
    "COVID_US": [20, 21], "ct2": [1, 3], "iu_xray": [4], "PMC_VQA_FULL": [5, 6], "medtrinity_conversations_1_formatted": [7, 8],
    "medtrinity_conversations_2_formatted": [10], "image_mammoth": [11, 15],
}  # fmt: skip

# As in the published models: grouped heads; heads that make up the width (Llama, Apertus) or not (Qwen3); Llama's tokenizer knows the
# attachment token, Apertus's embedding grows by it, Qwen3's has rows to spare, which are cut off.
LLMS = {
    "llama": {"model_type": "llama", "hidden_size": 32, "intermediate_size": 56, "num_attention_heads": 4, "num_key_value_heads": 1,
              "rms_norm_eps": 1e-5, "rope_parameters": llm_goldens.LLAMA3 | {"factor": 8.0, "original_max_position_embeddings": 64}},
    "apertus": {"model_type": "apertus", "hidden_size": 24, "intermediate_size": 60, "num_attention_heads": 4, "num_key_value_heads": 2,
                "rms_norm_eps": 1e-5, "hidden_act": "xielu", "pad_token_id": 3,
                "rope_parameters": llm_goldens.LLAMA3 | {"factor": 8.0, "rope_theta": 1200.0, "original_max_position_embeddings": 48}},
    "qwen3": {"model_type": "qwen3", "hidden_size": 20, "intermediate_size": 52, "num_attention_heads": 4, "num_key_value_heads": 2,
              "head_dim": 8, "tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 5000000.0}},
}  # fmt: skip
SPARE_ROWS = {"llama": 0, "apertus": 0, "qwen3": 9}
STAGES = {"ALIGNMENT": "stage1_alignment.yaml", "END2END": "stage2_end2end.yaml"}
RATES = {"ALIGNMENT": 0.001, "END2END": 0.0005}  # that move something in ten steps


# ---------------------------------------------------------------------------------------------------------------- files


def make_llm(kind, seed):
    folder, source = FOLDER / kind, DATA / "text" / kind
    tokenizer = AutoTokenizer.from_pretrained(source)
    values = LLMS[kind] | {"num_hidden_layers": 2, "max_position_embeddings": 4096, "vocab_size": len(tokenizer) + SPARE_ROWS[kind]}
    values |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    llm_goldens.make_model(folder, values, seed, as_transformers_4=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(source / name, folder / name)
    if kind == "llama":  # Llama 3.1's template, unlike 3.2's, does not ask for the day
        template = folder / "chat_template.jinja"
        template.write_text(template.read_text().replace('strftime_now("%d %b %Y")', '"26 Jul 2024"'))
        assert "strftime" not in template.read_text()


def make_files():
    generator = torch.Generator().manual_seed(31)
    torch.manual_seed(31)
    for seed, kind in enumerate(LLMS):
        make_llm(kind, 41 + seed)
    mixture_goldens.make_expert(FOLDER / "ultrasound", mixture_goldens.clip_config(16, 1, "quick_gelu"), generator, without_text=True)
    mixture_goldens.make_gate(FOLDER / "gate", CLASSES, "openai/clip-vit-base-patch32", generator)


# -------------------------------------------------------------------------------------------------------------- recipes


def hub(name):
    return DATA / HUB[name]


def overridden(recipe, overrides):
    for override in overrides:
        path, value = override.split("=", 1)
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
        place = recipe
        for parent in parents:
            place = place[parent]
        place[last] = yaml.safe_load(value)
    return recipe


def read_recipe(file):
    """(overrides, the recipe with them and with the defaults that count here)"""
    recipe = yaml.safe_load(file.read_text())
    arguments, modality = recipe["training_args"], recipe["modalities"][0]
    width, rate = LLMS[HUB[recipe["base_llm"]].split("/")[1]]["hidden_size"], RATES[recipe["training_mode"]]
    least = rate * float(arguments["lr_scheduler_kwargs"]["min_lr"]) / float(arguments["learning_rate"])
    least = f"{least:.12f}".rstrip("0")  # PyYAML takes 5e-05 for a string
    overrides = [f"token_size={width}", f"modalities.0.hidden_size={width}"]
    if modality.get("fusion_method") == "cross_attn":
        overrides.append("modalities.0.cross_attn_dropout=0")  # no two programs draw the same
    overrides += [f"training_args.learning_rate={rate}", f"training_args.lr_scheduler_kwargs.min_lr={least}", "training_args.bf16=false"]
    overrides += [f"training_args.max_steps={STEPS}", "training_args.gradient_accumulation_steps=2", "training_args.dataloader_num_workers=2"]
    recipe = overridden({"seed": 0} | recipe | {"training_args": {"seed": 42} | arguments}, overrides)
    return overrides, recipe


# ---------------------------------------------------------------------------------------------------------------- model


def drawn(shape, generator):
    return torch.normal(0.0, 0.02, shape, generator=generator, dtype=torch.float32)


@torch.no_grad()
def draw(module, seed):
    """A projector's or cross attention's first weights: linear after linear from one generator."""
    generator = torch.Generator().manual_seed(seed)
    for linear in (each for each in module.modules() if isinstance(each, nn.Linear)):
        linear.weight.copy_(drawn(linear.weight.shape, generator))
        linear.bias.zero_()


class Case(parity.Case):
    """The model that a recipe of stage 1 names, and the samples of the stage at work."""

    def __init__(self, recipe):
        entry, seed = recipe["modalities"][0], recipe["seed"]
        self.tokenizer_type = recipe["tokenizer_type"]
        self.tokenizer = AutoTokenizer.from_pretrained(hub(recipe["base_llm"]))
        self.attachment = recipe["attachment_token"]
        self.tokenizer.add_special_tokens({"extra_special_tokens": [self.attachment]})
        self.attachment_id = self.tokenizer.convert_tokens_to_ids(self.attachment)
        self.llm_config = AutoConfig.from_pretrained(hub(recipe["base_llm"]), attn_implementation="eager")
        self.llm_config.vocab_size = len(self.tokenizer)
        self.state = None
        self.read_modality(entry)
        model = self.build_model()
        self.load_parts(model, recipe, entry, seed)
        self.state = model.state_dict()

    def read_modality(self, entry):
        kind, clip = entry["model_type"], hub(entry.get("clip_name", "ClosedMeditron/clip-vit-base-patch32"))
        if kind == "meditron_biomedclip":
            encoder = biomedclip.Encoder(clip)
            self.processor, self.num_embeddings = encoder.processor, encoder.num_patches
            self.new_model = lambda: parity.MultimodalModel(self.llm_config, encoder)
            return
        if kind == "meditron_clip":
            encoder = CLIPConfig.from_pretrained(clip, attn_implementation="eager")
            self.processor = CLIPImageProcessorPil.from_pretrained(clip)
            self.num_embeddings = (encoder.vision_config.image_size // encoder.vision_config.patch_size) ** 2
            self.new_model = lambda: parity.MultimodalModel(self.llm_config, encoder)
            return
        kind, fusion, top_k = {"moe_meditron_clip": "shared", "moe_meditron_clip_pep": "pep"}[kind], entry["fusion_method"], entry["top_k_experts"]
        parts = mixture_goldens.Parts([hub(name) for name in entry["expert_clip_names"]], hub(entry["gating_path"]), CLASS_OF, heads=8)
        assert entry["generalist_idx"] % len(parts.experts) == len(parts.experts) - 1  # where Mixture has it
        self.processor = CLIPImageProcessorPil.from_pretrained(hub(entry["image_processor"]))
        self.num_embeddings = 16 * (top_k if fusion == "sequence_append" else 1)

        def new_model():
            mixture = mixture_goldens.Mixture(kind, fusion, "correct", self.llm_config.hidden_size, top_k, parts=parts)
            return mixture_goldens.MultimodalModel(self.llm_config, mixture)

        self.new_model = new_model

    def load_parts(self, model, recipe, entry, seed):
        """A model as it is before stage 1."""
        state = {"model." + name: t.float() for name, t in load_file(hub(recipe["base_llm"]) / "model.safetensors").items()}
        for number, name in enumerate(("model.model.embed_tokens.weight", "model.lm_head.weight"), 1):
            if name in state:
                generator, rows = torch.Generator().manual_seed(seed + number), state[name][: len(self.tokenizer)]
                if len(rows) < len(self.tokenizer):
                    rows = torch.cat([rows, drawn((len(self.tokenizer) - len(rows), rows.shape[1]), generator)])
                state[name] = rows
        modality = model.modalities_with_projection[0]
        prefix = "modalities_with_projection.0."
        if entry["model_type"] == "meditron_biomedclip":
            tensors = torch.load(hub(entry["clip_name"]) / "open_clip_pytorch_model.bin", weights_only=True)
            tensors = {"feature_extractor." + name: t.float() for name, t in tensors.items()}
        elif entry["model_type"] == "meditron_clip":
            tensors = {"feature_extractor." + name: t for name, t in load_file(hub(entry["clip_name"]) / "model.safetensors").items()}
        else:
            tensors = mixture_goldens.part_weights(modality.parts)
        missing, unexpected = model.load_state_dict(state | {prefix + name: t for name, t in tensors.items()}, strict=False)
        for number, projector in enumerate(modality.projectors if hasattr(modality, "projectors") else [modality.projector]):
            draw(projector, seed + 10 * number)
        if hasattr(modality, "cross_attn"):
            draw(modality.cross_attn, seed + 5)
        missing = [name for name in missing if ".projector" not in name and ".cross_attn." not in name]
        assert not unexpected and missing == (["model.lm_head.weight"] if self.llm_config.tie_word_embeddings else []), (missing, unexpected)

    def build_model(self):
        """The model of the state reached so far; it is kept, so that what trains it can be read."""
        self.model = self.new_model()
        if self.state is not None:
            self.model.load_state_dict(self.state)
        self.model.model.tie_weights()
        return self.model.eval()

    def open_data(self, recipe, rows):
        names = [Path(entry["packed_path"]).name for entry in recipe["datasets"]]
        self.samples = [self.read_sample(rows[row]) for name in names for row in ROWS[name]]

    def run(self, recipe):
        """Trains by the recipe from the state reached so far, and states what came of it."""
        found = parity.train(self, recipe)
        final = {name: p.detach() for name, p in self.model.named_parameters() if name in found["final_parameters"]}
        self.state = self.state | final
        if self.llm_config.tie_word_embeddings:
            self.state["model.lm_head.weight"] = self.state["model.model.embed_tokens.weight"]
        # The true gradient of a key bias is zero; what rounding makes of it has AdamW walk at random: nothing to compare.
        stated = {name: mixture_goldens.stated(t) for name, t in final.items() if not name.endswith("cross_attn.k_proj.bias")}
        keys = ("batches", "micro_losses", "step_losses", "learning_rates_logged", "grad_norms_before_clipping")
        return {key: found[key] for key in keys} | {"final": stated}


def expectations(directory, rows):
    out, case = {}, None
    for mode, file in STAGES.items():
        overrides, recipe = read_recipe(RECIPES / directory / file)
        assert recipe["training_mode"] == mode and recipe["attachment_token"] == ATTACHMENT
        case = case or Case(recipe)
        case.open_data(recipe, rows)
        output = recipe["training_args"]["output_dir"].removeprefix("$MODEL_ROOT/").removesuffix("/")
        out[mode] = {"file": file, "overrides": overrides, "output": output} | case.run(recipe)
        losses = out[mode]["step_losses"]
        longest = max(len(sample["input_ids"]) for sample in case.samples)
        print(f"{directory} {mode}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, {len(case.samples)} samples of up to {longest} tokens")
    return out


def packed(expected):
    """Names of tensors once, for all recipes."""
    stages = [stage for recipe in expected["recipes"].values() for stage in recipe.values()]
    names = sorted({name for stage in stages for name in stage["final"]})
    number = {name: i for i, name in enumerate(names)}
    for stage in stages:
        stage["final"] = [[number[name], *values] for name, values in stage["final"].items()]
    return expected | {"tensors": names}


def main():
    torch.set_num_threads(1)  # sums in one fixed order
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    make_files()
    rows = list(load_from_disk(DATA / "case_two" / "data" / "arrow"))
    directories = sorted(str(file.parent.relative_to(RECIPES)) for file in RECIPES.rglob(STAGES["ALIGNMENT"]))
    assert len(directories) == 10
    expected = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__}, "hub": HUB, "data": ROWS}
    expected["recipes"] = {directory: expectations(directory, rows) for directory in directories}
    text = json.dumps(parity.rounded(packed(expected)), separators=(",", ":"))
    for mark in ('"moe/', '"single_clip/', '"END2END"', '"tensors"'):
        text = text.replace(mark, "\n" + mark)
    (FOLDER / "expected.json").write_text(text + "\n")
    for file in FOLDER.rglob("*.safetensors"):
        file.chmod(0o644)


if __name__ == "__main__":
    main()
