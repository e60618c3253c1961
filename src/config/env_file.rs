//! Reads a `.env` file as a person means it.
//!
//! dotenvy alone refuses `X={"a": "b"}  # c` and `X=Mon-Fri 01:00-05:00`, takes quotes out of the middle of a
//! value and expands `$`. So [`prepare`] finds each assignment first and writes it so that dotenvy can only read
//! it in one way. Knows no variable's meaning but one thing: whether a value is a secret.

use std::collections::BTreeMap;

use super::variables;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// The last assignment of a name counts.
    pub values: BTreeMap<String, String>,
    /// Lines, counted from 1, that are no assignment and were passed over.
    pub unreadable_lines: Vec<usize>,
}

/// A file's text, written so that dotenvy reads what a person meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    /// The text for dotenvy.
    pub text: String,
    /// Lines, counted from 1, that are no assignment.
    pub unreadable_lines: Vec<usize>,
}

/// dotenvy refused the prepared text. The error shows no line, because lines hold secrets.
#[derive(Debug, thiserror::Error)]
#[error("the file cannot be read as NAME=value lines")]
pub(crate) struct NotAnEnvFile;

/// Reads the text of a file.
///
/// # Errors
///
/// Where dotenvy refuses the prepared text.
pub(crate) fn read(text: &str) -> Result<EnvFile, NotAnEnvFile> {
    let Prepared { text, unreadable_lines } = prepare(text);
    let values = dotenvy::from_read_iter(text.as_bytes())
        .collect::<Result<BTreeMap<_, _>, _>>()
        .map_err(|_| NotAnEnvFile)?;
    Ok(EnvFile { values, unreadable_lines })
}

/// Rewrites a file's text, one assignment a line, every value in double quotes with its specials escaped.
#[must_use]
pub(super) fn prepare(text: &str) -> Prepared {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut prepared = Prepared { text: String::new(), unreadable_lines: Vec::new() };
    let mut rest = text.as_str();
    let mut line_number = 1;
    while !rest.is_empty() {
        let line = first_line(rest);
        let taken = match assignment(line) {
            Line::Blank => line.len(),
            Line::Unreadable => {
                prepared.unreadable_lines.push(line_number);
                line.len()
            }
            Line::Assignment { name, value_at } => {
                let (value, taken) = value(name, &rest[value_at..]);
                prepared.text.push_str(&format!("{name}={}\n", quote(&value)));
                value_at + taken
            }
        };
        line_number += rest[..taken].matches('\n').count() + 1;
        rest = rest.get(taken + 1..).unwrap_or_default();
    }
    prepared
}

enum Line<'a> {
    Blank,
    Unreadable,
    Assignment {
        name: &'a str,
        /// Where the text behind `=` begins.
        value_at: usize,
    },
}

fn assignment(line: &str) -> Line<'_> {
    let start = line.trim_start();
    if start.is_empty() || start.starts_with('#') {
        return Line::Blank;
    }
    let start = match start.strip_prefix("export") {
        Some(behind) if behind.starts_with([' ', '\t']) => behind.trim_start(),
        _ => start,
    };
    let Some((name, value)) = start.split_once('=') else { return Line::Unreadable };
    let name = name.trim_end();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    match is_name {
        true => Line::Assignment { name, value_at: line.len() - value.len() },
        false => Line::Unreadable,
    }
}

/// Reads a value from the text behind `=`. Returns it with the length up to the end of its last line.
fn value(name: &str, text: &str) -> (String, usize) {
    let line = first_line(text);
    let start = text.len() - text.trim_start_matches([' ', '\t']).len();
    if line.trim().is_empty() || is_comment(name, line, start) {
        return (String::new(), line.len());
    }
    let body = &text[start..];
    let secret = variables::find(name).is_some_and(|variable| variable.secret);
    let taken = match body.as_bytes().first() {
        Some(b'{' | b'[') => json(body),
        Some(b'\'') => quoted_value(body, '\'').map(|(inner, len)| (unescape_single(inner), len)),
        Some(b'"') => quoted_value(body, '"').map(|(inner, len)| (unescape_double(inner, secret), len)),
        _ => None,
    };
    match taken {
        Some((value, end)) => (value, start + end + first_line(&body[end..]).len()),
        None => (strip_comment(line).to_owned(), line.len()),
    }
}

