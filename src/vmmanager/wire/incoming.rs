//! A list that is read while it comes: a row is parsed as soon as its last byte is there, and its bytes go at once.
//!
//! The rows are cut out of the body. What remains of it, its frame, is small and is read at the end like any answer.

use std::ops::Range;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Error, error::Category};

use super::plain::Plain;
use crate::model::{AnswerFlaw, Body};

/// The most that is held of a body at one time: one row, or all that is no row. Beyond it something else is being sent.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// For how many rows there is room at first.
const FIRST_ROWS: usize = 16;

/// How rows are read.
#[derive(Clone, Copy)]
pub(super) struct Reader<R> {
    /// Reads a sound row at the beginning of these bytes, and returns it with its length. `None` where the row is not
    /// whole, or odd in any way.
    pub first: fn(&[u8]) -> Option<(R, usize)>,
    /// Reads a row from its own bytes; `None` for what is no object.
    pub row: fn(&[u8]) -> Result<Option<R>, Error>,
}

/// A list that comes in pieces: `{"list": […], "size": n}`, or a bare array.
pub(super) struct Incoming<R> {
    reader: Reader<R>,
    rows: Vec<Option<R>>,
    place: Place,
    frame: Frame,
    /// The beginning of a row whose end has not come.
    begun: Vec<u8>,
    at: At,
    /// Where the list begins and ends.
    cut: Option<(At, At)>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy)]
enum Place {
    Frame,
    /// A row, or the end of the list where `may_end`.
    BeforeRow {
        may_end: bool,
    },
    Row {
        value: Value,
        began: At,
    },
    AfterRow,
    /// Nothing is read any more.
    Broken(Flaw),
}

/// What is beside the rows, once all has come.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Beside {
    /// Empty: its rows were cut out.
    list: Option<Vec<IgnoredAny>>,
    /// How many rows there are in all, where the server says.
    pub size: Plain,
    /// The newest number of a history.
    pub max_id: Plain,
}

impl<R> Incoming<R> {
    pub(super) fn new(reader: Reader<R>) -> Self {
        Self {
            reader,
            rows: Vec::new(),
            place: Place::Frame,
            frame: Frame::default(),
            begun: Vec::new(),
            at: START,
            cut: None,
        }
    }

