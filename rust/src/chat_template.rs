//! Chat templates rendered as transformers renders them: Jinja2 with trimmed blocks, Python's methods, str() and json.dumps(), and
//! `raise_exception` and `strftime_now`. A template is foreign code: it can load nothing, and its work and memory are bounded.

use crate::python::{self, Moment};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use regex::Regex;
use std::cell::Cell;
use std::sync::LazyLock;

const NAME: &str = "chat_template";
const EMPTY: &str = "__empty";
/// Longer sources are refused; the longest published ones have some 20 kB.
const MAX_SOURCE: usize = 1 << 20;
/// Work that any conversation may cost (one unit: an instruction or 64 bytes), and that each message may add. Each byte of the
/// messages adds one more, so that a template may touch a text 64 times.
const BASE_FUEL: u64 = 12_000;
const FUEL_PER_MESSAGE: u64 = 1_000;

thread_local! {
    static NOW: Cell<Option<Moment>> = const { Cell::new(None) };
}

pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    pub fn compile(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("the template has {} bytes, more than the {MAX_SOURCE} allowed", source.len()));
        }
        // transformers' {% generation %} marks what is learnt; here the label mask finds the turns by itself, so the tags print nothing.
        // A block tag in their place keeps what trim_blocks and lstrip_blocks do around them.
        static GENERATION: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*(?:end)?generation\s*([-+]?)%\}").expect("a valid pattern"));
        let source = GENERATION.replace_all(source, format!("{{%$1 include '{EMPTY}' $2%}}")).into_owned();
        let mut environment = environment().map_err(describe)?;
        environment.add_template_owned(EMPTY, "").map_err(describe)?;
        environment.add_template_owned(NAME, source).map_err(describe)?;
        Ok(Self { environment })
    }

    /// `context_json`: the template's variables; `now`: what `strftime_now` sees.
    pub fn render(&self, context_json: &str, now: &str) -> Result<String, String> {
        let mut context: serde_json::Value = serde_json::from_str(context_json).map_err(|error| error.to_string())?;
        if let Some(variables) = context.as_object_mut() {
            for name in ["tools", "documents"] {
                variables.entry(name).or_insert(serde_json::Value::Null);
            }
        }
        let num_messages = context["messages"].as_array().map_or(0, Vec::len) as u64;
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(BASE_FUEL + num_messages * FUEL_PER_MESSAGE + context_json.len() as u64));
        NOW.set(Some(Moment::parse(now)?));
        let rendered = environment.get_template(NAME).and_then(|template| template.render(Value::from(Serde(&context))));
        NOW.set(None);
        rendered.map_err(describe)
    }
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_recursion_limit(200);
    environment.set_fuel(Some(BASE_FUEL)); // constant folding while compiling
    environment.set_formatter(|out, state, value| {
        let text = python::to_str(state, value)?;
        out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "output refused"))
    });
    environment.set_unknown_method_callback(|state, value, method, args| match python::string_method(state, value, method, args) {
        Some(result) => result,
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    });
    environment.add_filter("tojson", python::tojson);
    environment.add_filter("trim", python::trim);
    environment.add_filter("string", python::to_str);
    environment.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.to_vec()));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    // Python's strings are sequences, and its dicts look like ones to Jinja2
    environment.add_test("sequence", |value: &Value| {
        value.is_undefined() || matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
    });
    environment.add_test("iterable", |value: &Value| value.kind() == ValueKind::String || value.try_iter().is_ok());
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
    });
    environment.add_function("strftime_now", |pattern: String| NOW.get().map(|now| now.format(&pattern)));
    Ok(environment)
}

/// Marks errors that the template raised by itself.
const RAISED: &str = "\u{1}raised:";

