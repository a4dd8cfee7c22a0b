//! The tables of the store: what each column means, the SQL that makes it, and the steps from each earlier version.
//!
//! One definition serves the file and `docs/OUTPUT.md`, so that both cannot drift apart. Steps go forward only: a
//! column says since which version it is there. Bounded by this text.

use std::fmt::Write as _;

/// Version that this sensor writes (`PRAGMA user_version`).
pub const VERSION: u32 = 3;

/// Says that a file of SQLite is a store of ours (`PRAGMA application_id`): `apis` in ASCII.
pub const APPLICATION: i32 = 0x6170_6973;

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Name.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// Version that made it.
    since: u32,
    /// Its columns.
    pub columns: &'static [Column],
    /// What holds between columns, in SQL, and since which version. Another one makes the table anew.
    constraints: &'static [(u32, &'static str)],
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Name.
    pub name: &'static str,
    /// Type and constraints, in SQL.
    pub kind: &'static str,
    /// What it holds.
    pub about: &'static str,
    since: u32,
}

const fn column(name: &'static str, kind: &'static str, about: &'static str) -> Column {
    Column {
        name,
        kind,
        about,
        since: 1,
    }
}

const fn later(since: u32, name: &'static str, kind: &'static str, about: &'static str) -> Column {
    Column {
        name,
        kind,
        about,
        since,
    }
}

const COUNT: &str = "INTEGER NOT NULL DEFAULT 0";
const NUMBER: &str = "INTEGER NOT NULL";
const TEXT: &str = "TEXT NOT NULL";
const ENDPOINT: &str = "INTEGER NOT NULL REFERENCES endpoints(id) ON DELETE CASCADE";
const ONE_ENDPOINT: &str = "INTEGER PRIMARY KEY REFERENCES endpoints(id) ON DELETE CASCADE";
const FIRST: Column = column("first_seen", NUMBER, "nanoseconds since 1970, UTC");
const LAST: Column = column("last_seen", NUMBER, "the same, of the last");

/// Every table, in the order in which they are made.
pub const TABLES: &[Table] = &[
    ENDPOINTS, STATUSES, AUTH, DATA, RESOURCES, FINDINGS, CALLERS, RUNS, STATE, SCHEMAS,
];

const ENDPOINTS: Table = Table {
    name: "endpoints",
    about: "An API endpoint: a method of a path template on a host.",
    since: 1,
    columns: &[
        column(
            "id",
            "INTEGER PRIMARY KEY AUTOINCREMENT",
            "stays the same and is never used again",
        ),
        column("kind", TEXT, "`rest`, or the kind of API whose operation it is"),
        column("method", TEXT, "HTTP method; `_OTHER` when unusual"),
        column("host", TEXT, "host without port; `-` when absent"),
        column("template", TEXT, "path template; values are `{...}`"),
        FIRST,
        LAST,
        column("exchanges", COUNT, "calls seen"),
        column("success_known", COUNT, "of them, successes with credentials"),
        column("success_anonymous", COUNT, "of them, successes without"),
        later(
            2,
            "confidence",
            "INTEGER",
            "how sure the template is, in percent; empty for what is no endpoint, and kept for what was found there",
        ),
        later(
            3,
            "operation",
            "TEXT NOT NULL DEFAULT ''",
            "which call it is, where the path does not say it, such as a GraphQL operation",
        ),
    ],
    constraints: &[
        (1, "UNIQUE (kind, method, host, template)"),
        (3, "UNIQUE (kind, method, host, template, operation)"),
    ],
};

const STATUSES: Table = Table {
    name: "statuses",
    about: "How an endpoint answered.",
    since: 1,
    columns: &[
        column("endpoint", ENDPOINT, "`endpoints.id`"),
        column("status", NUMBER, "status code; 0 when no response was seen"),
        column("exchanges", COUNT, "how often"),
    ],
    constraints: &[(1, "PRIMARY KEY (endpoint, status)")],
};

const AUTH: Table = Table {
    name: "auth",
    about: "How callers of an endpoint said who they are.",
    since: 1,
    columns: &[
        column("endpoint", ENDPOINT, "`endpoints.id`"),
        column(
            "scheme",
            TEXT,
            "kind of credentials, `none`, or `unseen` where the head was cut",
        ),
        column("exchanges", COUNT, "how often"),
    ],
    constraints: &[(1, "PRIMARY KEY (endpoint, scheme)")],
};