    /// Returns the body without its rows, as far as it has come.
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame.bytes
    }

    /// Reads the next piece of the body, wherever it was cut; returns whether more of it is wanted. What is no list is
    /// wanted to its end: its length tells what it is, and one that breaks off is asked for again.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> bool {
        while !piece.is_empty() {
            let used = match self.place {
                Place::Frame => self.pass_frame(piece),
                Place::BeforeRow { may_end } => self.begin_row(piece, may_end),
                Place::Row { value, began } => self.pass_row(piece, value, began),
                Place::AfterRow => self.pass_comma(piece),
                Place::Broken(_) => piece.len(),
            };
            self.at = self.at.behind(&piece[..used]);
            piece = &piece[used..];
        }
        !matches!(self.place, Place::Broken(Flaw::TooLong))
    }

    /// Returns the rows as they came, and what was beside them.
    pub(super) fn end(mut self) -> Result<(Vec<Option<R>>, Beside), AnswerFlaw> {
        match self.beside() {
            Ok(beside) => Ok((self.rows, beside)),
            Err(flaw) => Err(flaw.of(Body { bytes: self.at.bytes, ..Body::of(&self.frame.bytes) })),
        }
    }

    fn beside(&mut self) -> Result<Beside, Flaw> {
        match self.place {
            Place::Broken(flaw) => return Err(flaw),
            Place::BeforeRow { .. } | Place::AfterRow => return Err(Flaw::CutOff(self.at)),
            Place::Row { began, .. } => {
                // A bracket that the wrong one closes swallows all that follows.
                let read = (self.reader.row)(&self.begun);
                return Err(read.err().map_or(Flaw::CutOff(self.at), |error| Flaw::of_row(&error, began)));
            }
            Place::Frame => {}
        }
        let bytes = &self.frame.bytes;
        let beside = match bytes.trim_ascii_start().starts_with(b"[") {
            true => serde_json::from_slice::<[IgnoredAny; 0]>(bytes).map(|_| Beside::default()),
            false => serde_json::from_slice::<Beside>(bytes),
        };
        let beside = beside.map_err(|error| Flaw::of_frame(&error, self.cut))?;
        debug_assert!(beside.list.as_ref().is_none_or(Vec::is_empty), "rows in the frame");
        Ok(beside)
    }

    fn pass_frame(&mut self, piece: &[u8]) -> usize {
        let (used, is_list) = self.frame.pass(piece);
        if is_list {
            let begins = self.at.behind(&piece[..used]);
            self.cut = Some((begins, begins));
            self.place = Place::BeforeRow { may_end: true };
        } else if self.frame.bytes.len() > HELD_BYTES_MAX {
            self.place = Place::Broken(Flaw::TooLong);
        }
        used
    }

    fn begin_row(&mut self, piece: &[u8], may_end: bool) -> usize {
        let blanks = blanks(piece);
        let at = self.at.behind(&piece[..blanks]);
        match piece.get(blanks) {
            None => {}
            Some(b']') if may_end => self.end_list(at),
            Some(b']' | b',') => self.place = Place::Broken(Flaw::NotJson(at.next())),
            Some(first) => return blanks + self.pass_first(&piece[blanks..], *first, at),
        }
        blanks
    }

    /// Reads a row that is whole and sound where it stands. Nearly all are: only those at the end of a piece are cut
    /// out first, and those that are odd.
    fn pass_first(&mut self, piece: &[u8], first: u8, at: At) -> usize {
        if first == b'{'
            && let Some((row, length)) = (self.reader.first)(piece)
        {
            self.keep(Some(row));
            return length;
        }
        self.place = Place::Row { value: Value::that_begins(first), began: at };
        0
    }

    fn pass_row(&mut self, piece: &[u8], mut value: Value, began: At) -> usize {
        let Some(end) = value.end(piece) else {
            self.begun.extend_from_slice(piece);
            self.place = match self.begun.len() > HELD_BYTES_MAX {
                true => Place::Broken(Flaw::TooLong),
                false => Place::Row { value, began },
            };
            return piece.len();
        };
        let read = if self.begun.is_empty() {
            (self.reader.row)(&piece[..end])
        } else {
            self.begun.extend_from_slice(&piece[..end]);
            let read = (self.reader.row)(&self.begun);
            self.begun.clear();
            read
        };
        match read {
            Ok(row) => self.keep(row),
            Err(error) => self.place = Place::Broken(Flaw::of_row(&error, began)),
        }
        end
    }

    fn keep(&mut self, row: Option<R>) {
        if self.rows.len() == self.rows.capacity() {
            // Twice the room, as a list takes by itself, is megabytes too much here.
            self.rows.reserve_exact(self.rows.len() / 4 + FIRST_ROWS);
        }
        self.rows.push(row);
        self.place = Place::AfterRow;
    }

    fn pass_comma(&mut self, piece: &[u8]) -> usize {
        let blanks = blanks(piece);
        let at = self.at.behind(&piece[..blanks]);
        match piece.get(blanks) {
            None => return blanks,
            Some(b']') => {
                self.end_list(at);
                return blanks;
            }
            Some(b',') => self.place = Place::BeforeRow { may_end: false },
            Some(_) => self.place = Place::Broken(Flaw::NotJson(at.next())),
        }
        blanks + 1
    }

    /// The bracket at this place belongs to the frame again.
    fn end_list(&mut self, at: At) {
        self.cut = self.cut.map(|(begins, _)| (begins, at));
        self.place = Place::Frame;
    }
}

