//! Logins: who asked for a token, session or key, and what was handed out.
//!
//! Takes names and values of both messages, one by one. Gives a [`Handover`] when there is something to tell. Never
//! keeps a value. Bounded by [`MAX_GRANTS`] and [`MAX_IN_BODY`].

use std::sync::Arc;

use smallvec::SmallVec;

use super::find::{self, bare};
use super::{Claims, Credential, Desk, Placed, Sureness, is_jwt, looks_random};
use crate::exchange::AuthScheme;
use crate::exchange::secret::{HashKey, KeyedHash};
use crate::protocol::form;

/// Tokens of one answer: access, refresh, identity, and sessions for some paths. An answer with more is a list.
const MAX_GRANTS: usize = 8;
/// Credentials in one body.
const MAX_IN_BODY: usize = 4;
/// Bytes of a token that is followed.
const MAX_TOKEN: usize = 8 * 1024;

/// Who asked, and what was handed out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Handover {
    /// Who asked, as far as the request's body or query says.
    pub asker: Asker,
    /// What the answer hands out.
    pub granted: SmallVec<[Grant; 2]>,
    /// Tokens and keys in the request's body.
    pub in_body: SmallVec<[Credential; 1]>,
    /// The answer held more tokens than one caller is given: a list of them, none of which says whose it is.
    pub is_list: bool,
    /// The answer hands out a ticket, which opens nothing but a further step of the login.
    pub ticket: bool,
}

/// Who asks for a token.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Asker {
    /// The name that somebody logs in with.
    pub login: Option<KeyedHash>,
    /// Something that proves it is in the request: a password or a one-time code.
    pub proof: bool,
    /// An application names itself.
    pub client: Option<KeyedHash>,
    /// `grant_type` of OAuth (RFC 6749, 4).
    pub grant_type: Option<GrantType>,
    /// The refresh token that is exchanged.
    pub refresh: Option<KeyedHash>,
    /// The path says that whoever has the name forgot the password.
    pub forgot: bool,
}

/// `grant_type` of a token request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantType {
    /// RFC 6749, 4.3.
    Password,
    /// RFC 6749, 4.4.
    ClientCredentials,
    /// RFC 6749, 6.
    Refresh,
    /// RFC 6749, 4.1: who asks was said elsewhere.
    Code,
    /// Another.
    Other,
}

/// What kind of thing was handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantKind {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
    /// A session.
    Session,
    /// An API key.
    Key,
}

/// One thing that was handed out.
#[derive(Clone, PartialEq, Debug)]
pub struct Grant {
    /// What kind.
    pub kind: GrantKind,
    /// Where it was: a cookie, a header field or the body.
    pub placed: Placed,
    /// Whether it is one for sure.
    pub sureness: Sureness,
    /// Its keyed hash: that of [`Credential::secret`] when it is used.
    pub secret: KeyedHash,
    /// What it says, when it is a JSON Web Token.
    pub claims: Option<Arc<Claims>>,
}

/// What a field means for logins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The name somebody logs in with.
    Login,
    /// A password or a one-time code.
    Proof,
    /// A one-time code or a code of OAuth.
    Code,
    /// `client_id`.
    Client,
    /// `grant_type`.
    GrantType,
    /// An access token by its full name.
    Access,
    /// `token`: one if it looks so.
    Token,
    /// A refresh token.
    Refresh,
    /// A session.
    Session,
    /// An API key.
    Key,
    /// What a second step of a login is asked with. It is no grant: whoever has one is not let in yet.
    Ticket,
}

