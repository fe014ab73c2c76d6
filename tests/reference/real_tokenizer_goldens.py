"""Writes tests/data/text/real_tokenizers.json: ids that the published tokenizers of Qwen3 and Llama-3.1 give to awkward strings; and
real_qwen3.json, real_llama3_1.json: digests of the conversations of text_goldens.py through their own chat templates (chat_corpus.py).
Does nothing where fetch_tokenizers.sh has not fetched them.

Made with Python 3.11, transformers 5.17, tokenizers 0.23.3.
Run: python real_tokenizer_goldens.py
"""

import json
import pathlib
import random

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from chat_corpus import EMBEDDINGS, IMAGE, TODAY, conversations, goldens, write_golden

ROOT = pathlib.Path(__file__).parent.parent.parent
FOLDER = ROOT / ".deps/tokenizers"
random.seed(11)

WORDS = """the lung shows a nodule don't it's I'm WE'RE 12345 3.14 1,000,000 foo_bar __init__ x=y+z; <|im_start|> <|im_end|> <|eot_id|>
<think> </think> <|endoftext|> <|begin_of_text|> <|reserved_special_token_0|> T1/T2-weighted (FLAIR) 5mm² [CT]""".split()
FOREIGN = ["Größe ≈ 3,5 µm", "Поражение печени", "肺に結節があります。", "肺部可见结节，大小约３ｍｍ", "رئة سليمة بدون عقيدات", "הריאה תקינה",
           "ปอดปกติไม่มีก้อน", "한국어 폐 결절", "हिन्दी फेफड़ा", "👩‍⚕️🩻", "👨‍👩‍👧‍👦", "🏳️‍🌈🇨🇭", "e\u0301a\u0308", "½ ﬁ ™ Å", "ẛ̣", "𝕳𝖊𝖑𝖑𝖔", "\u0000\u0001\u001f", "\u200b\u200d\ufeff",
           "\r\n\r\n", "\t\t  x", "   ", "\n\n\n", "a\u00a0b\u2003c", "\U0010ffff\U00100000"]
BLOCKS = [(32, 126), (0xA0, 0x24F), (0x370, 0x3FF), (0x4E00, 0x9FFF), (0x600, 0x6FF), (0xE00, 0xE7F), (0x1F300, 0x1FAFF), (0x300, 0x36F)]


def noise():
    return "".join(chr(random.randint(*random.choice(BLOCKS))) for _ in range(random.randint(1, 6)))


def with_places(template, *places):
    """The template with «...» put around what the assistant writes: each (old, new) replaces all of its occurrences."""
    for old, new in places:
        assert old in template, old
        template = template.replace(old, new)
    return template


def qwen3(template):
    """The tags of a thought are the assistant's where its message has a thought."""
    header, body = "{{- '<|im_start|>' + message.role + '\\n' }}", "«{{- content }}»"
    thought, rest = "'<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n'", "content.lstrip('\\n')"
    assistant, tool = template.split('{%- elif message.role == "assistant" %}')[1].split('{%- elif message.role == "tool" %}')
    marked = with_places(
        "{%- elif message.role == \"assistant\" %}" + assistant,
        ("{{- '<|im_start|>' + message.role + '\\n' + content }}", header + body),
        ("{{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}",
         header + "{%- if '</think>' in message.content %}«{{- " + thought + " + " + rest + " }}»{%- else %}{{- " + thought + " }}«{{- " + rest + " }}»{%- endif %}"),
        ("{{- '<|im_end|>\\n' }}", "«{{- '<|im_end|>' }}»{{- '\\n' }}"))
    return template.split('{%- elif message.role == "assistant" %}')[0] + marked + '{%- elif message.role == "tool" %}' + tool


LLAMA = """{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}{% if message['role'] == 'assistant' %}«{{-
message['content'] | trim + '<|eot_id|>' }}»{% else %}{{ message['content'] | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"""
HEADER = "<|start_header_id|>{}<|end_header_id|>"
CHATS = {
    "qwen3": ("qwen3", qwen3, [("<|im_start|>system", "<|im_end|>\n"), ("<|im_start|>user", "<|im_end|>\n")]),
    "llama3_1": ("llama", lambda template: LLAMA, [(HEADER.format("system"), "<|eot_id|>"), (HEADER.format("user"), "<|eot_id|>")]),
}


def write_chats(name):
    kind, generation, masked = CHATS[name]
    fast = PreTrainedTokenizerFast.from_pretrained(FOLDER / name)
    fast.add_special_tokens({"additional_special_tokens": [IMAGE]})
    head = {"attachment_token_id": fast.convert_tokens_to_ids(IMAGE), "embeddings_per_image": EMBEDDINGS, "tokenizer_type": kind, "today": TODAY}
    _, digests = goldens(fast, fast.chat_template, masked, conversations(), 0, generation(fast.chat_template))
    write_golden(ROOT / f"tests/data/text/real_{name}.json", head, [], digests)


def main():
    names = [name for name in ("qwen3", "llama3_1") if (FOLDER / name / "tokenizer.json").exists()]
    if len(names) < 2:
        print("no published tokenizers below .deps/tokenizers: nothing written")
        return
    strings = ["", " ", "a"] + FOREIGN + WORDS
    while len(strings) < 300:
        parts = [random.choice([random.choice(WORDS), random.choice(WORDS), random.choice(FOREIGN), noise()]) for _ in range(random.randint(1, 6))]
        strings.append(random.choice([" ", " ", "", "  ", "\n"]).join(parts))
    ids = {}
    for name in names:
        tokenizer = Tokenizer.from_file(str(FOLDER / name / "tokenizer.json"))
        ids[name] = [tokenizer.encode(text, add_special_tokens=False).ids for text in strings]
    rows = [json.dumps({"text": text, **{name: ids[name][i] for name in names}}, ensure_ascii=True, separators=(",", ":")) for i, text in enumerate(strings)]
    (ROOT / "tests/data/text/real_tokenizers.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
    for name in names:
        write_chats(name)


main()