/// The body without its rows.
#[derive(Default)]
struct Frame {
    bytes: Vec<u8>,
    depth: usize,
    text: Text,
    /// Where the last text is.
    last: Range<usize>,
}

impl Frame {
    /// Takes what belongs to the frame; returns how many bytes that is, and whether the list begins behind them.
    fn pass(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut used = 0;
        while let Some(byte) = piece.get(used) {
            if self.text.is_open {
                let skipped = self.text.skip(&piece[used..]);
                self.bytes.extend_from_slice(&piece[used..used + skipped]);
                self.last.end = self.bytes.len();
                used += skipped;
                continue;
            }
            self.bytes.push(*byte);
            used += 1;
            match byte {
                b'"' => {
                    self.text.is_open = true;
                    self.last.start = self.bytes.len() - 1;
                }
                b'{' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b'[' => {
                    self.depth += 1;
                    if self.opens_the_list() {
                        return (used, true);
                    }
                }
                _ => {}
            }
        }
        (used, false)
    }

    /// Tells whether the bracket that came last is the one of the list.
    fn opens_the_list(&self) -> bool {
        let before = self.bytes[..self.bytes.len() - 1].trim_ascii_end();
        match self.depth {
            1 => before.is_empty(),
            2 => before.strip_suffix(b":").is_some_and(|key| {
                let names_it = || serde_json::from_slice::<String>(&self.bytes[self.last.clone()]);
                key.trim_ascii_end().len() == self.last.end && names_it().is_ok_and(|key| key == "list")
            }),
            _ => false,
        }
    }
}

/// How far a value of the list has been passed. What is in it is for the parser to judge.
#[derive(Clone, Copy)]
struct Value {
    /// A number or a word: it ends before what cannot belong to it.
    is_bare: bool,
    depth: usize,
    text: Text,
}

impl Value {
    fn that_begins(first: u8) -> Self {
        let is_bare = !matches!(first, b'{' | b'[' | b'"');
        Self { is_bare, depth: 0, text: Text::default() }
    }

    /// Returns where the value ends in this piece; `None` where it goes on behind it.
    fn end(&mut self, piece: &[u8]) -> Option<usize> {
        if self.is_bare {
            return piece.iter().position(|byte| matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n'));
        }
        let mut at = 0;
        while let Some(byte) = piece.get(at) {
            if self.text.is_open {
                at += self.text.skip(&piece[at..]);
            } else {
                at += 1;
                match byte {
                    b'"' => self.text.is_open = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => continue,
                }
            }
            if self.depth == 0 && !self.text.is_open {
                return Some(at);
            }
        }
        None
    }
}

/// Whether a text between quotes goes on.
#[derive(Clone, Copy, Default)]
struct Text {
    is_open: bool,
    /// The last byte was a backslash, which takes the next one with it.
    is_escaped: bool,
}

impl Text {
    /// Passes the rest of a text; returns how many bytes of these belong to it.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if std::mem::take(&mut self.is_escaped) {
                at += 1;
                continue;
            }
            let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at..]) else { break };
            at += found + 1;
            if bytes[at - 1] == b'"' {
                self.is_open = false;
                return at;
            }
            self.is_escaped = true;
        }
        bytes.len()
    }
}

fn blanks(piece: &[u8]) -> usize {
    piece.len() - piece.trim_ascii_start().len()
}

/// A place in a body, counted as the parser counts.
#[derive(Clone, Copy)]
struct At {
    line: usize,
    /// How many bytes of the line are before it.
    column: usize,
    /// How many bytes of the body are before it.
    bytes: usize,
}

const START: At = At { line: 1, column: 0, bytes: 0 };

impl At {
    fn behind(self, passed: &[u8]) -> Self {
        let bytes = self.bytes + passed.len();
        match memchr::memchr_iter(b'\n', passed).count() {
            0 => Self { column: self.column + passed.len(), bytes, ..self },
            lines => {
                let rest = memchr::memrchr(b'\n', passed).map_or(0, |last| passed.len() - last - 1);
                Self { line: self.line + lines, column: rest, bytes }
            }
        }
    }

