//! What really happened: the attacks, and which pattern each other exchange belongs to.

macro_rules! names {
    ($(#[doc = $doc:literal])+ $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub(crate) enum $name { $($variant,)+ }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

names! {
    /// What an attack does.
    Kind {
        ForeignObject = "foreign object",
        UnissuedObject = "object handed out to nobody",
        Enumeration = "enumeration",
        TenantMismatch = "tenant mismatch",
        RoleFunction = "function of another role",
        AdminFunction = "administrative function",
        NewMethod = "method new for the group",
        NoCredentials = "no credentials",
        MassAssignment = "mass assignment",
        ExcessRelease = "excessive data since a release",
        ExcessCaller = "excessive data for one caller",
        BulkRead = "bulk read",
        JwtNone = "JWT without signature",
        JwtConfused = "JWT algorithm confused",
        JwtExpiry = "JWT without or with late expiry",
        ExpiredAccepted = "expired JWT accepted",
        GuessableSecret = "JWT secret guessable",
        CredentialInUrl = "credential in URL",
        BasicCleartext = "Basic over cleartext",
        ManyPlaces = "one token from many places",
        Stuffing = "credential stuffing",
        Spraying = "password spraying",
        BruteForce = "brute force",
        UserEnumeration = "user enumeration",
        SkippedStep = "login step skipped",
    }
}

names! {
    /// How fast.
    Speed {
        Fast = "fast",
        Ordinary = "ordinary",
        Slow = "slow",
    }
}

names! {
    /// How it hides.
    Cover {
        Plain = "plain",
        Accounts = "over accounts",
        Addresses = "over addresses",
        Mixed = "mixed with ordinary traffic",
        Random = "ids in random order",
        Body = "id in the body",
        Header = "id in a header",
        Query = "id in the query",
        Variable = "id in a GraphQL variable",
        Grpc = "id in a gRPC field",
        Write = "writes",
        Delete = "deletes",
    }
}

names! {
    /// What a benign exchange is part of; the name of the cause of a false finding.
    Pattern {
        Shopping = "shopping",
        Mobile = "mobile client",
        Polling = "polling",
        Roaming = "roaming client",
        Crawler = "crawler",
        Office = "office work",
        Manager = "manager",
        Accountant = "delegated access",
        Integration = "integration by API key",
        Social = "social",
        Team = "shared in a team",
        ShareLink = "shared link",
        Support = "support staff",
        Admin = "administrator",
        Auditor = "auditor",
        Warehouse = "warehouse staff",
        Batch = "batch job",
        Machine = "service account",
        Monitor = "monitoring probe",
        Login = "login",
        Mistyped = "mistyped password",
        Expired = "expired token refused",
        PasswordChange = "password change",
        Missing = "stale or wrong id",
        Failure = "failure and retry",
        Release = "release",
        NewHire = "new hire",
        RoleChange = "role change",
        NewTenant = "new tenant",
    }
}

/// One attack.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) kind: Kind,
    pub(crate) speed: Speed,
    pub(crate) cover: Cover,
    /// Which function of the estate it goes for.
    pub(crate) target: &'static str,
    /// First and last exchange, simulated; none yet while `exchanges` is 0.
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) exchanges: u32,
    /// Who: numbers of users, and [`NOBODY`].
    pub(crate) actors: std::collections::BTreeSet<u32>,
}

/// The actor of an exchange without an account.
pub(crate) const NOBODY: u32 = u32::MAX;
/// Machines have numbers from here.
pub(crate) const MACHINES: u32 = 1 << 24;

/// To what an exchange belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tag {
    pub(crate) actor: u32,
    pub(crate) pattern: Pattern,
    /// Its attack, by number.
    pub(crate) attack: Option<u16>,
}

/// The whole truth, as far as the simulation has come.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) instances: Vec<Instance>,
    pub(crate) benign: u64,
    pub(crate) attacking: u64,
    /// Benign exchanges by pattern.
    pub(crate) patterns: std::collections::BTreeMap<Pattern, u64>,
}

impl Truth {
    pub(crate) fn note(&mut self, tag: Tag, now: u64) {
        let Some(one) = tag
            .attack
            .and_then(|number| self.instances.get_mut(usize::from(number)))
        else {
            self.benign += 1;
            *self.patterns.entry(tag.pattern).or_default() += 1;
            return;
        };
        self.attacking += 1;
        if one.exchanges == 0 {
            one.begin = now;
        }
        one.end = now;
        one.exchanges += 1;
        one.actors.insert(tag.actor);
    }
}
