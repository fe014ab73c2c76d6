//! What templates expect of Python: str(), repr(), json.dumps(), strftime() and the string methods that minijinja lacks.

use minijinja::value::{from_args, Kwargs, Rest, Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use regex::Regex;
use std::sync::LazyLock;

/// Deeper containers are refused: writing them is recursive.
const MAX_DEPTH: usize = 100;

/// Text under construction, bounded by what is left of the template's fuel.
struct Output {
    text: String,
    limit: usize,
}

impl Output {
    fn new(state: &State) -> Self {
        let limit =
            state.fuel_levels().map_or(usize::MAX, |(_, remaining)| usize::try_from(remaining).unwrap_or(usize::MAX).saturating_mul(4));
        Self { text: String::new(), limit }
    }

    fn push(&mut self, part: &str) -> Result<(), Error> {
        if self.text.len() + part.len() > self.limit {
            return Err(Error::from(ErrorKind::OutOfFuel));
        }
        self.text.push_str(part);
        Ok(())
    }

    fn finish(self, state: &State) -> Result<String, Error> {
        state.consume_fuel(self.text.len() as u64 / 4)?;
        Ok(self.text)
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn check_depth(depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(invalid("value is nested too deeply"));
    }
    Ok(())
}

/// Python's str(): what `{{ value }}` prints. Undefined prints nothing, as in Jinja2.
pub fn to_str(state: &State, value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_string());
    }
    if value.is_undefined() {
        return Ok(String::new());
    }
    let mut out = Output::new(state);
    write_repr(&mut out, value, 0)?;
    out.finish(state)
}

