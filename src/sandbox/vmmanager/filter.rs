//! The query language of lists: `where`, `orderby`, `limit`, as strict as the real one is said to be.

use std::cmp::Ordering;

/// A field of a row, for comparing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Number(u64),
    Text(&'a str),
    Null,
}

/// What a list request asks for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query {
    pub filter: Option<Filter>,
    /// A field, and whether it falls.
    pub order: Option<(String, bool)>,
    /// Offset and count.
    pub limit: Option<(usize, usize)>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Filter {
    Equal(String, String),
    Unequal(String, String),
    Like(String, String),
    IsNull(String),
    Not(Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

impl Query {
    /// Reads a raw query string; the error is for the answer.
    pub(super) fn parse(raw: &str) -> Result<Self, String> {
        // A plus that was encoded again arrives as a plus and not as a space.
        if raw.to_ascii_uppercase().contains("%2B") {
            return Err("cannot parse the expression: unexpected `+`".into());
        }
        let mut query = Self::default();
        for (key, value) in url::form_urlencoded::parse(raw.as_bytes()) {
            match &*key {
                "where" => query.filter = Some(Parser::parse(&value)?),
                "orderby" => query.order = Some(order(&value)?),
                "limit" => query.limit = Some(limit(&value)?),
                other => return Err(format!("unknown parameter `{other}`")),
            }
        }
        Ok(query)
    }
}

impl Filter {
    /// Tells whether a row passes; the error names a field that the row does not have.
    pub(super) fn passes<'a>(&self, field: &impl Fn(&str) -> Option<Field<'a>>) -> Result<bool, String> {
        let get = |name: &str| field(name).ok_or_else(|| format!("unknown field `{name}`"));
        Ok(match self {
            Self::Equal(name, value) => equal(get(name)?, value),
            Self::Unequal(name, value) => !equal(get(name)?, value),
            Self::Like(name, pattern) => match get(name)? {
                Field::Text(text) => like(text, pattern),
                Field::Number(number) => like(&number.to_string(), pattern),
                Field::Null => false,
            },
            Self::IsNull(name) => get(name)? == Field::Null,
            Self::Not(inner) => !inner.passes(field)?,
            Self::And(a, b) => a.passes(field)? && b.passes(field)?,
            Self::Or(a, b) => a.passes(field)? || b.passes(field)?,
        })
    }
}

/// Compares two fields of the same name.
pub(super) fn compare(a: Field<'_>, b: Field<'_>) -> Ordering {
    match (a, b) {
        (Field::Number(a), Field::Number(b)) => a.cmp(&b),
        (Field::Text(a), Field::Text(b)) => a.cmp(b),
        (Field::Null, Field::Null) => Ordering::Equal,
        (Field::Null, _) | (Field::Number(_), Field::Text(_)) => Ordering::Less,
        (_, Field::Null) | (Field::Text(_), Field::Number(_)) => Ordering::Greater,
    }
}

fn equal(field: Field<'_>, value: &str) -> bool {
    match field {
        Field::Number(number) => value.parse() == Ok(number),
        Field::Text(text) => text == value,
        Field::Null => false,
    }
}

fn like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('%') {
        None => text == pattern,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            let mut starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            starts.any(|at| like(&tail[at..], rest))
        }),
    }
}

fn order(value: &str) -> Result<(String, bool), String> {
    let mut words = value.split_whitespace();
    let field = words.next().ok_or("orderby without a field")?;
    let falls = match words.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => return Err(format!("orderby: `{other}` is neither asc nor desc")),
    };
    Ok((field.to_owned(), falls))
}

