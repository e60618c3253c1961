//! Why VMmanager, the store or the planner could not be used, as data that the store keeps and people are shown.

use serde::{Deserialize, Serialize};

use super::{MigrationId, ProposalId, Quote, VmId};

/// Why something could not be done at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// VMmanager gave nothing.
    VmManager(ApiFailure),
    /// The store could not do it.
    Store(StoreFailure),
    /// The planner panicked.
    Planning(Quote),
}

/// Why a request to VMmanager gave nothing. `what` is the method and the path of the request. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiFailure {
    /// The settings of the client cannot be used.
    Settings(ApiSettingsFlaw),
    /// The user, password or token is not taken: a person must change the configuration.
    Credentials(LoginRefusal),
    /// There is no function to log in with.
    NoLogin {
        /// Method and path of the request to log in.
        what: String,
    },
    /// The user may not do this: a person must change the rights in VMmanager.
    Forbidden {
        /// Method and path of the request.
        what: String,
        /// VMmanager's reason.
        said: Said,
    },
    /// VMmanager put the request off for this many seconds and did not take it.
    Unavailable {
        /// Method and path of the request.
        what: String,
        /// Seconds from the first try to the last.
        waited: u64,
    },
    /// Silence, or the words of a gateway. It may succeed later.
    NoAnswer {
        /// Method and path of the request.
        what: String,
        /// What came in place of an answer.
        said: Silence,
    },
    /// There is no such function or object.
    NotFound {
        /// Method and path of the request.
        what: String,
        /// VMmanager's reason.
        said: Said,
        /// VMmanager's number of the error; `None` where it gives none.
        #[serde(default)]
        code: Option<i64>,
    },
    /// A final no.
    Refused {
        /// Method and path of the request.
        what: String,
        /// VMmanager's reason.
        said: Said,
        /// The HTTP status of the answer.
        status: u16,
        /// VMmanager's number of the error; `None` where it gives none.
        code: Option<i64>,
    },
    /// An answer of an unknown shape.
    Unreadable {
        /// Method and path of the request.
        what: String,
        /// What is wrong with the answer.
        said: AnswerFlaw,
    },
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

impl std::error::Error for ApiFailure {}

/// Why the client of VMmanager cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiSettingsFlaw {
    /// The address holds a user or a password.
    UserInAddress,
    /// The HTTP library refuses.
    Client(Quote),
    /// The file of the private authority holds no certificate.
    NoCertificate,
    /// The file of the private authority cannot be read as PEM.
    Authority(Quote),
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

/// Why nobody is logged in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginRefusal {
    /// The account needs a further step.
    NotConfirmed,
    /// A success without a token.
    NoToken,
    /// Refused before, and not tried again for this many seconds.
    Rests {
        /// The refusal that it rests from.
        because: Box<LoginRefusal>,
        /// Seconds until the next try.
        seconds: u64,
    },
    /// VMmanager's answer.
    #[serde(untagged)]
    Said(Said),
}

/// What an answer gave as its reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Numbers alone.
    Numbers {
        /// The HTTP status of the answer.
        status: u16,
        /// VMmanager's number of the error; `None` where it gives none.
        code: Option<i64>,
    },
    /// Something that is no answer of VMmanager's.
    Foreign {
        /// The HTTP status of the answer.
        status: u16,
        /// What the answer looks like.
        body: Body,
    },
    /// Its own words. An older version put more into them.
    #[serde(untagged)]
    Words(Quote),
}

/// How a request got no answer of VMmanager's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Nothing came in time.
    TimedOut(Quote),
    /// There was no connection, or it broke.
    Lost(Quote),
    /// A status of a gateway, or of a server that stumbled.
    Status {
        /// The HTTP status.
        status: u16,
        /// The reason that came with it.
        said: Said,
    },
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

/// Why an answer cannot be read. Tells its shape and not what it holds, which may be a client's data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFlaw {
    /// It ends too early.
    CutOff {
        /// The line it ends in, from 1.
        line: usize,
        /// The column in that line.
        column: usize,
        /// What the answer looks like.
        body: Body,
    },
    /// It is no JSON.
    NotJson {
        /// The line of the first odd character, from 1.
        line: usize,
        /// Its column.
        column: usize,
        /// What the answer looks like.
        body: Body,
    },
    /// It is JSON of another shape.
    OddShape {
        /// The line where the shape differs, from 1.
        line: usize,
        /// The column in that line.
        column: usize,
        /// What the answer looks like.
        body: Body,
    },
    /// It is longer than this many bytes.
    TooLong {
        /// The most bytes that are read.
        bytes_max: usize,
    },
    /// The VM's row does not name its node.
    VmWithoutNode {
        /// VMmanager's number of the VM.
        vm: VmId,
    },
    /// Reading it panicked.
    Panicked(Quote),
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

/// The outside of an answer: enough to see whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Body {
    /// What it looks like.
    pub kind: BodyKind,
    /// Its length in bytes.
    pub bytes: usize,
}

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// There is nothing in it.
    Empty,
    /// It begins as a JSON object.
    Object,
    /// It begins as a JSON list.
    List,
    /// HTML or XML.
    Page,
    /// Anything else.
    Text,
}

impl Body {
    /// Describes an answer.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let kind = match body.trim_ascii_start().first() {
            None => BodyKind::Empty,
            Some(b'{') => BodyKind::Object,
            Some(b'[') => BodyKind::List,
            Some(b'<') => BodyKind::Page,
            Some(_) => BodyKind::Text,
        };
        Self { kind, bytes: body.len() }
    }
}