/// `X=  # c` is a comment; `X=#c` too, but a password may well begin with a `#`.
fn is_comment(name: &str, line: &str, start: usize) -> bool {
    let Some(behind) = line[start..].strip_prefix('#') else { return false };
    let secret = variables::find(name).is_some_and(|variable| variable.secret);
    start > 0 || !secret || behind.is_empty() || behind.starts_with([' ', '\t'])
}

/// JSON on one line or on several, as long as nothing but a comment stands behind it.
fn json(body: &str) -> Option<(String, usize)> {
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<serde_json::Value>();
    values.next()?.ok()?;
    let end = values.byte_offset();
    ends_here(&body[end..]).then(|| (body[..end].to_owned(), end))
}

/// Finds the closing quote: the first one with nothing but a comment behind it. A quoted value may run over
/// several lines, but not over another assignment: then the quote is a part of the value (`PASSWORD='tis`).
fn quoted_value(body: &str, quote: char) -> Option<(&str, usize)> {
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '\n' && matches!(assignment(first_line(&body[at + 1..])), Line::Assignment { .. }) {
            return None;
        } else if c == quote && ends_here(&body[at + 1..]) {
            return Some((&body[1..at], at + 1));
        }
    }
    None
}

fn ends_here(behind: &str) -> bool {
    let behind = first_line(behind).trim_start();
    behind.is_empty() || behind.starts_with('#')
}

/// A comment begins at a `#` behind a blank; any other `#` is a part of the value.
fn strip_comment(line: &str) -> &str {
    let comment = line.char_indices().find(|(at, c)| *c == '#' && line[..*at].ends_with([' ', '\t']));
    match comment {
        Some((at, _)) => line[..at].trim(),
        None => line.trim(),
    }
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

/// As the Python tool read them: `\'` and `\\`.
fn unescape_single(text: &str) -> String {
    unescape(text, |c| matches!(c, '\'' | '\\').then_some(c))
}

/// Quotes, backslash and `$`; line ends and tabs only outside of secrets: no password holds a line end, but
/// `\n` may well be two characters of one.
fn unescape_double(text: &str, secret: bool) -> String {
    unescape(text, |c| match c {
        '"' | '\'' | '\\' | '$' => Some(c),
        'n' if !secret => Some('\n'),
        't' if !secret => Some('\t'),
        'r' if !secret => Some('\r'),
        _ => None,
    })
}

fn unescape(text: &str, meant: impl Fn(char) -> Option<char>) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.clone().next().and_then(&meant) {
                Some(escaped) => {
                    plain.push(escaped);
                    chars.next();
                }
                None => plain.push('\\'),
            },
            _ => plain.push(c),
        }
    }
    plain
}