fn limit(value: &str) -> Result<(usize, usize), String> {
    let number = |text: &str| text.trim().parse().map_err(|_| format!("limit: `{text}` is not a number"));
    match value.split_once(',') {
        Some((offset, count)) => Ok((number(offset)?, number(count)?)),
        None => Ok((0, number(value)?)),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Word(String),
    Quoted(String),
}

impl Parser {
    fn parse(text: &str) -> Result<Filter, String> {
        let mut parser = Self { tokens: tokens(text)?, at: 0 };
        let filter = parser.any()?;
        match parser.next() {
            None => Ok(filter),
            Some(token) => Err(format!("unexpected {token:?} behind the expression")),
        }
    }

    fn any(&mut self) -> Result<Filter, String> {
        let mut filter = self.all()?;
        while self.takes("OR") {
            filter = Filter::Or(Box::new(filter), Box::new(self.all()?));
        }
        Ok(filter)
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut filter = self.one()?;
        while self.takes("AND") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, String> {
        if self.takes("NOT") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.any()?;
                match self.next() {
                    Some(Token::Close) => Ok(inner),
                    other => Err(format!("expected `)`, found {other:?}")),
                }
            }
            Some(Token::Word(field)) => self.condition(field),
            other => Err(format!("expected a field, found {other:?}")),
        }
    }

    fn condition(&mut self, field: String) -> Result<Filter, String> {
        let Some(Token::Word(operator)) = self.next() else {
            return Err(format!("expected an operator behind `{field}`"));
        };
        let value = match self.next() {
            Some(Token::Word(value) | Token::Quoted(value)) => value,
            other => return Err(format!("expected a value behind `{field} {operator}`, found {other:?}")),
        };
        match operator.as_str() {
            "EQ" => Ok(Filter::Equal(field, value)),
            "NE" => Ok(Filter::Unequal(field, value)),
            "CP" => Ok(Filter::Like(field, value)),
            "IS" if value.eq_ignore_ascii_case("null") => Ok(Filter::IsNull(field)),
            _ => Err(format!("unknown operator `{operator}`")),
        }
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(next)) if next == word);
        self.at += usize::from(found);
        found
    }

    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, behind) = match first {
            '(' => (Token::Open, &rest[1..]),
            ')' => (Token::Close, &rest[1..]),
            '\'' => {
                let (quoted, behind) = rest[1..].split_once('\'').ok_or("a quote is not closed")?;
                (Token::Quoted(quoted.to_owned()), behind)
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()'".contains(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                if !word.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                    return Err(format!("unexpected `{word}`"));
                }
                (Token::Word(word.to_owned()), behind)
            }
        };
        tokens.push(token);
        rest = behind.trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_seen_in_the_wild_are_understood() {
        for (filter, passes) in [
            ("id EQ 88", true),
            ("(id EQ '88')", true),
            ("((id EQ '88') AND (name EQ 'host_migrate'))", true),
            ("(status EQ 'running' OR status EQ 'created')", true),
            ("name CP '%migr%'", true),
            ("NOT name CP 'host_%'", false),
            ("id NE 88", false),
            ("output IS null", true),
            ("NOT (id EQ 1 OR id EQ 2) AND status EQ running", true),
        ] {
            assert_eq!(judge(filter), Ok(passes), "{filter}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for filter in
            ["", "id", "id EQ", "id LT 5", "(id EQ 5", "id EQ 5)", "id+EQ+5", "colour EQ red", "id EQ 'x"]
        {
            assert!(judge(filter).is_err(), "{filter}");
        }
        assert!(Query::parse("where=id%2BEQ%2B5").is_err());
        assert!(Query::parse("page=2").is_err());
    }

    #[test]
    fn limits_and_orders_are_read() {
        let query = Query::parse("limit=500,250&orderby=id%20desc&where=id+EQ+5").unwrap();
        assert_eq!((query.limit, query.order), (Some((500, 250)), Some(("id".to_owned(), true))));
        assert_eq!(Query::parse("limit=50").unwrap().limit, Some((0, 50)));
    }

    fn judge(filter: &str) -> Result<bool, String> {
        Parser::parse(filter)?.passes(&|name: &str| match name {
            "id" => Some(Field::Number(88)),
            "name" => Some(Field::Text("host_migrate")),
            "status" => Some(Field::Text("running")),
            "output" => Some(Field::Null),
            _ => None,
        })
    }
}