const DATA: Table = Table {
    name: "data",
    about: "Sensitive data at a place of an endpoint's messages.",
    since: 1,
    columns: &[
        column("endpoint", ENDPOINT, "`endpoints.id`"),
        column("half", TEXT, "`request` or `response`"),
        column("part", TEXT, "`path`, `query`, `header`, `cookie` or `body`"),
        column(
            "name",
            TEXT,
            "name, or path in the body such as `data[].card`; what could be a value is `*`",
        ),
        column("kind", TEXT, "kind of data, such as `payment_card`"),
        column("count", COUNT, "values"),
        column("confidence", NUMBER, "highest, in percent"),
        FIRST,
        LAST,
    ],
    constraints: &[(1, "PRIMARY KEY (endpoint, half, part, name, kind)")],
};

const RESOURCES: Table = Table {
    name: "resources",
    about: "Where an endpoint was seen: a process in a container.",
    since: 1,
    columns: &[
        column("endpoint", ENDPOINT, "`endpoints.id`"),
        column("process", TEXT, "command name"),
        column("role", TEXT, "`server`, `client` or `unknown`"),
        column("port", NUMBER, "the server's port; 0 while unknown"),
        column("container", TEXT, "container id; empty outside of containers"),
        column("runtime", TEXT, "container runtime, where known"),
        column("pod", TEXT, "uid of the Kubernetes pod, where known"),
        column("tls", NUMBER, "1 when the bytes travelled inside TLS"),
        column("exchanges", COUNT, "how often"),
        FIRST,
        LAST,
    ],
    constraints: &[(1, "PRIMARY KEY (endpoint, process, role, port, container, tls)")],
};

const FINDINGS: Table = Table {
    name: "findings",
    about: "What a rule said of an endpoint; the same is one row.",
    since: 1,
    columns: &[
        column("rule", TEXT, "id of the rule"),
        column("endpoint", ENDPOINT, "`endpoints.id`"),
        column(
            "subject",
            TEXT,
            "what it is about: kind and place of data, or a scheme; may be empty",
        ),
        column("severity", TEXT, "the last one"),
        column("confidence", NUMBER, "the last one, in percent"),
        column(
            "count",
            COUNT,
            "at least so often: repeats are told at powers of ten only",
        ),
        FIRST,
        LAST,
    ],
    constraints: &[(1, "PRIMARY KEY (rule, endpoint, subject)")],
};

const CALLERS: Table = Table {
    name: "callers",
    about: "A caller, known by a keyed hash only.",
    since: 1,
    columns: &[
        column("caller", TEXT, "hash with the installation's key"),
        column("scheme", TEXT, "kind of credentials"),
        column("exchanges", COUNT, "calls"),
        FIRST,
        LAST,
    ],
    constraints: &[(1, "PRIMARY KEY (caller, scheme)")],
};

const RUNS: Table = Table {
    name: "runs",
    about: "When a sensor wrote here: between runs nothing was watched.",
    since: 1,
    columns: &[
        column("id", "INTEGER PRIMARY KEY AUTOINCREMENT", "number of the run"),
        FIRST,
        LAST,
        column("flushes", COUNT, "transactions"),
        column("exchanges", COUNT, "calls in them"),
    ],
    constraints: &[],
};

const STATE: Table = Table {
    name: "state",
    about: "What a stage learnt, for the next run. Of no use to others.",
    since: 1,
    columns: &[
        column(
            "name",
            "TEXT NOT NULL PRIMARY KEY",
            "the stage; with `.unusable` at its end, what it could not take back",
        ),
        column("version", NUMBER, "of its format"),
        column("saved", NUMBER, "nanoseconds since 1970, UTC"),
        column("content", "BLOB NOT NULL", "the stage's own"),
        later(
            2,
            "keyed",
            "INTEGER NOT NULL DEFAULT 2",
            "when the installation's key is changed: 0, it stays; 1, it stays while the key before it is known; 2, it goes",
        ),
    ],
    constraints: &[],
};

