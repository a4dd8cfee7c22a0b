//! Names of functions that are for administrators.
//!
//! Takes templates and names of calls. Gives whether a word of them says so. Never allocates.

use crate::detect::Observation;

/// Words that functions for administrators are called by in published APIs and in OWASP's examples (API5:2023).
const WORDS: [&str; 34] = [
    "admin",
    "admins",
    "administrator",
    "administrators",
    "administration",
    "administrative",
    "superadmin",
    "superuser",
    "sysadmin",
    "sudo",
    "root",
    "internal",
    "internals",
    "manage",
    "management",
    "mgmt",
    "backoffice",
    "impersonate",
    "impersonation",
    "role",
    "roles",
    "permission",
    "permissions",
    "privilege",
    "privileges",
    "grant",
    "grants",
    "revoke",
    "acl",
    "ban",
    "moderation",
    "actuator",
    "maintenance",
    "operator",
];

/// Whether the path or the call is named so.
pub(in crate::detect) fn is_administrative(seen: &Observation<'_>) -> bool {
    let fixed = seen
        .endpoint
        .template
        .split('/')
        .filter(|step| !step.starts_with('{'));
    let call = seen.labels.calls.first().map(|call| &*call.name);
    fixed.chain(call).any(says_so)
}

fn says_so(name: &str) -> bool {
    words(name).any(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// Words of a name: between marks, and where a capital follows a small letter.
pub(in crate::detect) fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|letter: char| !letter.is_ascii_alphanumeric())
        .flat_map(humps)
        .filter(|word| !word.is_empty())
}

fn humps(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let letters = rest.as_bytes();
        let rises = |pair: &[u8]| match pair {
            [one, other] => !one.is_ascii_uppercase() && other.is_ascii_uppercase(),
            _ => false,
        };
        let end = letters
            .windows(2)
            .position(rises)
            .map_or(rest.len(), |place| place + 1);
        let (word, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_word_by_word() {
        let all = |name| words(name).collect::<Vec<_>>();
        assert_eq!(all("AdminBanUser"), ["Admin", "Ban", "User"]);
        assert_eq!(all("is_admin"), ["is", "admin"]);
        assert_eq!(
            all("stock.v1.Admin/AdjustLevel"),
            ["stock", "v1", "Admin", "Adjust", "Level"]
        );
        assert_eq!(all("größe"), ["gr", "e"]);
        assert!(all("").is_empty());
        for name in ["admin", "back/internal", "adminBanUser", "users/role"] {
            assert!(name.split('/').any(says_so), "{name}");
        }
        for name in ["administer-drug", "badminton", "controller", "support", "banner"] {
            assert!(!says_so(name), "{name}");
        }
    }
}