    fn next(self) -> Self {
        Self { column: self.column + 1, bytes: self.bytes + 1, ..self }
    }

    /// Turns an error's line and column, counted from here, into a place in the whole body.
    fn plus(self, line: usize, column: usize) -> Self {
        match line {
            0 | 1 => Self { column: self.column + column, ..self },
            _ => Self { line: self.line + line - 1, column, ..self },
        }
    }
}

/// Why a list cannot be read.
#[derive(Clone, Copy)]
enum Flaw {
    CutOff(At),
    NotJson(At),
    OddShape(At),
    TooLong,
}

impl Flaw {
    fn new(error: &Error, at: At) -> Self {
        match error.classify() {
            Category::Io | Category::Eof => Self::CutOff(at),
            Category::Syntax => Self::NotJson(at),
            Category::Data => Self::OddShape(at),
        }
    }

    fn of_row(error: &Error, began: At) -> Self {
        Self::new(error, began.plus(error.line(), error.column()))
    }

    /// What is behind the list stands in the frame where the rows would be.
    fn of_frame(error: &Error, cut: Option<(At, At)>) -> Self {
        let (line, column) = (error.line(), error.column());
        let at = match cut {
            Some((begins, ends)) if line == begins.line && column > begins.column => {
                ends.plus(1, column - begins.column)
            }
            Some((begins, ends)) if line > begins.line => ends.plus(line - begins.line + 1, column),
            _ => START.plus(line, column),
        };
        Self::new(error, at)
    }

    fn of(self, body: Body) -> AnswerFlaw {
        match self {
            Self::CutOff(At { line, column, .. }) => AnswerFlaw::CutOff { line, column, body },
            Self::NotJson(At { line, column, .. }) => AnswerFlaw::NotJson { line, column, body },
            Self::OddShape(At { line, column, .. }) => AnswerFlaw::OddShape { line, column, body },
            Self::TooLong => AnswerFlaw::TooLong { bytes_max: HELD_BYTES_MAX },
        }
    }
}