/// Writes a value so that both of dotenvy's passes (lines, then values) read it back as it is.
fn quote(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' | '$' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            _ => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_behind_values_go_and_hashes_inside_stay() {
        assert_eq!(one("CLUSTER_IDS=1,2,3  # ids"), "1,2,3");
        assert_eq!(one("CLUSTER_IDS=  # all of them"), "");
        assert_eq!(one("CLUSTER_IDS=#all"), "");
        assert_eq!(one("CLUSTER_IDS=\t# it's all"), "");
        assert_eq!(one("SSH_PASSWORD=ab#cd"), "ab#cd");
        assert_eq!(one("SSH_PASSWORD=#cd"), "#cd");
        assert_eq!(one("SSH_PASSWORD=# none"), "");
        assert_eq!(one("SSH_PASSWORD='ab # cd' # really"), "ab # cd");
        assert_eq!(one("SSH_PASSWORD=\"ab # cd\"#really"), "ab # cd");
    }

    #[test]
    fn a_dollar_is_a_dollar() {
        for text in ["pa$HOME", "'pa$HOME'", "\"pa$HOME\"", "\"pa\\$HOME\""] {
            assert_eq!(one(&format!("SSH_PASSWORD={text}")), "pa$HOME", "{text}");
        }
        assert_eq!(one("SSH_PASSWORD=pa${HOME}$$x"), "pa${HOME}$$x");
    }

    #[test]
    fn quotes_and_backslashes_inside_a_password_stay() {
        assert_eq!(one(r#"SSH_PASSWORD=a"b'c\d"#), r#"a"b'c\d"#);
        assert_eq!(one(r"SSH_PASSWORD='it's'"), "it's");
        assert_eq!(one(r"SSH_PASSWORD='a\d\\e\'f'"), r"a\d\e'f");
        assert_eq!(one(r#"SSH_PASSWORD="a\nb\"c""#), r#"a\nb"c"#);
        assert_eq!(one("SSH_PASSWORD='tis"), "'tis");
        assert_eq!(one("SSH_PASSWORD=\"half"), "\"half");
    }

    #[test]
    fn an_unclosed_quote_does_not_swallow_the_next_assignment() {
        let file = read("SSH_PASSWORD='tis\nSSH_USERNAME='root'\n").unwrap();
        assert_eq!(file.values["SSH_PASSWORD"], "'tis");
        assert_eq!(file.values["SSH_USERNAME"], "root");
    }

    #[test]
    fn json_stands_as_people_write_it() {
        let expected = r#"{"a": "b # 1"}"#;
        assert_eq!(one(&format!("SSH_HOSTS_MAPPING={expected}  # c")), expected);
        assert_eq!(one(&format!("SSH_HOSTS_MAPPING='{expected}'  # c")), expected);
        assert_eq!(one(r#"SSH_HOSTS_MAPPING="{\"a\": \"b # 1\"}""#), expected);
        assert_eq!(one("SSH_HOSTS_MAPPING={broken  # c"), "{broken");
    }

    #[test]
    fn json_may_run_over_several_lines() {
        let json = "{\n  \"node-1\": \"10.0.0.1\",\n  \"node-2\": \"10.0.0.2:2222\"\n}";
        for text in [
            format!("SSH_HOSTS_MAPPING='{json}'\nDRY_RUN=true\n"),
            format!("SSH_HOSTS_MAPPING='{json}'  # it's the mapping\nDRY_RUN=true"),
            format!("SSH_HOSTS_MAPPING={json} # c\nDRY_RUN=true"),
            format!("SSH_HOSTS_MAPPING='{json}'\nDRY_RUN=true\n").replace('\n', "\r\n"),
        ] {
            let file = read(&text).unwrap();
            assert_eq!(file.values["SSH_HOSTS_MAPPING"], json, "{text}");
            assert_eq!(file.values["DRY_RUN"], "true", "{text}");
            assert!(file.unreadable_lines.is_empty());
        }
    }

    #[test]
    fn blanks_export_marks_and_line_ends_do_not_matter() {
        let file =
            read("\u{feff}export A = 1\r\n  B\t=\t'2' \r\nexport\tC=3\r\n\r\n# D=4\r\nE=\r\n").unwrap();
        let values: Vec<_> = file.values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(values, [("A", "1"), ("B", "2"), ("C", "3"), ("E", "")]);
    }

    #[test]
    fn the_last_assignment_of_a_name_counts() {
        assert_eq!(read("A=1\nA=2").unwrap().values["A"], "2");
    }

    #[test]
    fn lines_that_say_nothing_are_counted_by_their_number() {
        let file = read("A='1\n2'\nnonsense\nB=1\n9=3\n").unwrap();
        assert_eq!(file.unreadable_lines, [3, 5]);
        assert_eq!(file.values["A"], "1\n2");
        assert_eq!(file.values["B"], "1");
    }

    proptest! {
        #[test]
        fn dotenvy_reads_back_every_value_as_it_was(value in "[^\r]*") {
            let text = format!("A={}\nB=end\n", quote(&value));
            let read: Vec<_> = dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read, [("A".to_owned(), value), ("B".to_owned(), "end".to_owned())]);
        }

        #[test]
        fn no_text_is_refused(text in "([A-C' \"\\\\#=\n$}{x]|\\PC)*") {
            prop_assert!(read(&text).is_ok());
        }
    }

    fn one(line: &str) -> String {
        let file = read(&format!("{line}\nZ=z\n")).unwrap();
        assert_eq!(file.values.len(), 2, "{line}: {file:?}");
        assert_eq!(file.values["Z"], "z", "{line}");
        file.values.into_values().next().unwrap()
    }
}
