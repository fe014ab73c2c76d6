"""Writes tests/data/text: small tokenizers of the three kinds (qwen3, llama, apertus under both names of its control tokens),
conversations, and for each tokenizer the rendered text, ids and what is learnt under both label rules.

The rules are implemented here on their own: `original` by comparing id lists; `assistant` by {% generation %} blocks in a copy of each
template, whose character ranges transformers reports. A token counts where it lies wholly inside such a range.

Made with Python 3.11, transformers 5.17, tokenizers 0.23.3, jinja2 3.1.
Run: python text_goldens.py [tests/data/text]
"""

import hashlib
import json
import pathlib
import random
import re
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data/text")
IMAGE = "<|reserved_special_token_0|>"
EMBEDDINGS = 3
TODAY = "2026-11-25"
random.seed(5)

WORDS = """the of in and with shows no is lung liver kidney heart brain nodule mass cyst lesion fracture effusion opacity left right
upper lower lobe acute chronic mild severe patient image CT MRI X-ray consistent follow-up normal margins density mm cm""".split()
FOREIGN = ["Größe ≈ 3,5 µm", "Поражение печени", "肺に結節", "肺部结节", "رئة سليمة", "הריאה תקינה", "ปอดปกติ", "👩‍⚕️🩻", "e\u0301 nfc", "½ ﬁ ™"]


def sentence(low=3, high=9):
    words = random.choices(WORDS, k=random.randint(low, high))
    if random.random() < 0.2:
        words.insert(random.randrange(len(words)), random.choice(FOREIGN))
    if random.random() < 0.2:
        words.append(str(random.randint(0, 99999)))
    return " ".join(words).capitalize() + random.choice([".", "?", "!", ".\n", " (?).", ";"])


CORPUS = [sentence() for _ in range(400)] + ["system user assistant developer", "I am a model."] * 20

QWEN_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA_SPLIT = QWEN_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)


def train(split, control, normalizer=None, control_first=False, non_special=()):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(split), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = control if control_first else []
    trainer = trainers.BpeTrainer(vocab_size=340 + len(specials), special_tokens=specials, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in non_special])
    return tokenizer


# ---- Templates. «...» stands around what the assistant writes; it becomes nothing, or {% generation %} for this script's own reading.

QWEN = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>assistant\\n' }}«{{- message.content + '<|im_end|>' }}»{{- '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""

LLAMA = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if message.role not in ['user', 'assistant', 'system'] %}
        {{- raise_exception("unknown role " + message.role) }}
    {%- endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {%- if message.role == 'assistant' %}«{{- message['content'] | trim + '<|eot_id|>' }}»
    {%- else %}{{- message['content'] | trim + '<|eot_id|>' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""

# Consecutive messages of the assistant share one turn, which is closed when another role speaks or the conversation ends.
APERTUS = """{{- bos_token }}
{%- set ns = namespace(open=false) %}
{%- if messages[0].role != 'system' %}{{- '<|system_start|>I am a model.<|system_end|>' }}{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- if not ns.open %}{{- '<|assistant_start|>' }}{%- set ns.open = true %}{%- endif %}
        «{{- message.content }}»
        {%- if loop.last or messages[loop.index].role != 'assistant' %}«{{- '<|assistant_end|>' }}»{%- set ns.open = false %}{%- endif %}
    {%- elif message.role in ['system', 'developer', 'user'] %}
        {{- '<|' + message.role + '_start|>' + message.content + '<|' + message.role + '_end|>' }}
    {%- else %}
        {{- raise_exception('unknown role ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant_start|>' }}{%- endif %}"""

OLD_NAMES = {f"<|{role}_{side}|>": f"<SPECIAL_{61 + 2 * i + j}>" for i, role in enumerate(["system", "developer", "user", "assistant"])
             for j, side in enumerate(["start", "end"])}


def old_apertus(template):
    body = template
    for new, old in OLD_NAMES.items():
        body = body.replace(new, old)
    starts = "{'system': '<SPECIAL_61>', 'developer': '<SPECIAL_63>', 'user': '<SPECIAL_65>'}[message.role]"
    ends = "{'system': '<SPECIAL_62>', 'developer': '<SPECIAL_64>', 'user': '<SPECIAL_66>'}[message.role]"
    return body.replace("'<|' + message.role + '_start|>'", starts).replace("'<|' + message.role + '_end|>'", ends)


def kinds():
    qwen_control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    qwen = train(QWEN_SPLIT, qwen_control, normalizers.NFC(), non_special=["<think>", "</think>"])
    qwen.post_processor = processors.ByteLevel(trim_offsets=False)
    yield dict(name="qwen3", type="qwen3", tokenizer=qwen, template=QWEN, config=dict(eos_token="<|im_end|>", pad_token="<|endoftext|>"),
               masked=[("<|im_start|>system", "<|im_end|>\n"), ("<|im_start|>user", "<|im_end|>\n")])

    llama_control = ["<|begin_of_text|>", "<|end_of_text|>", IMAGE, "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    llama = train(LLAMA_SPLIT, llama_control)
    begin = "<|begin_of_text|>"
    llama.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, llama.token_to_id(begin))]),
    ])
    header = "<|start_header_id|>{}<|end_header_id|>"
    yield dict(name="llama", type="llama", tokenizer=llama, template=LLAMA, config=dict(bos_token=begin, eos_token="<|eot_id|>"),
               masked=[(header.format("system"), "<|eot_id|>"), (header.format("user"), "<|eot_id|>")])

    for name, tokens, template in [("apertus", list(OLD_NAMES), APERTUS), ("apertus_old", list(OLD_NAMES.values()), old_apertus(APERTUS))]:
        apertus = train(LLAMA_SPLIT, ["<unk>", "<s>", "</s>", "<pad>"] + tokens, control_first=True)
        apertus.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                               special_tokens=[("<s>", apertus.token_to_id("<s>"))])
        yield dict(name=name, type="apertus", tokenizer=apertus, template=template,
                   config=dict(bos_token="<s>", eos_token=tokens[-1], pad_token="<pad>", unk_token="<unk>"),
                   masked=[(tokens[0], tokens[1]), (tokens[2], tokens[3]), (tokens[4], tokens[5])])


