//! The services, one file each: what a request to each function looks like and what comes back.

pub(crate) mod back;
pub(crate) mod books;
pub(crate) mod identity;
pub(crate) mod shop;
pub(crate) mod social;
pub(crate) mod stock;

use std::net::Ipv4Addr;

use super::clock::{DAY, HOUR};

/// A process that serves one API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    Identity,
    Shop,
    Books,
    Social,
    Stock,
}

impl Service {
    pub(crate) const ALL: [Self; 5] = [Self::Identity, Self::Shop, Self::Books, Self::Social, Self::Stock];
    /// Ends the public's TLS and opens its own to the services behind it.
    pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    pub(crate) const fn host(self) -> &'static str {
        match self {
            Self::Identity => "id.estate.example",
            Self::Shop => "shop.estate.example",
            Self::Books => "books.estate.example",
            Self::Social => "graph.estate.example",
            Self::Stock => "stock.estate.example",
        }
    }

    pub(crate) const fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 1, 10 + self as u8)
    }

    /// Whether clients come through the proxy, which names them in `X-Forwarded-For`.
    pub(crate) const fn is_proxied(self) -> bool {
        matches!(self, Self::Identity | Self::Shop | Self::Social)
    }
}

/// Releases in mid-run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Release {
    /// Orders have `loyalty_points` and take a `gift_note`.
    ShopLoyalty,
    /// Invoices have attachments; `total` becomes `amount_total`.
    BooksAttachments,
    /// Stories.
    SocialStories,
    /// Shipments tell their carrier.
    StockCarrier,
    /// Orders can be returned; `legacy_code` is gone.
    ShopReturns,
    /// Team leaders invite others and say in which role.
    SocialInvites,
}

impl Release {
    /// When: in working hours.
    pub(crate) const fn at(self) -> u64 {
        let (day, hour) = match self {
            Self::ShopLoyalty => (3, 10),
            Self::BooksAttachments => (4, 14),
            Self::SocialStories => (7, 11),
            Self::StockCarrier => (8, 9),
            Self::ShopReturns => (9, 15),
            Self::SocialInvites => (10, 10),
        };
        day * DAY + hour * HOUR
    }
}
