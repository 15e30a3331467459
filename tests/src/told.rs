//! What `tarn publish --json` said: the fields that stories compare, and the whole for their messages.

use serde_json::Value;

use crate::home::Ran;

/// One publish as it was told.
#[derive(Debug, Clone)]
pub struct Told {
    /// The exit code.
    pub exit: i32,
    /// The outcome's name.
    pub outcome: String,
    /// The id of the version it speaks of: ours if published, the other's if theirs came first.
    pub version: Option<String>,
    /// That version's sequence number.
    pub seqnum: Option<u64>,
    /// The id of the version before that one.
    pub base: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// The whole object.
    pub json: Value,
    /// Standard error.
    pub stderr: String,
}

impl Told {
    /// Reads what a publish printed; it must be one JSON object, whose outcome fits the exit code.
    pub fn of(ran: &Ran) -> Self {
        let json: Value =
            serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let told = Self {
            exit: ran.clone().never_panicked().exit.unwrap(),
            outcome: text(&json["outcome"]).unwrap(),
            version: text(&json["version"]["id"]),
            seqnum: json["version"]["seqnum"].as_u64(),
            base: text(&json["base"]),
            seconds: json["seconds"].as_f64().unwrap(),
            stderr: ran.stderr.clone(),
            json,
        };
        assert_eq!(told.exit, exit(&told.outcome), "{told:?}");
        let said = told.json["error"].as_str();
        assert_eq!(said.is_none(), told.is_published(), "{told:?}");
        told
    }

    /// Reads what a publish of several files printed: an object a line, in the order in which they ended.
    pub fn each(ran: &Ran) -> Vec<Self> {
        let lines = ran.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let json: Value =
                    serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
                let exit = Some(exit(json["outcome"].as_str().unwrap()));
                Self::of(&Ran { exit, stdout: line.to_owned(), stderr: ran.stderr.clone() })
            })
            .collect()
    }

    /// What a publish had printed when it was killed, if it was so far. It ends then as it said.
    pub fn before_death(ran: &Ran) -> Option<Self> {
        let json: Value = serde_json::from_slice(&ran.stdout).ok()?;
        let outcome = json["outcome"].as_str().unwrap();
        Some(Self::of(&Ran { exit: ran.exit.or(Some(exit(outcome))), ..ran.clone() }))
    }

    /// Whether its version is Published.
    pub fn is_published(&self) -> bool {
        self.outcome == "published"
    }

    /// Whether it is known what became of it.
    pub fn is_settled(&self) -> bool {
        !["partial", "unknown"].contains(&self.outcome.as_str())
    }

    /// Expects that it is.
    pub fn published(self) -> Self {
        assert!(self.is_published(), "{self:#?}");
        self
    }

    /// The id of the version it speaks of.
    pub fn id(&self) -> &str {
        self.version.as_deref().unwrap_or_else(|| panic!("no version: {self:#?}"))
    }

    /// Why it was not published; empty if it was.
    pub fn error(&self) -> &str {
        self.json["error"].as_str().unwrap_or_default()
    }

    /// What it says of the server at this address: why it failed.
    pub fn error_of(&self, address: &str) -> Option<&str> {
        let servers = self.json["servers"].as_array().unwrap();
        servers.iter().find(|server| server["address"] == address)?["error"].as_str()
    }

    /// The read cap.
    pub fn read_cap(&self) -> &str {
        self.json["read_cap"].as_str().unwrap()
    }
}

/// The exit code of an outcome, as the command documents it.
fn exit(outcome: &str) -> i32 {
    match outcome {
        "published" => 0,
        "cancelled" | "source_changed" | "input_used_up" | "failed" => 1,
        "uncoordinated_write" | "stale" | "contended" => 3,
        "not_enough_servers" | "base_missing" | "undecided" => 4,
        "partial" | "unknown" => 5,
        other => panic!("no outcome is called {other}"),
    }
}
