"""Writes tests/data/text: small tokenizers of many kinds (qwen3, llama, apertus under both names of its control tokens; and the shapes of
Gemma's, Mistral's, Phi's and DeepSeek's), conversations, and for each tokenizer digests of the rendered text, ids and what is learnt under
both label rules (chat_corpus.py). chat_templates.json: templates of one line for everything that published ones use, as transformers renders them.

Made with Python 3.11, transformers 5.17, tokenizers 0.23.3, jinja2 3.1.
Run: python text_goldens.py [tests/data/text]
"""

import json
import pathlib
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

from chat_corpus import EMBEDDINGS, FOREIGN, IMAGE, TODAY, Speaker, conversations, goldens, plain, write_golden
from template_probes import PROBES, VARIABLES

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data/text")
SPEAKER = Speaker(5)
CORPUS = [SPEAKER.sentence() for _ in range(400)] + ["system user assistant developer", "I am a model."] * 20
NUM_WHOLE = 24

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


def train_sentencepiece(control, normalizer, pre_tokenizer):
    """A BPE of SentencePiece's kind: blanks are U+2581, what the vocabulary lacks becomes bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(?=\u2581)"), "isolated")
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=200, limit_alphabet=70, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    tokens = control + [f"<0x{byte:02X}>" for byte in range(256)] + sorted(model["vocab"], key=model["vocab"].get)
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
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

# The system's text stands at the head of the first question; the assistant is called model; contents are trimmed; roles must alternate.
GEMMA = """{{- bos_token }}
{%- set start = 1 if messages[0].role == 'system' else 0 %}
{%- for message in messages[start:] %}
    {%- if (message.role == 'user') != (loop.index0 is divisibleby 2) or message.role not in ['user', 'assistant'] %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' }}
    {%- if loop.first and start == 1 %}{{- messages[0].content | trim + '\\n\\n' }}{%- endif %}
    {%- if message.role == 'assistant' %}«{{- message.content | trim + '<end_of_turn>' }}»
    {%- else %}{{- message.content | trim + '<end_of_turn>' }}{%- endif %}{{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""

# The system's text moves into the last question; a blank before the answer, which the prompt for an answer lacks.
MISTRAL = """{{- bos_token }}
{%- set chat = messages[1:] if messages[0].role == 'system' else messages %}
{%- for message in chat %}
    {%- if message.role == 'user' %}
        {%- if loop.index0 >= chat | length - 2 and messages[0].role == 'system' %}
            {{- '[INST] ' + messages[0].content + '\\n\\n' + message.content + '[/INST]' }}
        {%- else %}{{- '[INST] ' + message.content + '[/INST]' }}{%- endif %}
    {%- elif message.role == 'assistant' %}«{{- ' ' + message.content | trim + eos_token }}»
    {%- else %}{{- raise_exception('only user and assistant') }}{%- endif %}
{%- endfor %}"""

# Closing tokens that swallow the line break behind them, and a token at the end of the conversation.
PHI = """{%- for message in messages %}
    {%- if message.role == 'system' and message.content %}{{- '<|system|>\\n' + message.content + '<|end|>\\n' }}
    {%- elif message.role == 'user' %}{{- '<|user|>\\n' + message.content + '<|end|>\\n' }}
    {%- elif message.role == 'assistant' %}{{- '<|assistant|>\\n' }}«{{- message.content + '<|end|>' }}»{{- '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{%- else %}{{- eos_token }}{%- endif %}"""

# No line breaks, full-width signs; earlier thoughts are cut off, and the prompt opens one.
DEEPSEEK = """{{- bos_token }}
{%- set ns = namespace(system='') %}
{%- for message in messages if message.role == 'system' %}{%- set ns.system = ns.system + message.content %}{%- endfor %}
{{- ns.system }}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{- '<｜User｜>' + message.content }}
    {%- elif message.role == 'assistant' %}
        {%- set content = message.content.split('</think>')[-1] if '</think>' in message.content else message.content %}
        {{- '<｜Assistant｜>' }}«{{- content + '<｜end▁of▁sentence｜>' }}»
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<｜Assistant｜><think>\\n' }}{%- endif %}"""

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

    gemma = train_sentencepiece(["<pad>", "<eos>", "<bos>", "<unk>"], normalizers.Replace(" ", "\u2581"), pre_tokenizers.Split(" ", "merged_with_previous"))
    gemma.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"])
    gemma.add_tokens([AddedToken("\n\n", special=False, normalized=False)])
    gemma.post_processor = processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", gemma.token_to_id("<bos>"))])
    yield dict(name="gemma", type="auto", tokenizer=gemma, template=GEMMA, masked=None,
               config=dict(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"))

    mistral = train_sentencepiece(["<unk>", "<s>", "</s>"], None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False))
    mistral.add_special_tokens(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    yield dict(name="mistral", type="auto", tokenizer=mistral, template=MISTRAL, masked=None, config=dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>"))

    phi = train_sentencepiece(["<unk>", "<s>", "</s>"], normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]), None)
    phi.add_special_tokens(["<unk>", "<s>", AddedToken("</s>", special=True, normalized=False, rstrip=True)])
    phi.add_special_tokens([AddedToken(token, special=True, normalized=False, rstrip=True) for token in ["<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"]])
    yield dict(name="phi", type="auto", tokenizer=phi, template=PHI, masked=None, config=dict(bos_token="<s>", eos_token="<|endoftext|>", unk_token="<unk>"))

    deepseek = train(LLAMA_SPLIT, ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"], non_special=["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"])
    deepseek.post_processor = processors.ByteLevel(trim_offsets=False)
    yield dict(name="deepseek", type="auto", tokenizer=deepseek, template=DEEPSEEK, masked=None,
               config=dict(bos_token="<｜begin▁of▁sentence｜>", eos_token="<｜end▁of▁sentence｜>"))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    talks = conversations()
    rows = [json.dumps({"messages": m}, ensure_ascii=False, separators=(",", ":")) for m in talks]
    (OUT / "conversations.jsonl").write_text("\n".join(rows) + "\n")
    for kind in kinds():
        name, template = kind["name"], kind["template"]
        print(name)
        folder = OUT / name
        fast = PreTrainedTokenizerFast(tokenizer_object=kind["tokenizer"], clean_up_tokenization_spaces=False, **kind["config"])
        fast.chat_template = plain(template)
        folder.mkdir(exist_ok=True)
        # without blanks: the vocabularies are the larger part of these files
        for file, content in [("tokenizer.json", json.loads(fast.backend_tokenizer.to_str())),
                              ("tokenizer_config.json", dict(kind["config"], clean_up_tokenization_spaces=False, tokenizer_class="PreTrainedTokenizerFast"))]:
            (folder / file).write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
        (folder / "chat_template.jinja").write_text(plain(template))

        fast.add_special_tokens({"additional_special_tokens": [IMAGE]})
        head = {"attachment_token": IMAGE, "attachment_token_id": fast.convert_tokens_to_ids(IMAGE), "embeddings_per_image": EMBEDDINGS, "size": len(fast),
                "tokenizer_type": kind["type"], "today": TODAY, "texts": [{"text": t, "ids": fast(t)["input_ids"],
                "decoded": fast.decode(fast(t)["input_ids"], skip_special_tokens=True)} for t in FOREIGN + ["", " a  b\n", f"x {IMAGE}"]]}
        write_golden(OUT / f"{name}.json", head, *goldens(fast, template, kind["masked"], talks, NUM_WHOLE))
    write_templates()


def write_templates():
    rows = []
    for template in PROBES:
        try:
            (text,), _ = render_jinja_template([VARIABLES["messages"]], chat_template=template, **{k: v for k, v in VARIABLES.items() if k != "messages"})
            rows.append({"template": template, "text": text})
        except Exception as error:
            rows.append({"template": template, "error": str(error)})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    variables = json.dumps(VARIABLES, ensure_ascii=False, separators=(",", ":"))
    (OUT / "chat_templates.json").write_text(f'{{"variables":{variables},"probes":[\n{lines}\n]}}\n')


main()