# ---- Conversations

CONTROL = ["<|im_start|>", "<|im_end|>", "<|im_end|>\n", "<|im_start|>assistant\n", "<|im_start|>user\n", "<|eot_id|>",
           "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|start_header_id|>user<|end_header_id|>\n\n", "<|assistant_start|>",
           "<|assistant_end|>", "<|user_start|>", "<|user_end|>", "<SPECIAL_67>", "<SPECIAL_68>", "<SPECIAL_65>", "<SPECIAL_66>"]


def conversations():
    made = []
    for i in range(66):
        messages = []
        if random.random() < 0.35:
            messages.append(["system", sentence()])
        if i % 11 == 10:
            messages.append(["developer", sentence()])
        for _ in range(random.choice([1, 1, 1, 2, 2, 3])):
            question, answer = sentence(), sentence()
            if random.random() < 0.5:
                question = random.choice([f"{IMAGE}\n{question}", f"{question} {IMAGE}", f"Look: {IMAGE} and {IMAGE}\n{question}"])
            messages += [["user", question], ["assistant", answer]]
        if i % 6 == 3:  # control tokens pasted into a message
            message = random.choice(messages)
            at = random.randint(0, len(message[1]))
            message[1] = message[1][:at] + random.choice(CONTROL) + message[1][at:]
        if i % 8 == 5:  # blanks around an answer
            messages[-1][1] = random.choice(["\n", " ", "  \n", "\t", "\u3000", "\n\n", "\x1c "]) + messages[-1][1] + random.choice(["", "  ", "\n\n", "\u2003"])
        if i % 13 == 7:
            messages[-1][1] = random.choice(["", " ", "\n"])
        if i % 17 == 4:  # an image in an answer
            messages[-1][1] += IMAGE
        if i % 9 == 8:  # two answers in a row
            messages.append(["assistant", sentence()])
        made.append([{"role": role, "content": content} for role, content in messages])
    made += [
        [{"role": "user", "content": "no answer"}],
        [{"role": "user", "content": "<think>lung</think> CT"}, {"role": "assistant", "content": "<think>\nmass?\n</think>\n\nNo mass."}],
        [{"role": "assistant", "content": "First."}, {"role": "user", "content": "Second?"}],
        [{"role": "user", "content": "a\u0001b\u0000c \\ \" ' {{ x }} {% y %}"}, {"role": "assistant", "content": "{{ messages }}"}],
    ]
    return made


# ---- The two rules

def find(ids, part, start=0):
    return next((i for i in range(start, len(ids) - len(part) + 1) if ids[i : i + len(part)] == part), None)


def learnt_original(ids, masked, encode):
    learnt = [True] * len(ids)
    for opening, closing in masked:
        left, right = encode(opening), encode(closing)
        start = find(ids, left)
        while start is not None:
            end = find(ids, right, start)
            stop = len(ids) if end is None else end + len(right)
            learnt[start:stop] = [False] * (stop - start)
            start = find(ids, left, start + 1)
    return learnt