/// Says why an answer that is no list cannot be read.
pub(in crate::vmmanager) fn unreadable(error: &Error, body: &[u8]) -> AnswerFlaw {
    Flaw::of_row(error, START).of(Body::of(body))
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::model::BodyKind;

    const WHOLE: &str = "{\"last_notify\": 7, \"more\": {\"list\": [1]}, \"list\" :\n [{\"id\": 1, \"name\": \"a ] } \\\" \\\\\"},\n\
        null , 7,[], \"x,y\", {\"id\": {\"deep\": [[{}]]}} ], \"odd\": \"list\", \"size\": 6}";

    #[test]
    fn a_list_is_the_same_wherever_it_is_cut() {
        let (rows, beside) = read_in_pieces(WHOLE, WHOLE.len()).unwrap();
        let Json::Array(expected) = serde_json::from_str::<Json>(WHOLE).unwrap()["list"].take() else {
            panic!()
        };
        assert_eq!(rows, expected);
        assert_eq!(beside.size.whole(), Some(6));
        let escaped = WHOLE.replace("\"list\" :", "\"li\\u0073t\" :");
        for text in [WHOLE, &escaped] {
            for size in 1..text.len() {
                assert_eq!(read_in_pieces(text, size).unwrap().0, expected, "in pieces of {size}");
            }
        }
        let bare = " [ {\"id\": 1} ,2 ]\n";
        for size in 1..bare.len() {
            assert_eq!(read_in_pieces(bare, size).unwrap().0.len(), 2, "in pieces of {size}");
        }
    }

    #[test]
    fn wherever_a_list_breaks_off_the_place_is_named() {
        for end in 0..WHOLE.len() {
            let part = &WHOLE[..end];
            let found = flaw(part, 7);
            let Err(error) = serde_json::from_str::<Json>(part) else { panic!("{part}") };
            assert_eq!(found, unreadable(&error, part.as_bytes()), "{part}");
        }
    }

    #[test]
    fn what_is_no_list_is_described_as_the_parser_does() {
        for text in [
            "<html>\n<body>",
            "hello",
            "[{\"id\": 1}\n {\"id\": 2}]",
            "[{\"id\": 1},]",
            "[,]",
            "{\"list\": [\n{\"id\": 1,\n \"name\": tru}]}",
            "{\"list\": [{\"id\": 1},\n {\"id\": 2}], \"size\": }",
            "{\"list\": [{\"id\": 1},\n {\"id\": 2}],\n \"size\" 7}",
            "{\"list\": [{\"id\": 1}]} x",
            "[{\"id\": 1}] x",
            "[{\"id\": [1}], {\"id\": 2}]",
            "[\"\u{1}\"]",
        ] {
            let error = serde_json::from_str::<Json>(text).unwrap_err();
            for size in [1, 5, 100] {
                assert_eq!(flaw(text, size), unreadable(&error, text.as_bytes()), "{text}");
            }
        }
        for text in ["null", "7", "\"list\"", "{\"list\": {\"id\": 1}}", "{\"list\": [1], \"list\": [2]}"] {
            assert!(matches!(flaw(text, 3), AnswerFlaw::OddShape { .. }), "{text}");
        }
    }

    #[test]
    fn what_never_ends_is_not_held() {
        for beginning in ["[{\"id\": \"", "{\"size\": \"", "[[["] {
            let mut incoming = Incoming::new(Reader { first: first_json, row: json });
            incoming.take(beginning.as_bytes());
            let piece = vec![b'['; 1024 * 1024];
            assert_eq!((0..20).filter(|_| incoming.take(&piece)).count(), 15);
            assert!(incoming.begun.len() + incoming.frame.bytes.len() < HELD_BYTES_MAX + 2 * piece.len());
            let end = incoming.end().map(|_| ());
            assert_eq!(end, Err(AnswerFlaw::TooLong { bytes_max: HELD_BYTES_MAX }), "{beginning}");
        }
    }

    #[test]
    fn an_unreadable_body_is_described_by_its_shape() {
        let flaw = |body: &str| {
            let error = serde_json::from_str::<u64>(body).unwrap_err();
            unreadable(&error, body.as_bytes())
        };
        let body = Body { kind: BodyKind::Page, bytes: 12 };
        assert_eq!(flaw("<html></html"), AnswerFlaw::NotJson { line: 1, column: 1, body });
        let body = Body { kind: BodyKind::Empty, bytes: 0 };
        assert_eq!(flaw(""), AnswerFlaw::CutOff { line: 1, column: 0, body });
        let body = Body { kind: BodyKind::Object, bytes: 2 };
        assert!(matches!(flaw("{}"), AnswerFlaw::OddShape { body: found, .. } if found == body));
    }

    fn first_json(bytes: &[u8]) -> Option<(Json, usize)> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Json>();
        let value = values.next()?.ok()?;
        Some((value, values.byte_offset()))
    }

    fn json(row: &[u8]) -> Result<Option<Json>, Error> {
        serde_json::from_slice(row).map(Some)
    }

    fn read_in_pieces(text: &str, size: usize) -> Result<(Vec<Json>, Beside), AnswerFlaw> {
        let mut incoming = Incoming::new(Reader { first: first_json, row: json });
        assert!(text.as_bytes().chunks(size).all(|piece| incoming.take(piece)));
        let (rows, beside) = incoming.end()?;
        Ok((rows.into_iter().map(Option::unwrap).collect(), beside))
    }

    fn flaw(text: &str, size: usize) -> AnswerFlaw {
        match read_in_pieces(text, size) {
            Ok((rows, _)) => panic!("{text} was read: {rows:?}"),
            Err(flaw) => flaw,
        }
    }
}