fn write_repr(out: &mut Output, value: &Value, depth: usize) -> Result<(), Error> {
    check_depth(depth)?;
    match value.kind() {
        ValueKind::Undefined => out.push("Undefined"),
        ValueKind::None => out.push("None"),
        ValueKind::Bool => out.push(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => out.push(&number(value)?),
        ValueKind::String => out.push(&repr_of_string(value.as_str().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => {
            let (open, close) = if value.is_tuple() { ("(", ")") } else { ("[", "]") };
            out.push(open)?;
            let mut size = 0;
            for item in value.try_iter()?.checked() {
                if size > 0 {
                    out.push(", ")?;
                }
                write_repr(out, &item?, depth + 1)?;
                size += 1;
            }
            if value.is_tuple() && size == 1 {
                out.push(",")?;
            }
            out.push(close)
        }
        ValueKind::Map => {
            out.push("{")?;
            for (index, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                if index > 0 {
                    out.push(", ")?;
                }
                write_repr(out, &key, depth + 1)?;
                out.push(": ")?;
                write_repr(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push("}")
        }
        _ => out.push(&value.to_string()),
    }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    Ok(repr_of_float(f64::try_from(value.clone())?))
}

/// Python's repr(float): shortest digits, an exponent below 1e-4 and from 1e16 on.
pub fn repr_of_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_string();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_string();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    }
}

/// Python's repr(str): single quotes unless the text has some and no double ones; what cannot be printed is escaped.
pub fn repr_of_string(text: &str) -> String {
    static UNPRINTABLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[\p{C}\p{Zl}\p{Zp}\p{Zs}]$").expect("a valid pattern"));
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if c.is_ascii() || UNPRINTABLE.is_match(c.encode_utf8(&mut [0; 4])) => out.push_str(&match c as u32 {
                code @ 0..=0xff => format!("\\x{code:02x}"),
                code @ 0x100..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

struct JsonStyle {
    ensure_ascii: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

/// The filter `tojson` of transformers: json.dumps(value, ensure_ascii=False), not minijinja's, which escapes for HTML.
pub fn tojson(state: &State, value: &Value, ensure_ascii: Option<bool>, kwargs: Kwargs) -> Result<String, Error> {
    let ensure_ascii = match kwargs.get::<Option<bool>>("ensure_ascii")? {
        Some(given) => given,
        None => ensure_ascii.unwrap_or(false),
    };
    let indent = match kwargs.get::<Option<Value>>("indent")? {
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_string),
        Some(width) if width.is_integer() => Some(" ".repeat(width.as_i64().unwrap_or(0).clamp(0, 64) as usize)),
        _ => None,
    };
    let (item_separator, key_separator) = match kwargs.get::<Option<Vec<String>>>("separators")? {
        Some(pair) if pair.len() == 2 => (pair[0].clone(), pair[1].clone()),
        Some(_) => return Err(invalid("tojson: separators must be a pair")),
        None => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
    };
    let sort_keys = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    kwargs.assert_all_used()?;
    let mut out = Output::new(state);
    write_json(&mut out, value, &JsonStyle { ensure_ascii, indent, item_separator, key_separator, sort_keys }, 0)?;
    out.finish(state)
}

fn write_json(out: &mut Output, value: &Value, style: &JsonStyle, depth: usize) -> Result<(), Error> {
    check_depth(depth)?;
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Number => out.push(&json_scalar(value)?),
        ValueKind::String => write_json_string(out, value.as_str().unwrap_or_default(), style),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut empty = true;
            out.push("[")?;
            for item in value.try_iter()?.checked() {
                if !empty {
                    out.push(&style.item_separator)?;
                }
                empty = false;
                break_line(out, style, depth + 1)?;
                write_json(out, &item?, style, depth + 1)?;
            }
            if !empty {
                break_line(out, style, depth)?;
            }
            out.push("]")
        }
        ValueKind::Map => {
            let mut keys = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            if style.sort_keys {
                keys.sort();
            }
            out.push("{")?;
            for (index, key) in keys.iter().enumerate() {
                if index > 0 {
                    out.push(&style.item_separator)?;
                }
                break_line(out, style, depth + 1)?;
                match key.as_str() {
                    Some(text) => write_json_string(out, text, style)?,
                    None => write_json_string(out, &json_scalar(key)?, style)?,
                }
                out.push(&style.key_separator)?;
                write_json(out, &value.get_item(key)?, style, depth + 1)?;
            }
            if !keys.is_empty() {
                break_line(out, style, depth)?;
            }
            out.push("}")
        }
        kind => Err(invalid(format!("{kind} cannot be written as JSON"))),
    }
}

fn json_scalar(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "null".to_string(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number => match number(value)?.as_str() {
            "nan" => "NaN".to_string(),
            "inf" => "Infinity".to_string(),
            "-inf" => "-Infinity".to_string(),
            text => text.to_string(),
        },
        kind => return Err(invalid(format!("{kind} cannot be a key in JSON"))),
    })
}

fn break_line(out: &mut Output, style: &JsonStyle, depth: usize) -> Result<(), Error> {
    if let Some(indent) = &style.indent {
        out.push("\n")?;
        for _ in 0..depth {
            out.push(indent)?;
        }
    }
    Ok(())
}

fn write_json_string(out: &mut Output, text: &str, style: &JsonStyle) -> Result<(), Error> {
    out.push("\"")?;
    let mut utf8 = [0; 4];
    let mut utf16 = [0; 2];
    for c in text.chars() {
        match c {
            '"' => out.push("\\\"")?,
            '\\' => out.push("\\\\")?,
            '\n' => out.push("\\n")?,
            '\r' => out.push("\\r")?,
            '\t' => out.push("\\t")?,
            '\u{8}' => out.push("\\b")?,
            '\u{c}' => out.push("\\f")?,
            c if c < ' ' || (style.ensure_ascii && c > '~') => {
                for unit in c.encode_utf16(&mut utf16) {
                    out.push(&format!("\\u{unit:04x}"))?;
                }
            }
            c => out.push(c.encode_utf8(&mut utf8))?,
        }
    }
    out.push("\"")
}

/// What Python's str.isspace() holds for blank: Unicode's white space and four separators of ASCII.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn strip<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let matches = |c: char| chars.map_or_else(|| is_blank(c), |set| set.contains(c));
    let text = if left { text.trim_start_matches(matches) } else { text };
    if right {
        text.trim_end_matches(matches)
    } else {
        text
    }
}

/// The filter `trim`.
pub fn trim(state: &State, value: &Value, chars: Option<&str>) -> Result<String, Error> {
    Ok(strip(&to_str(state, value)?, chars, true, true).to_string())
}

/// Methods of Python's str that minijinja's own collection lacks or treats otherwise; nothing where it has it right.
pub fn string_method(state: &State, value: &Value, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    let text = value.as_str()?;
    let tuple = |parts: [&str; 3]| Value::from(Tuple::from(parts.map(Value::from).to_vec()));
    let list = |parts: &[&str]| parts.iter().copied().map(Value::from).collect::<Value>();
    let one = || from_args::<(String,)>(args).map(|(only,)| only);
    let stripped = |left, right| from_args::<(Option<&str>,)>(args).map(|(chars,)| Value::from(strip(text, chars, left, right)));
    let position = |found: Option<usize>| match found {
        Some(byte) => Ok(Value::from(text[..byte].chars().count())),
        None => Err(invalid("substring not found")),
    };
    Some(match method {
        "strip" => stripped(true, true),
        "lstrip" => stripped(true, false),
        "rstrip" => stripped(false, true),
        "removeprefix" => one().map(|prefix| Value::from(text.strip_prefix(prefix.as_str()).unwrap_or(text))),
        "removesuffix" => one().map(|suffix| Value::from(text.strip_suffix(suffix.as_str()).unwrap_or(text))),
        "index" => one().and_then(|part| position(text.find(&part))),
        "rindex" => one().and_then(|part| position(text.rfind(&part))),
        "rsplit" => from_args::<(&str, Option<usize>)>(args).map(|(separator, limit)| {
            let mut parts: Vec<&str> = match limit {
                Some(limit) => text.rsplitn(limit.saturating_add(1), separator).collect(),
                None => text.rsplit(separator).collect(),
            };
            parts.reverse();
            list(&parts)
        }),
        "partition" => one().map(|separator| match text.split_once(&separator) {
            Some((before, after)) => tuple([before, &separator, after]),
            None => tuple([text, "", ""]),
        }),
        "rpartition" => one().map(|separator| match text.rsplit_once(&separator) {
            Some((before, after)) => tuple([before, &separator, after]),
            None => tuple(["", "", text]),
        }),
        "ljust" | "rjust" | "center" | "zfill" => padded(text, method, args).map(Value::from),
        "swapcase" => from_args::<()>(args).map(|()| {
            let swapped = text.chars().map(|c| if c.is_lowercase() { c.to_uppercase().to_string() } else { c.to_lowercase().to_string() });
            Value::from(swapped.collect::<String>())
        }),
        "format" => format_braces(state, text, args).map(Value::from),
        _ => return None,
    })
}

/// Python's ljust(), rjust(), center() and zfill().
fn padded(text: &str, method: &str, args: &[Value]) -> Result<String, Error> {
    const WIDEST: usize = 10_000;
    let (width, fill) = from_args::<(usize, Option<&str>)>(args)?;
    if width > WIDEST {
        return Err(invalid(format!("{method}: more than {WIDEST} characters")));
    }
    let missing = width.saturating_sub(text.chars().count());
    let fill = if method == "zfill" { "0" } else { fill.unwrap_or(" ") };
    let left = match method {
        "ljust" => 0,
        "center" => missing / 2 + (missing & width & 1), // CPython's rounding
        _ => missing,
    };
    let sign = usize::from(method == "zfill" && text.starts_with(['+', '-']));
    Ok(format!("{}{}{}{}", &text[..sign], fill.repeat(left), &text[sign..], fill.repeat(missing - left)))
}

/// Python's str.format() with plain fields: {}, {0}, {name}, {{ and }}.
fn format_braces(state: &State, text: &str, args: &[Value]) -> Result<String, Error> {
    let (positional, named) = from_args::<(Rest<Value>, Kwargs)>(args)?;
    let mut out = Output::new(state);
    let mut next = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push(&rest[..at])?;
        if rest[at..].starts_with("{{") || rest[at..].starts_with("}}") {
            out.push(&rest[at..=at])?;
            rest = &rest[at + 2..];
            continue;
        }
        let end = rest[at..].find('}').filter(|end| *end > 0).ok_or_else(|| invalid("format: a brace without its partner"))?;
        let field = &rest[at + 1..at + end];
        let value = if let Ok(index) = field.parse::<usize>() {
            positional.get(index).cloned()
        } else if field.is_empty() {
            next += 1;
            positional.get(next - 1).cloned()
        } else {
            named.get::<Option<Value>>(field)?
        };
        let value = value.ok_or_else(|| invalid("format: a field without a value, or with a format of its own"))?;
        out.push(&to_str(state, &value)?)?;
        rest = &rest[at + end + 1..];
    }
    out.push(rest)?;
    out.finish(state)
}

/// A moment as templates may ask for it: "2026-11-25", "2026-11-25 13:05:09" or with a `T` between.
#[derive(Clone, Copy)]
pub struct Moment {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Moment {
    pub fn parse(text: &str) -> Result<Self, String> {
        let complain = || format!("'{text}' is not a date like 2026-11-25");
        let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
        let numbers = |part: &str, separator: char| -> Result<Vec<i64>, String> {
            part.split(separator).map(|number| number.parse::<u32>().map(i64::from).map_err(|_| complain())).collect()
        };
        let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
        match (date.as_slice(), time.as_slice()) {
            (&[year, month @ 1..=12, day @ 1..=31], &[hour @ 0..=23, minute @ 0..=59, second @ 0..=60]) if (1..=9999).contains(&year) => {
                Ok(Self { year, month: month as usize, day, hour, minute, second })
            }
            _ => Err(complain()),
        }
    }

    fn day_of_year(&self) -> i64 {
        let leap = i64::from(self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0));
        const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        DAYS_BEFORE[self.month - 1] + self.day + if self.month > 2 { leap } else { 0 }
    }

    /// 0 is Sunday.
    fn weekday(&self) -> usize {
        let before = self.year - 1;
        ((before * 365 + before / 4 - before / 100 + before / 400 + self.day_of_year()) % 7) as usize
    }

    /// datetime.strftime in the C locale, with glibc's `-`, `_` and `0` for padding.
    pub fn format(&self, pattern: &str) -> String {
        let mut out = String::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut code = chars.next();
            let mut padding = None;
            if let Some(flag @ ('-' | '_' | '0')) = code {
                padding = Some(flag);
                code = chars.next();
            }
            match code {
                Some(code) => self.append(&mut out, code, padding),
                None => out.push('%'),
            }
        }
        out
    }

    fn append(&self, out: &mut String, code: char, padding: Option<char>) {
        let hour12 = (self.hour + 11) % 12 + 1;
        let number = |value: i64, width: usize, fill: char| match padding.unwrap_or(fill) {
            '-' => value.to_string(),
            '_' | ' ' => format!("{value:width$}"),
            _ => format!("{value:0width$}"),
        };
        let text = match code {
            'Y' => self.year.to_string(),
            'y' => number(self.year % 100, 2, '0'),
            'C' => number(self.year / 100, 2, '0'),
            'm' => number(self.month as i64, 2, '0'),
            'd' => number(self.day, 2, '0'),
            'e' => number(self.day, 2, ' '),
            'j' => number(self.day_of_year(), 3, '0'),
            'H' => number(self.hour, 2, '0'),
            'I' => number(hour12, 2, '0'),
            'M' => number(self.minute, 2, '0'),
            'S' => number(self.second, 2, '0'),
            'f' => "000000".to_string(),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_string(),
            'B' => MONTHS[self.month - 1].to_string(),
            'b' | 'h' => MONTHS[self.month - 1][..3].to_string(),
            'A' => WEEKDAYS[self.weekday()].to_string(),
            'a' => WEEKDAYS[self.weekday()][..3].to_string(),
            'w' => self.weekday().to_string(),
            'u' => ((self.weekday() + 6) % 7 + 1).to_string(),
            'U' => number((self.day_of_year() + 6 - self.weekday() as i64) / 7, 2, '0'),
            'W' => number((self.day_of_year() + 6 - (self.weekday() as i64 + 6) % 7) / 7, 2, '0'),
            'F' => self.format("%Y-%m-%d"),
            'D' | 'x' => self.format("%m/%d/%y"),
            'T' | 'X' => self.format("%H:%M:%S"),
            'R' => self.format("%H:%M"),
            'c' => self.format("%a %b %e %H:%M:%S %Y"),
            'z' | 'Z' => String::new(),
            'n' => "\n".to_string(),
            't' => "\t".to_string(),
            '%' => "%".to_string(),
            other => format!("%{other}"),
        };
        out.push_str(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        // expected: repr() of CPython 3.11
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1e20, "1e+20"),
            (1e16, "1e+16"),
            (123456789012345.0, "123456789012345.0"),
            (1.5e300, "1.5e+300"),
            (-2.5, "-2.5"),
            (0.0, "0.0"),
            (1.0 / 3.0, "0.3333333333333333"),
        ] {
            assert_eq!(repr_of_float(number), text);
        }
    }

    #[test]
    fn strings_are_quoted_as_python_quotes_them() {
        // expected: repr() of CPython 3.11
        for (text, quoted) in [
            ("a", "'a'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("a\\b\n\t\r", "'a\\\\b\\n\\t\\r'"),
            ("\u{0}\u{7f}\u{a0}é", "'\\x00\\x7f\\xa0é'"),
            ("\u{200b}\u{2028}😀\u{e0001}", "'\\u200b\\u2028😀\\U000e0001'"),
        ] {
            assert_eq!(repr_of_string(text), quoted);
        }
    }

    #[test]
    fn dates_are_formatted_as_strftime_does() {
        // expected: datetime(2026, 11, 25, 13, 5, 9).strftime(...) of CPython 3.11 on glibc
        let moment = Moment::parse("2026-11-25 13:05:09").unwrap();
        for (pattern, text) in [
            ("%d %b %Y", "25 Nov 2026"),
            ("%A, %B %-d, %y", "Wednesday, November 25, 26"),
            ("%H:%M:%S %I %p", "13:05:09 01 PM"),
            ("%j %U %W %w %u", "329 47 47 3 3"),
            ("%F %T %D %R", "2026-11-25 13:05:09 11/25/26 13:05"),
            ("100%%", "100%"),
        ] {
            assert_eq!(moment.format(pattern), text);
        }
        assert_eq!(Moment::parse("2024-03-01").unwrap().format("%e %j %a"), " 1 061 Fri");
    }

    #[test]
    fn a_date_that_is_none_is_refused() {
        for text in ["", "today", "2026-13-01", "2026-11-25 25:00:00", "1-2-3-4"] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}