impl Role {
    /// Of a field's name.
    pub fn of(name: &[u8]) -> Option<Self> {
        let mut lower = [0; 24];
        let mut length = 0;
        for byte in name.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            *lower.get_mut(length)? = byte.to_ascii_lowercase();
            length += 1;
        }
        Some(match lower.get(..length).unwrap_or_default() {
            b"username" | b"user" | b"login" | b"userid" | b"loginid" | b"loginname" | b"email"
            | b"emailaddress" | b"useremail" | b"mail" | b"identifier" | b"account" | b"accountname"
            | b"phone" | b"phonenumber" | b"mobile" | b"jusername" => Self::Login,
            b"password" | b"passwd" | b"pwd" | b"pass" | b"userpassword" | b"passphrase" | b"jpassword"
            | b"passcode" => Self::Proof,
            b"otp" | b"code" | b"pin" | b"totp" | b"mfacode" | b"onetimecode" | b"verificationcode" => {
                Self::Code
            }
            b"clientid" => Self::Client,
            b"granttype" => Self::GrantType,
            b"accesstoken" | b"authtoken" | b"bearertoken" | b"jwttoken" | b"jwt" | b"idtoken"
            | b"bearer" => Self::Access,
            b"token" | b"authorization" | b"auth" => Self::Token,
            b"refreshtoken" | b"refresh" => Self::Refresh,
            b"sessionid" | b"sessiontoken" | b"session" | b"sid" | b"sessionkey" => Self::Session,
            b"apikey" | b"apitoken" | b"accesskey" | b"apisecret" | b"secretkey" => Self::Key,
            b"mfatoken" | b"mfaticket" | b"mfasession" | b"mfachallenge" | b"otptoken" | b"2fatoken"
            | b"twofactortoken" | b"challenge" | b"challengeid" | b"challengename" | b"challengetoken"
            | b"statetoken" | b"preauthtoken" | b"temporarytoken" | b"temptoken" => Self::Ticket,
            _ => return None,
        })
    }

    /// Fields of an answer that hand something out.
    pub const fn is_of_answer(self) -> bool {
        self.grants().is_some() || matches!(self, Self::Ticket)
    }

    const fn grants(self) -> Option<GrantKind> {
        match self {
            Self::Access | Self::Token => Some(GrantKind::Access),
            Self::Refresh => Some(GrantKind::Refresh),
            Self::Session => Some(GrantKind::Session),
            Self::Key => Some(GrantKind::Key),
            Self::Login | Self::Proof | Self::Code | Self::Client | Self::GrantType | Self::Ticket => None,
        }
    }
}

/// Collects what an exchange tells of logins.
pub struct Collector {
    desk: Desk,
    /// The service that is called.
    host: Vec<u8>,
    /// The path that is called.
    path: Vec<u8>,
    told: Handover,
    /// Something was told since the last exchange.
    touched: bool,
    /// A code was there: proof when there is a name as well.
    code: bool,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[collector]")
    }
}

impl Collector {
    /// A collector with an empty table.
    pub fn new(key: HashKey) -> Self {
        Self {
            desk: Desk::new(key),
            host: Vec::new(),
            path: Vec::new(),
            told: Handover::default(),
            touched: false,
            code: false,
        }
    }

    /// A request to a service begins. `target` is that of the request line.
    pub fn begin(&mut self, host: &[u8], target: &[u8]) {
        self.host.clear();
        self.host.extend_from_slice(host);
        let end = memchr::memchr(b'?', target).unwrap_or(target.len());
        self.path.clear();
        self.path.extend_from_slice(target.get(..end).unwrap_or_default());
    }

    /// A parameter of the request, in its query or body, with its escapes undone.
    pub fn asked(&mut self, role: Role, value: &[u8]) {
        let value = value.trim_ascii();
        if value.is_empty() || value.len() > MAX_TOKEN {
            return;
        }
        match role {
            Role::Login => {
                let login = self.desk.login(value, &self.host);
                let forgot = names_forgotten(&self.path);
                let asker = &mut self.told().asker;
                asker.forgot = forgot;
                // The first name is the one; a form may repeat it.
                asker.login = asker.login.or(Some(login));
            }
            Role::Proof => self.told().asker.proof = true,
            Role::Code => self.code = true,
            Role::Client => {
                let client = self.desk.client(value, &self.host);
                self.told().asker.client = Some(client);
            }
            Role::GrantType => {
                self.told().asker.grant_type = Some(match value {
                    b"password" => GrantType::Password,
                    b"client_credentials" => GrantType::ClientCredentials,
                    b"refresh_token" => GrantType::Refresh,
                    b"authorization_code" => GrantType::Code,
                    _ => GrantType::Other,
                });
            }
            Role::Refresh => {
                let refresh = self.desk.secret(value);
                self.told().asker.refresh = Some(refresh);
            }
            Role::Access | Role::Token | Role::Session | Role::Key => self.presented(role, value),
            Role::Ticket => {}
        }
    }

    /// A credential in the request's body.
    fn presented(&mut self, role: Role, value: &[u8]) {
        let value = bare(value);
        let jwt = is_jwt(value);
        if !(jwt || looks_random(value)) {
            return;
        }
        let secret = self.desk.secret(value);
        let claims = jwt.then(|| self.desk.claims(value, secret, &self.host)).flatten();
        let in_body = &mut self.told().in_body;
        if in_body.len() < MAX_IN_BODY {
            in_body.push(Credential {
                scheme: match role {
                    _ if jwt => AuthScheme::Jwt,
                    Role::Session => AuthScheme::Session,
                    _ => AuthScheme::ApiKey,
                },
                placed: Placed::Body,
                sureness: if role == Role::Token {
                    Sureness::Possible
                } else {
                    Sureness::Named
                },
                secret: Some(secret),
                user: None,
                claims,
            });
        }
    }