/// Why the store could not do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreFailure {
    /// Another process has it open.
    Locked {
        /// The folder of the store.
        path: String,
    },
    /// Its files are damaged.
    Damaged(Damage),
    /// A newer version of this program wrote it.
    Newer {
        /// The version of the records found.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// A full disk, missing rights and the like.
    Disk(DiskFailure),
    /// The VM has an open migration in the journal.
    InFlight {
        /// VMmanager's number of the VM.
        vm: VmId,
    },
    /// It is closed after an earlier failure, until it can be opened again.
    Closed(Box<StoreFailure>),
    /// It is being opened again.
    Opening,
    /// The export cannot be used.
    Export(ExportFlaw),
    /// A record cannot be written as JSON.
    Unwritable(Quote),
    /// There is no such entry in the journal.
    NoSuchEntry(MigrationId),
    /// The entry of the journal has ended.
    EntryEnded(MigrationId),
    /// There is no such proposal.
    NoSuchProposal(ProposalId),
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

/// How the store's files are damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// It is empty, and there was one before.
    Emptied,
    /// There is nothing to read.
    Missing,
    /// It has fewer writes than are known.
    EndLost {
        /// The number of the last write in it.
        has: u64,
        /// The number of the last write that is known elsewhere.
        of: u64,
    },
    /// An ordered migration is not in the journal.
    EntryLost {
        /// Its number in the journal.
        entry: MigrationId,
        /// The VM that it moves.
        vm: VmId,
    },
    /// A record cannot be read.
    Record {
        /// The kind of the records.
        tree: String,
        /// Its key.
        key: String,
        /// The reader's words.
        said: Quote,
    },
    /// sled or the operating system found it.
    Files(Quote),
    /// sled panicked.
    Panicked(Quote),
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

/// What the disk refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskFailure {
    /// A file or a folder cannot be used.
    File {
        /// The file or the folder.
        path: String,
        /// The operating system's words.
        said: Quote,
    },
    /// The store's own files cannot be used.
    Files(Quote),
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

/// Why an export cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFlaw {
    /// Its last line is missing.
    CutOff,
    /// It has another number of records than it says.
    Count {
        /// Records that are in it.
        has: u64,
        /// Records that it says it has.
        of: u64,
    },
    /// A line of it is no record.
    Unreadable(Quote),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_store_and_text_of_an_older_version_is_read() {
        let failure = ApiFailure::Unavailable { what: "GET /vm/v3/host".into(), waited: 3 };
        let written = serde_json::to_string(&failure).unwrap();
        assert_eq!(written, r#"{"unavailable":{"what":"GET /vm/v3/host","waited":3}}"#);
        assert_eq!(serde_json::from_str::<ApiFailure>(&written).unwrap(), failure);
        let rests = LoginRefusal::Rests { because: Box::new(LoginRefusal::NoToken), seconds: 30 };
        let body = Body::of(b" <html>");
        let failures = [
            ApiFailure::Credentials(rests),
            ApiFailure::Credentials(LoginRefusal::Said(Said::Foreign { status: 401, body })),
            ApiFailure::Unreadable {
                what: "GET /".into(),
                said: AnswerFlaw::NotJson { line: 1, column: 1, body },
            },
        ];
        for failure in failures {
            let written = serde_json::to_string(&failure).unwrap();
            assert_eq!(serde_json::from_str::<ApiFailure>(&written).unwrap(), failure, "{written}");
        }
        let old = r#""no answer from vmmanager to GET /vm/v3/host: timed out""#;
        let said = Quote::of("no answer from vmmanager to GET /vm/v3/host: timed out");
        assert_eq!(serde_json::from_str::<ApiFailure>(old).unwrap(), ApiFailure::Other(said));
        let settings = r#"{"settings":"the address must not hold a user or a password"}"#;
        let said = "the address must not hold a user or a password".into();
        let settings = serde_json::from_str::<ApiFailure>(settings).unwrap();
        assert_eq!(settings, ApiFailure::Settings(ApiSettingsFlaw::Other(said)));
        let login = serde_json::from_str::<ApiFailure>(r#"{"credentials":"wrong password"}"#).unwrap();
        let said = || Said::Words("wrong password".into());
        assert_eq!(login, ApiFailure::Credentials(LoginRefusal::Said(said())));
        let silent = r#"{"no_answer":{"what":"GET /","said":"timed out"}}"#;
        let silent = serde_json::from_str::<ApiFailure>(silent).unwrap();
        assert_eq!(
            silent,
            ApiFailure::NoAnswer { what: "GET /".into(), said: Silence::Other("timed out".into()) }
        );
        let odd = r#"{"unreadable":{"what":"GET /","said":"it is not JSON"}}"#;
        let odd = serde_json::from_str::<ApiFailure>(odd).unwrap();
        let said = AnswerFlaw::Other("it is not JSON".into());
        assert_eq!(odd, ApiFailure::Unreadable { what: "GET /".into(), said });
        let missing = r#"{"not_found":{"what":"GET /","said":"no such host"}}"#;
        let missing = serde_json::from_str::<ApiFailure>(missing).unwrap();
        let said = Said::Words("no such host".into());
        assert_eq!(missing, ApiFailure::NotFound { what: "GET /".into(), said, code: None });
        for old in [r#"{"damaged":"it is cut off"}"#, r#"{"disk":"no space left"}"#] {
            let read = serde_json::from_str::<StoreFailure>(old).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), old);
        }
        let old = serde_json::from_str::<StoreFailure>(r#""failed to write /data: no space left""#).unwrap();
        assert_eq!(old, StoreFailure::Other("failed to write /data: no space left".into()));
    }
}
