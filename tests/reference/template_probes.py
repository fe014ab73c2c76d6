"""One-line templates with what published chat templates use of Jinja2 and Python, for text_goldens.py. Each is rendered by transformers with VARIABLES."""

VARIABLES = {
    "messages": [
        {"role": "system", "content": " Be brief. "},
        {"role": "user", "content": "Is it\na cyst?"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nNo, it's \"fine\"."},
        {"role": "user", "content": "Größe ≈ 3,5 µm <b>"},
    ],
    "tools": [{"type": "function", "function": {"name": "crop", "description": "Cuts \"a\" part", "parameters": {"type": "object", "properties": {"x": {"type": "number", "default": 0.5},
              "mode": {"type": "string", "enum": ["in", "out"]}}, "required": ["x"]}, "strict": False, "note": None}}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True,
    "numbers": [3, 1, 2.5, -7], "big": 1e20, "small": 1e-5, "whole": 100.0, "yes": True, "nothing": None, "word": "lung", "empty": "", "nested": {"b": {"c": [1, {"d": "e"}]}, "a": "é\n</x>"},
    "date": "25 Nov 2026",
}

PROBES = r"""
{{ yes }} {{ nothing }} {{ undefined_name }}|{{ big }} {{ small }} {{ whole }} {{ 7 }} {{ 7.0 }}
{{ numbers }} {{ nested }} {{ messages[0] }} {{ [] }} {{ {} }} {{ (1, 2) }} {{ (1,) }}
{{ nested | tojson }}
{{ tools | tojson }}
{{ tools[0] | tojson(indent=4) }}
{{ tools[0].function | tojson(indent=2, sort_keys=true) }}
{{ nested | tojson(ensure_ascii=true) }} {{ nested | tojson(separators=(',', ':')) }}
{{ [1e20, 1e-5, 100.0, 0.1, 1e16, 123456789.125, -0.0] | tojson }}
{{ 'a"b\\c\n\t' | tojson }} {{ "\x01\x7f" | tojson }}
{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'abc'.removeprefix('x') }}
{{ 'xay'.index('a') }} {{ 'xay'.find('q') }} {{ 'xaya'.rfind('a') }} {{ 'xaya'.rindex('a') }} {{ 'aXa'.count('a') }}
{{ 'x' is sequence }} {{ 'x' is iterable }} {{ numbers is sequence }} {{ nested is sequence }} {{ nested is mapping }} {{ 3 is sequence }} {{ word is string }}
{{ 1 is number }} {{ yes is boolean }} {{ nothing is none }} {{ 1 is integer }} {{ 1.0 is float }} {{ yes is true }} {{ undefined_name is defined }} {{ nested.zz is undefined }}
{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 2 is in [1, 2] }} {{ 'ABC' is upper }} {{ 'abc' is lower }} {{ 1 is eq 1 }} {{ 2 is gt 1 }}
{{ word.startswith('lu') }} {{ word.endswith(('x', 'ng')) }} {{ word.upper() }} {{ 'ABC'.lower() }} {{ word.capitalize() }} {{ 'a b'.title() }}
{{ messages[0].content.strip() }}|{{ messages[0].content.lstrip() }}|{{ messages[0].content.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ '\n\na\n'.strip('\n') }}
{{ 'a,b,c'.split(',') }} {{ 'a b  c'.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a-b-c'.rsplit('-', 1) }} {{ 'a\nb\r\nc'.splitlines() }}
{{ ', '.join(['a', 'b']) }} {{ 'a.b'.replace('.', '-') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ '7'.isdigit() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }}
{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }}
{{ messages[2].content.split('</think>')[-1].lstrip('\n') }}
{{ messages[2].content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}
{{ '</think>' in messages[2].content }} {{ 'x' not in word }} {{ 'user' in messages | map(attribute='role') }} {{ 'a' in nested }}
{{ messages[1:] | length }} {{ messages[-1].role }} {{ messages[::-1][0].role }} {{ word[1:3] }} {{ word[-1] }} {{ word[::-1] }} {{ numbers[:2] }} {{ messages[:-1] | length }}
{{ messages | map(attribute='role') | list }} {{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ messages | rejectattr('role', '==', 'user') | map(attribute='role') | list }} {{ messages | selectattr('content') | list | length }} {{ messages | selectattr('role', 'in', ['user', 'system']) | list | length }}
{{ numbers | select('gt', 1) | list }} {{ numbers | reject('odd') | list }} {{ numbers | max }} {{ numbers | min }} {{ [1, 2, 3] | sum }} {{ numbers | sort }} {{ numbers | first }} {{ numbers | last }} {{ numbers | length }} {{ numbers | count }}
{{ ['b', 'a'] | sort }} {{ ['b', 'a'] | reverse | list }} {{ 'abc' | reverse }} {{ [1, 1, 2] | unique | list }} {{ [1, 2, 3] | batch(2) | list }} {{ nested | dictsort }}
{{ nested | items | list }} {{ nested.items() | list }} {{ nested.keys() | list }} {{ nested.values() | list }} {{ nested.get('a') }} {{ nested.get('zz') }} {{ nested.get('zz', 5) }}
{{ undefined_name | default('d') }} {{ empty | default('d') }}|{{ empty | default('d', true) }} {{ nothing | default('d') }} {{ nothing or 'or' }} {{ empty and 'x' }}|
{{ word | upper }} {{ word | capitalize }} {{ 'A B' | lower }} {{ 'a b' | title }} {{ '  a ' | trim }}| {{ 'xax' | trim('x') }} {{ 'a b' | replace('a', 'c') }} {{ '3' | int + 1 }} {{ '2.5' | float }} {{ 2.567 | round(1) }} {{ 2.5 | round }} {{ -3 | abs }} {{ 3.7 | int }}
{{ 'line\nline' | indent(2) }} {{ 'line\nline' | indent(2, true) }} {{ 'abc' | list }} {{ 3 | string + 'x' }} {{ 'a<b>' | escape }} {{ 'a<b>' | safe }}
{{ '%s has %d'|format('x', 3) }} {{ '%.2f' | format(2.5) }} {{ '%05d|%-4s|%x' | format(42, 'a', 255) }}
{{ 1 + 2 * 3 }} {{ 7 // 2 }} {{ 7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 'a' ~ 1 ~ none }} {{ 'ab' * 3 }} {{ [1] + [2] }} {{ 4 / 2 }}
{{ 1 < 2 and 2 <= 2 }} {{ not yes }} {{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ 1 != 2 }} {{ yes == 1 }} {{ nothing == none }} {{ 'a' if yes else 'b' }} {{ 'a' if false }}|
{% set ns = namespace(n=0, s='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.s = ns.s ~ m.role[0] %}{% endfor %}{{ ns.n }} {{ ns.s }}
{% set n = 0 %}{% for m in messages %}{% set n = n + 1 %}{% endfor %}{{ n }}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem.role if not loop.first }}{{ loop.nextitem.role if not loop.last }};{% endfor %}
{% for m in messages %}{% if m.role == 'assistant' %}{% break %}{% endif %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% endfor %}
{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content }}{% else %}none{% endfor %}{% for m in [] %}x{% else %}none{% endfor %}
{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}{% for k in nested %}{{ k }}{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}
{% for m in messages %}{{ loop.cycle('a', 'b') }}{% if loop.changed(m.role) %}!{% endif %}{% endfor %}
{% macro turn(m, end='.') %}[{{ m.role }}{{ end }}]{% endmacro %}{{ turn(messages[0]) }}{{ turn(messages[1], end='!') }}
{% macro inner() %}{{ caller() }}{% endmacro %}{% call inner() %}text{% endcall %}
{% macro params(p) %}{%- for k, v in p.items() %}{{ k }}: {{ v.type }}{% if v.enum is defined %} = {{ v.enum | join(' | ') }}{% endif %}{% if not loop.last %}, {% endif %}{%- endfor %}{% endmacro %}{{ params(tools[0].function.parameters.properties) }}
{% set text %}a {{ word }} b{% endset %}{{ text | upper }}
{% filter upper %}a {{ word }}{% endfilter %} {% raw %}{{ not }} {% this %}{% endraw %} {# a comment #}x
{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{{ system | trim }} {{ rest | length }}
{% if tools is defined and tools is not none and tools %}tools{% elif documents %}documents{% else %}neither{% endif %} {{ documents }} {% if documents is none %}none{% endif %}
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}
{%- if yes -%}   a   {%- endif -%}   b   {%+ if yes %}  c{% endif %}
{{ strftime_now('%d') | length }} {{ strftime_now is defined }} {{ raise_exception is defined }}
{{ raise_exception('Conversation roles must alternate') }}
{{ messages[9].role }}
{{ undefined_name.attribute }}
{{ nested.zz.y }}
{{ 'a' + 1 }}
{{ word.nonsense() }}
{{ '%s' % word }}
{{ '%s of %d' % (word, 3) }}
{{ bos_token + eos_token }} {{ add_generation_prompt }} {% if add_generation_prompt %}assistant{% endif %}
{% generation %}a{% endgeneration %} {%- generation -%} b {%- endgeneration -%} c
{{ messages[0].content is string }} {{ messages[0].tool_calls is defined }} {{ 'tool_calls' in messages[0] }} {{ messages[0].get('name', 'x') }} {{ messages[0]['content'][1:4] }}
{{ (messages | last).role }} {{ (messages[0].content | trim).split(' ')[0] }} {{ (1, 2)[1] }} {{ [1, [2, 3]][1][0] }} {{ {'a': {'b': 2}}.a.b }} {{ {'a': 1}['a'] }}
{{ messages | tojson }}
{{ 'é' | length }} {{ '👩‍⚕️' | length }} {{ 'Größe'.upper() }} {{ 'ẞ'.lower() }}
{{ [3, 1] | sort(reverse=true) }} {{ messages | map(attribute='content') | map('length') | list }} {{ messages | groupby('role') | length }}
{{ nothing is not none }} {{ yes is false }} {{ 'a' is not string }} {{ [] is defined }} {{ 3 is not in [1] }} {{ not (1 == 2) and yes }}
{{ dict(a=1, b='x') }} {{ dict(a=1) | tojson }} {{ namespace(a=1).a }} {{ range(3) | list }}
{{ cycler('a', 'b').next() }}
{{ joiner(', ')() }}x
{{ 'a\tb' }} {{ "it's" }} {{ 'say "x"' }} {{ '\u00e9' }} {{ '\x41' }} {{ "a\\b" }}
{{ ['it\'s', "q\"q", 'a\nb', 'é', '\x00', '\u200b', '👩'] }}
{{ 10000000000000000000000 }} {{ 9223372036854775807 + 1 }} {{ 1_000 }} {{ 1e3 }} {{ 0.1 + 0.2 }} {{ 1 / 3 }}
{{ numbers.append(9) }}
{{ nested.update({'q': 1}) }}
{{ ''.join(messages | map(attribute='role')) }}
{{ messages | length > 2 }} {{ messages | length - 1 }} {{ (messages | length) % 2 == 0 }} {{ loop }}
{{ '{0} of {n}: {{}} {1}'.format(1, [2], n=3) }} {{ 'ab'.center(5) }}|{{ 'abc'.center(6) }}| {{ '-7'.zfill(4) }} {{ 'x'.ljust(3, '.') }}
{{ word.center(10) }}| {{ word.ljust(6) }}| {{ word.rjust(6) }}| {{ '7'.zfill(3) }} {{ word.swapcase() }} {{ 'a{}b{}'.format(1, 'x') }} {{ 'a{x}'.format(x=2) }}
{{ 'a\n\n\nb' | replace('\n\n', '\n') }} {{ 'x' in 'xyz' }} {{ '1,2'.split(',') | map('int') | sum }} {{ ['a', 1, none] | join('-') }}
{{ 'a b'.split(' ') | first }} {{ [[1, 2], [3]] | sum(start=[]) }}
{% set x = [] %}{% for i in range(3) %}{% set x = x + [i] %}{% endfor %}{{ x }} {% set a, b = (1, 2) %}{{ a }}{{ b }}
{{ numbers | map('string') | join }} {{ numbers | list | tojson }} {{ tools[0]['function']['parameters']['required'] }} {{ tools[0].function.strict }} {{ tools[0].function.note }}
{% for t in tools %}{{- '\n' + (t | tojson) }}{% endfor %}
{{ '<|' ~ 'x' ~ '|>' }} {{ "a" "b" }}
""".strip("\n").split("\n")