    /// A member of the answer's body, or a field of its head, with escapes undone.
    pub fn answered(&mut self, role: Role, placed: Placed, value: &[u8]) {
        let value = bare(value.trim_ascii());
        if role == Role::Ticket {
            self.told().ticket |= !value.is_empty();
            return;
        }
        let Some(kind) = role.grants().filter(|_| value.len() <= MAX_TOKEN) else {
            return;
        };
        if is_jwt(value) || looks_random(value) {
            self.grant(kind, placed, Sureness::Named, value);
        }
    }

    /// A field of the answer's head.
    pub fn answered_field(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"set-cookie") {
            self.cookie(value);
        } else if name.eq_ignore_ascii_case(b"authorization") || find::is_key_name(name) {
            self.answered(Role::Access, Placed::Header, value);
        }
    }

    /// `Set-Cookie` (RFC 6265, 4.1): a session is handed out, unless it is taken away.
    fn cookie(&mut self, field: &[u8]) {
        let mut parts = form::cookies(field);
        let Some((name, value)) = parts.next() else { return };
        let Some(sureness) = find::session(name, value).filter(|_| value.len() <= MAX_TOKEN) else {
            return;
        };
        // The last one counts (RFC 6265, 5.3).
        let max_age = parts
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"max-age"))
            .filter_map(|(_, value)| std::str::from_utf8(value).ok()?.parse::<i64>().ok())
            .last();
        if max_age.is_none_or(|seconds| seconds > 0) {
            self.grant(GrantKind::Session, Placed::Cookie, sureness, value);
        }
    }

    fn grant(&mut self, kind: GrantKind, placed: Placed, sureness: Sureness, value: &[u8]) {
        let secret = self.desk.secret(value);
        let claims = is_jwt(value)
            .then(|| self.desk.claims(value, secret, &self.host))
            .flatten();
        let told = self.told();
        if told.granted.iter().any(|grant| grant.secret == secret) {
            return;
        }
        if told.granted.len() >= MAX_GRANTS {
            told.is_list = true;
            return;
        }
        told.granted.push(Grant {
            kind,
            placed,
            sureness,
            secret,
            claims,
        });
    }

    /// A token within a list: whose it is nobody says.
    pub fn listed(&mut self, value: &[u8]) {
        if is_jwt(value) || looks_random(value) {
            self.told().is_list = true;
        }
    }

    fn told(&mut self) -> &mut Handover {
        self.touched = true;
        &mut self.told
    }

    /// What was told since the last call.
    pub fn take(&mut self) -> Option<Box<Handover>> {
        let code = std::mem::take(&mut self.code);
        if !std::mem::take(&mut self.touched) {
            return None;
        }
        let mut told = std::mem::take(&mut self.told);
        let asker = &mut told.asker;
        asker.proof |= code && asker.login.is_some();
        let tells = asker.proof
            || asker.forgot
            || asker.grant_type.is_some()
            || asker.refresh.is_some()
            || !told.granted.is_empty()
            || !told.in_body.is_empty();
        // A user's address in another form is no login.
        tells.then(|| Box::new(told))
    }
}

/// A step of the path is about a password that is forgotten.
fn names_forgotten(path: &[u8]) -> bool {
    const WORDS: [&[u8]; 5] = [b"forgot", b"forgotten", b"reset", b"recover", b"recovery"];
    let mut words = path.split(|byte| !byte.is_ascii_alphabetic());
    words.any(|word| {
        // `forgotPassword`: the first word of several written as one.
        let first = word.iter().skip(1).position(u8::is_ascii_uppercase);
        let first = word.get(..first.map_or(word.len(), |at| at + 1)).unwrap_or(word);
        WORDS.iter().any(|known| first.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::names_forgotten;

    #[test]
    fn paths_of_forgotten_passwords_are_told_by_their_words() {
        let told: [&[u8]; 5] = [
            b"/api/password/forgot",
            b"/auth/forgot-password",
            b"/v1/forgotPassword",
            b"/accounts/reset_password.php",
            b"/account/recovery/email",
        ];
        assert!(told.into_iter().all(names_forgotten));
        let others: [&[u8]; 4] = [b"/api/presets", b"/unforgotten", b"/login", b"/api/Recoverable"];
        assert!(!others.into_iter().any(names_forgotten));
    }
}
