//! Who lives and works there: users with roles, tenants, and what they have before the first day.

use std::net::Ipv4Addr;

use super::clock::{DAY, HOUR};
use super::rng::Rng;
use super::services::{books, shop, social, stock};
use super::world::World;

/// What a user is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Shopper,
    Mobile,
    Clerk,
    Manager,
    Auditor,
    Accountant,
    Member,
    Support,
    Admin,
    Warehouse,
}

impl Role {
    /// As claims name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Shopper | Self::Mobile => "customer",
            Self::Clerk => "clerk",
            Self::Manager => "manager",
            Self::Auditor => "auditor",
            Self::Accountant => "accountant",
            Self::Member => "member",
            Self::Support => "support",
            Self::Admin => "admin",
            Self::Warehouse => "warehouse",
        }
    }

    pub(crate) const fn scope(self) -> &'static str {
        match self {
            Self::Shopper | Self::Mobile => "profile orders",
            Self::Clerk => "profile invoices:read invoices:write",
            Self::Manager => "profile invoices:read invoices:write invoices:delete reports settings",
            Self::Auditor => "profile invoices:read audit:read",
            Self::Accountant => "profile invoices:read reports",
            Self::Member => "profile graph",
            Self::Support => "profile customers:read orders:read tickets",
            Self::Admin => "profile admin",
            Self::Warehouse => "profile shipments",
        }
    }

    /// Those who work for the estate itself or for one of its tenants.
    pub(crate) const fn is_staff(self) -> bool {
        !matches!(self, Self::Shopper | Self::Mobile | Self::Member)
    }
}

/// A user. Its number is its place.
pub(crate) struct User {
    pub(crate) role: Role,
    /// [`NO_TENANT`] for who belongs to none.
    pub(crate) tenant: u16,
    /// When the user came, 0 for before the first day.
    pub(crate) joined: u64,
    /// When the role changed, 0 for never.
    pub(crate) promoted: u64,
    pub(crate) home: Ipv4Addr,
    pub(crate) mfa: bool,
    /// Passwords so far.
    pub(crate) passwords: u32,
    pub(crate) orders: Vec<u32>,
    pub(crate) addresses: Vec<u32>,
    pub(crate) posts: Vec<u32>,
    pub(crate) talks: Vec<u32>,
    pub(crate) team: u16,
    pub(crate) agent: &'static str,
}

pub(crate) const NO_TENANT: u16 = u16::MAX;

/// A customer of the books.
pub(crate) struct Tenant {
    pub(crate) joined: u64,
    /// Its office: all of its users come from there.
    pub(crate) office: Ipv4Addr,
    pub(crate) invoices: Vec<u32>,
}

/// Everybody.
pub(crate) struct People {
    pub(crate) users: Vec<User>,
    pub(crate) tenants: Vec<Tenant>,
    /// Orders of customers who never come back: their ids are told to nobody.
    pub(crate) hidden: Vec<u32>,
}

const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
];
const APPS: [&str; 3] = [
    "EstateApp/7.3.1 (Android 15)",
    "EstateApp/7.4.0 (iOS 18.3)",
    "EstateApp/6.9.2 (Android 12)",
];

/// People of a million exchanges: role and how many, how many at least.
const MANY: [(Role, f64, usize); 6] = [
    (Role::Shopper, 900.0, 24),
    (Role::Mobile, 800.0, 20),
    (Role::Member, 550.0, 16),
    (Role::Support, 24.0, 3),
    (Role::Admin, 5.0, 2),
    (Role::Warehouse, 60.0, 4),
];
/// Tenants of a million exchanges, and at least.
const TENANTS: (f64, usize) = (50.0, 5);
/// Users of a tenant; the first two are manager and auditor.
const TENANT_USERS: u64 = 12;

impl People {
    pub(crate) fn new(rng: &mut Rng, scale: f64) -> Self {
        let mut people = Self {
            users: Vec::new(),
            tenants: Vec::new(),
            hidden: Vec::new(),
        };
        for (role, count, least) in MANY {
            let count = ((count * scale) as usize).max(least);
            for number in 0..count {
                // One in ten comes in mid-run; of staff the last one does.
                let late = rng.chance(0.1) && !role.is_staff() || role.is_staff() && number + 1 == count;
                let joined = if late { morning(rng, 3, 11) } else { 0 };
                people.push(rng, role, NO_TENANT, joined);
            }
        }
        let tenants = ((TENANTS.0 * scale) as usize).max(TENANTS.1);
        for number in 0..tenants {
            people.tenant(rng, number, tenants, scale);
        }
        people
    }