def learnt_assistant(text, ranges, offsets):
    return [any(a <= s and e <= b and s < e for a, b in ranges) for s, e in offsets]


def expand(ids, learnt, image):
    out, mask, ranges = [], [], []
    for token, flag in zip(ids, learnt):
        if token == image:
            ranges.append([len(out), len(out) + EMBEDDINGS])
            out += [token] * EMBEDDINGS
            mask += [False] * EMBEDDINGS
        else:
            out.append(token)
            mask.append(flag)
    return out, mask, ranges


def runs(mask):
    """[start, end) of each run of learnt tokens."""
    edges = [i for i in range(len(mask) + 1) if (i > 0 and mask[i - 1]) != (i < len(mask) and mask[i])]
    return [list(pair) for pair in zip(edges[::2], edges[1::2])]


def squeeze(ids, image):
    """Ids with runs of placeholders left out of the file: the ranges tell them."""
    return [t for t in ids if t != image]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    talks = conversations()
    (OUT / "conversations.jsonl").write_text("".join(json.dumps({"messages": m}, ensure_ascii=False) + "\n" for m in talks))
    for kind in kinds():
        name, template = kind["name"], kind["template"]
        plain = re.sub("[«»]", "", template)
        marked = template.replace("«", "{%- generation %}").replace("»", "{%- endgeneration %}")
        folder = OUT / name
        fast = PreTrainedTokenizerFast(tokenizer_object=kind["tokenizer"], clean_up_tokenization_spaces=False, **kind["config"])
        fast.chat_template = plain
        folder.mkdir(exist_ok=True)
        # without blanks: the vocabularies are the larger part of these files
        for file, content in [("tokenizer.json", json.loads(fast.backend_tokenizer.to_str())),
                              ("tokenizer_config.json", dict(kind["config"], clean_up_tokenization_spaces=False, tokenizer_class="PreTrainedTokenizerFast"))]:
            (folder / file).write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
        (folder / "chat_template.jinja").write_text(plain)

        fast.add_special_tokens({"additional_special_tokens": [IMAGE]})
        image = fast.convert_tokens_to_ids(IMAGE)
        untrimmed = json.loads(fast.backend_tokenizer.to_str().replace('"trim_offsets":true', '"trim_offsets":false'))
        untrimmed = Tokenizer.from_str(json.dumps(untrimmed))
        encode = lambda text: fast.backend_tokenizer.encode(text, add_special_tokens=False).ids  # noqa: E731
        day, month, year = "25", "Nov", "2026"
        variables = dict(fast.special_tokens_map, date_string=f"{day} {month} {year}")

        lines = []
        for messages in talks:
            try:
                (text,), _ = render_jinja_template([messages], chat_template=plain, add_generation_prompt=False, **variables)
            except Exception as error:
                lines.append({"refused": str(error)})
                continue
            (again,), (ranges,) = render_jinja_template([messages], chat_template=marked, return_assistant_tokens_mask=True, **variables)
            assert again == text, (again, text)
            (prompt,), _ = render_jinja_template([messages], chat_template=plain, add_generation_prompt=True, **variables)
            encoding = untrimmed.encode(text, add_special_tokens=False)
            ids = encoding.ids
            assert ids == encode(text) == fast.apply_chat_template(messages, date_string=variables["date_string"], return_dict=True)["input_ids"]
            original = expand(ids, learnt_original(ids, kind["masked"], encode), image)
            assistant = expand(ids, learnt_assistant(text, ranges, encoding.offsets), image)
            lines.append({"text_sha256": hashlib.sha256(text.encode()).hexdigest()[:16], "ids": squeeze(original[0], image),
                          "images": [r[0] for r in original[2]], "original": runs(original[1]), "assistant": runs(assistant[1]),
                          "prompt_ids": len(expand(encode(prompt), [0] * len(encode(prompt)), image)[0])})
        expected = {"attachment_token": IMAGE, "attachment_token_id": image, "embeddings_per_image": EMBEDDINGS, "size": len(fast),
                    "tokenizer_type": kind["type"], "today": TODAY, "texts": [{"text": t, "ids": fast(t)["input_ids"],
                    "decoded": fast.decode(fast(t)["input_ids"], skip_special_tokens=True)} for t in FOREIGN + ["", " a  b\n", f"x {IMAGE}"]]}
        rows = ",\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
        head = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
        (OUT / f"{name}.json").write_text(head[:-1] + ',"conversations":[\n' + rows + "\n]}\n")


main()