fn describe(error: Error) -> String {
    let mut innermost: &Error = &error;
    while let Some(source) = std::error::Error::source(innermost).and_then(|source| source.downcast_ref::<Error>()) {
        innermost = source;
    }
    if let Some(message) = innermost.detail().and_then(|detail| detail.strip_prefix(RAISED)) {
        return format!("the template says: {message}");
    }
    let place = innermost.line().map_or(String::new(), |line| format!("line {line}: "));
    if innermost.kind() == ErrorKind::OutOfFuel {
        return format!("{place}the template does far more work than this conversation can need");
    }
    if innermost.detail().is_some_and(|detail| detail.starts_with("tried to use % operator on unsupported types string")) {
        return format!("{place}`text % values` is not understood; write `text|format(values)` in the template");
    }
    match innermost.detail() {
        Some(detail) => format!("{place}{}: {detail}", innermost.kind()),
        None => format!("{place}{}", innermost.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn render(source: &str) -> Result<String, String> {
        let context = r#"{"messages": [{"role": "user", "content": " hi "}], "x": [1, "a", 2.0, true, null, {"k": "it's"}],
                          "b": {"z": 1, "a": "é\n<"}, "big": 1e+20}"#;
        ChatTemplate::compile(source)?.render(context, "2026-11-25")
    }

    #[test]
    fn values_print_as_in_python() {
        assert_eq!(render("{{ true }} {{ none }} {{ missing }}|{{ 1.0 }} {{ big }}").unwrap(), "True None |1.0 1e+20");
        assert_eq!(render("{{ x }}").unwrap(), r#"[1, 'a', 2.0, True, None, {'k': "it's"}]"#);
        assert_eq!(render("{{ (1,) }} {{ (1, 2) }}").unwrap(), "(1,) (1, 2)");
    }

    #[test]
    fn tojson_is_json_dumps() {
        // expected: json.dumps(..., ensure_ascii=False) of CPython
        assert_eq!(render("{{ b|tojson }}").unwrap(), r#"{"z": 1, "a": "é\n<"}"#);
        assert_eq!(render("{{ b|tojson(indent=2) }}").unwrap(), "{\n  \"z\": 1,\n  \"a\": \"é\\n<\"\n}");
        assert_eq!(render("{{ b|tojson(ensure_ascii=true, sort_keys=true) }}").unwrap(), r#"{"a": "\u00e9\n<", "z": 1}"#);
        assert_eq!(render("{{ x|tojson(separators=(',', ':')) }}").unwrap(), r#"[1,"a",2.0,true,null,{"k":"it's"}]"#);
        assert_eq!(render("{{ []|tojson(indent=2) }}{{ {}|tojson }}").unwrap(), "[]{}");
    }

    #[test]
    fn blocks_are_trimmed_as_transformers_asks() {
        assert_eq!(render("a\n  {% if true %}\n  b\n  {% endif %}\nc\n").unwrap(), "a\n  b\nc");
        assert_eq!(render("{%- for m in messages %}\n{{ m.content | trim }}\n{%- endfor %}").unwrap(), "hi");
    }

    #[test]
    fn generation_tags_print_nothing() {
        assert_eq!(render("a {%- generation %}b{% endgeneration -%} c").unwrap(), "abc");
    }

    #[test]
    fn python_methods_work() {
        assert_eq!(render("{{ 'abc'.removeprefix('a') }}{{ 'a-b-c'.rsplit('-', 1) }}{{ 'xay'.index('a') }}").unwrap(), "bc['a-b', 'c']1");
        assert_eq!(render("{{ messages[0].content.strip() }}{{ 'a</t>\n\nb'.split('</t>')[-1].lstrip('\n') }}").unwrap(), "hib");
        assert_eq!(render("{{ 'x' is sequence }} {{ 'x' is iterable }} {{ 1 is iterable }}").unwrap(), "True True False");
    }

    #[test]
    fn the_date_is_the_given_one() {
        assert_eq!(render("{{ strftime_now('%d %b %Y') }}").unwrap(), "25 Nov 2026");
    }

    #[test]
    fn a_raised_complaint_arrives_in_its_own_words() {
        assert_eq!(render("{{ raise_exception('roles must alternate') }}").unwrap_err(), "the template says: roles must alternate");
        assert_eq!(render("{% macro m() %}{{ raise_exception('inner') }}{% endmacro %}{{ m() }}").unwrap_err(), "the template says: inner");
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        assert!(render("a\n{% if %}").unwrap_err().contains("line 2"));
    }

    #[test]
    fn hostile_templates_end_soon_with_an_error() {
        let nested = format!("{{{{ {}1{} }}}}", "[".repeat(5000), "]".repeat(5000));
        for source in [
            "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% include 'chat_template' %}",
            "{% include '/etc/passwd' %}",
            "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}",
            "{{ 'a' * 90000000 }}",
            "{{ ('a' * 1000000)|replace('a', 'b' * 1000)|length }}",
            "{{ range(1000000000)|list }}",
            "{{ 'a'.replace('', 'b' * 10000).replace('', 'c' * 10000) }}",
            "{{ '%999999999d'|format(1) }}",
            "{{ 'a'|center(999999999) }}",
            "{{ 'a'|indent(999999999) }}",
            "{{ x|tojson(indent='a' * 99999999) }}",
            &nested,
            "{{ ''.__class__.__mro__ }}",
        ] {
            let start = Instant::now();
            let result = render(source);
            assert!(start.elapsed() < Duration::from_millis(500), "{source}: {:?}", start.elapsed());
            assert!(result.is_err(), "{source}: {} bytes", result.unwrap().len());
        }
    }
}
