//! Names of properties that clients should not set.
//!
//! Takes names. Gives whether they say privilege. Never allocates.

use crate::detect::functions::words;

/// What a name says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Privilege {
    /// A value that is often, but not always, the service's to set.
    Value,
    /// Rights, money, or whose something is.
    Right,
}

/// Words of rights, money and belonging in lists of OWASP (API3:2023, API6:2019), of CWE-915's examples and of published
/// cases.
const RIGHTS: [&str; 32] = [
    "admin",
    "administrator",
    "superuser",
    "staff",
    "role",
    "roles",
    "permission",
    "permissions",
    "privilege",
    "privileges",
    "scope",
    "scopes",
    "owner",
    "tenant",
    "balance",
    "credit",
    "credits",
    "verified",
    "approved",
    "approver",
    "approval",
    "moderator",
    "internal",
    "trusted",
    "sudo",
    "root",
    "group",
    "groups",
    "entitlement",
    "entitlements",
    "kyc",
    "impersonate",
];

const VALUES: [&str; 16] = [
    "price",
    "discount",
    "status",
    "paid",
    "plan",
    "tier",
    "quota",
    "enabled",
    "active",
    "activated",
    "confirmed",
    "locked",
    "banned",
    "suspended",
    "authorized",
    "refunded",
];

impl Privilege {
    /// Of a name; `None` for most.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(name).ok()?;
        let has = |list: &[&str]| {
            words::words(name).any(|word| list.iter().any(|known| word.eq_ignore_ascii_case(known)))
        };
        if has(&RIGHTS) {
            Some(Self::Right)
        } else {
            has(&VALUES).then_some(Self::Value)
        }
    }

    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Right => "right",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are_for() {
        for name in [
            "is_admin",
            "isAdmin",
            "role",
            "tenant_id",
            "approved_by",
            "accountBalance",
        ] {
            assert_eq!(Privilege::of(name.as_bytes()), Some(Privilege::Right), "{name}");
        }
        for name in ["unit_price", "status", "isActive"] {
            assert_eq!(Privilege::of(name.as_bytes()), Some(Privilege::Value), "{name}");
        }
        for name in ["gift_note", "controller", "display_name", "", "\u{e4}"] {
            assert_eq!(Privilege::of(name.as_bytes()), None, "{name}");
        }
    }
}