const SCHEMAS: Table = Table {
    name: "schemas",
    about: "What parameters and bodies of an endpoint look like; `api-sensor openapi` shows it.",
    since: 2,
    columns: &[
        later(2, "endpoint", ONE_ENDPOINT, "`endpoints.id`"),
        later(2, "saved", NUMBER, "nanoseconds since 1970, UTC"),
        later(
            2,
            "content",
            TEXT,
            "what was learnt, as JSON of the sensor's own; no observed value",
        ),
    ],
    constraints: &[],
};

/// Indexes for what is asked often: retention goes by age.
const INDEXES: &[(u32, &str)] = &[
    (1, "CREATE INDEX endpoints_last ON endpoints (last_seen);"),
    (1, "CREATE INDEX callers_last ON callers (last_seen);"),
    (1, "CREATE INDEX findings_endpoint ON findings (endpoint);"),
];

/// SQL from the version before to this one. 1 makes a store from nothing.
pub(super) fn step(to: u32) -> String {
    let mut sql = String::new();
    for table in TABLES {
        if table.since == to {
            sql.push_str(&creation(table, table.name, to));
        } else if table.constraints.iter().any(|(since, _)| *since == to) {
            sql.push_str(&remaking(table, to));
        } else if table.since < to {
            for column in table.columns.iter().filter(|column| column.since == to) {
                let _infallible = writeln!(
                    sql,
                    "ALTER TABLE {} ADD COLUMN {} {};",
                    table.name, column.name, column.kind
                );
            }
        }
    }
    let indexes = INDEXES.iter().filter(|(since, _)| *since == to);
    sql.extend(indexes.map(|(_, index)| *index));
    sql
}

fn columns(table: &Table, version: u32) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(move |column| column.since <= version)
}

/// As it is in a version.
fn creation(table: &Table, name: &str, version: u32) -> String {
    let mut parts: Vec<String> = columns(table, version)
        .map(|column| format!("{} {}", column.name, column.kind))
        .collect();
    let constraints = table.constraints.iter().rev();
    if let Some((_, sql)) = constraints.into_iter().find(|(since, _)| *since <= version) {
        parts.push((*sql).to_owned());
    }
    format!("CREATE TABLE {name} ({});\n", parts.join(", "))
}

/// SQLite changes no constraint of a table: its rows go to a new one (`sqlite.org/lang_altertable.html`, 7), and numbers go
/// on where they were.
fn remaking(table: &Table, to: u32) -> String {
    let Table { name, .. } = table;
    let kept: Vec<&str> = columns(table, to - 1).map(|column| column.name).collect();
    let kept = kept.join(", ");
    let indexes = INDEXES
        .iter()
        .filter(|(since, index)| *since < to && index.contains(&format!(" ON {name} (")));
    let indexes: String = indexes.map(|(_, index)| *index).collect();
    format!(
        "{}INSERT INTO {name}_new ({kept}) SELECT {kept} FROM {name};
         DELETE FROM sqlite_sequence WHERE name = '{name}_new';
         INSERT INTO sqlite_sequence SELECT '{name}_new', seq FROM sqlite_sequence WHERE name = '{name}';
         DROP TABLE {name}; ALTER TABLE {name}_new RENAME TO {name};\n{indexes}",
        creation(table, &format!("{name}_new"), to)
    )
}

/// Part of `docs/OUTPUT.md`.
pub fn reference() -> String {
    let mut page = format!(
        "Version {VERSION} (`PRAGMA user_version`). Times are nanoseconds since 1970 in UTC: \
         `datetime(last_seen / 1000000000, 'unixepoch')`.\n"
    );
    for table in TABLES {
        let _infallible = write!(
            page,
            "\n### `{}`\n\n{}\n\n| column | meaning |\n| --- | --- |\n",
            table.name, table.about
        );
        for column in table.columns {
            let _infallible = writeln!(page, "| `{}` | {} |", column.name, column.about);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- tables of the store: generated -->\n";
    const END: &str = "<!-- end of the tables -->\n";

    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OUTPUT.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the mark before the tables");
        let (found, after) = rest.split_once(END).expect("the mark after the tables");
        let wanted = format!("\n{}\n", reference());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
            return;
        }
        assert!(
            found == wanted,
            "docs/OUTPUT.md is not current: BLESS=1 cargo test -p sensor-user --lib store::tables"
        );
    }
}