    fn tenant(&mut self, rng: &mut Rng, number: usize, of: usize, scale: f64) {
        let joined = if number + 1 == of || number % 9 == 8 {
            morning(rng, 2, 9)
        } else {
            0
        };
        let office = Ipv4Addr::new(198, 51, (100 + number / 250) as u8, (number % 250) as u8 + 1);
        let count = rng.between(4, if scale < 0.2 { 5 } else { 2 * TENANT_USERS - 4 });
        for place in 0..count {
            let role = match place {
                0 => Role::Manager,
                1 => Role::Auditor,
                _ => Role::Clerk,
            };
            let hired = if place + 1 == count && place > 3 {
                morning(rng, 3, 11)
            } else {
                0
            };
            let user = self.push(rng, role, number as u16, joined.max(hired));
            user.home = office;
            // A clerk becomes a second manager.
            if place == 2 && number % 5 == 1 {
                user.promoted = morning(rng, 5, 10);
            }
        }
        // Someone from outside does the books of this tenant and of the next two.
        if number.is_multiple_of(3) {
            self.push(rng, Role::Accountant, number as u16, 0);
        }
        self.tenants.push(Tenant {
            joined,
            office,
            invoices: Vec::new(),
        });
    }

    fn push(&mut self, rng: &mut Rng, role: Role, tenant: u16, joined: u64) -> &mut User {
        let home = Ipv4Addr::from(0x2d00_0000 | rng.next() as u32 & 0x00ff_ffff);
        let mobile = matches!(role, Role::Mobile | Role::Member);
        self.users.push(User {
            role,
            tenant,
            joined,
            promoted: 0,
            home: if matches!(role, Role::Support | Role::Admin) {
                Ipv4Addr::new(203, 0, 113, 9)
            } else {
                home
            },
            mfa: matches!(role, Role::Admin | Role::Manager | Role::Support) || rng.chance(0.15),
            passwords: 0,
            orders: Vec::new(),
            addresses: Vec::new(),
            posts: Vec::new(),
            talks: Vec::new(),
            team: rng.below(1 + self.users.len() / 8) as u16,
            agent: if mobile {
                rng.pick(&APPS)
            } else {
                rng.pick(&BROWSERS)
            },
        });
        let last = self.users.len() - 1;
        &mut self.users[last]
    }

    /// Some user of that role, who is there by then.
    pub(crate) fn any(&self, rng: &mut Rng, role: Role, now: u64) -> u32 {
        loop {
            let number = rng.below(self.users.len());
            let user = &self.users[number];
            if user.role == role && user.joined <= now {
                return number as u32;
            }
        }
    }

    /// Some user of that role who is there from the first day to the last.
    pub(crate) fn active(&self, rng: &mut Rng, role: Role) -> u32 {
        loop {
            let number = self.any(rng, role, 0);
            if !is_gone(number) {
                return number;
            }
        }
    }

    /// Numbers of the users of a role.
    pub(crate) fn all(&self, role: Role) -> Vec<u32> {
        let of_role = |number: &u32| self.users[*number as usize].role == role;
        (0..self.users.len() as u32).filter(of_role).collect()
    }
}

/// One customer in ten was there once.
pub(crate) const fn is_gone(user: u32) -> bool {
    user % 10 == 3
}

/// A working day's morning.
fn morning(rng: &mut Rng, from: u64, to: u64) -> u64 {
    let day = rng.between(from, to);
    let workday = if day % 7 >= 5 { day + 2 } else { day };
    workday * DAY + 8 * HOUR + rng.between(0, HOUR)
}

/// What is there before the first day.
pub(crate) fn furnish(w: &mut World) {
    for number in 0..w.people.users.len() as u32 {
        let role = w.user(number).role;
        if w.user(number).joined > 0 {
            continue;
        }
        match role {
            Role::Shopper | Role::Mobile => {
                for _ in 0..w.rng.between(1, 6) {
                    let order = shop::new_order(w, number);
                    if is_gone(number) {
                        w.people.hidden.push(order);
                    }
                }
                shop::new_address(w, number);
            }
            Role::Member => {
                for _ in 0..w.rng.between(0, 5) {
                    social::new_post(w, number);
                }
                social::new_talk(w, number);
            }
            _ => {}
        }
    }
    for tenant in 0..w.people.tenants.len() as u16 {
        let count = if w.people.tenants[usize::from(tenant)].joined > 0 {
            0
        } else {
            w.rng.between(40, 90)
        };
        (0..count).for_each(|_| {
            books::new_invoice(w, tenant);
        });
    }
    let teams = w.people.users.iter().map(|user| user.team).max().unwrap_or(0) + 1;
    for team in 0..teams {
        (0..w.rng.between(2, 6)).for_each(|_| social::new_document(w, team));
    }
    let orders = w.shop.orders.len() as u32;
    for order in orders.saturating_sub(200)..orders {
        stock::new_shipment(w, order);
    }
}
