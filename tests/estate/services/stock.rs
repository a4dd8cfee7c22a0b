//! Stock and shipments: gRPC with protobuf bodies, sequential ids, machines and warehouse staff.

use super::super::ids;
use super::super::wire::protobuf::{bytes, number, text};
use super::super::world::{Session, World, put};
use super::{Release, Service, shop};

const SERVICE: Service = Service::Stock;

/// Shipments: of which order, from which warehouse.
#[derive(Default)]
pub(crate) struct Stock {
    pub(crate) shipments: Vec<(u32, u8)>,
}

/// Warehouses.
pub(crate) const WAREHOUSES: u8 = 4;

pub(crate) fn new_shipment(w: &mut World, order: u32) -> u32 {
    w.stock
        .shipments
        .push((order, (order % u32::from(WAREHOUSES)) as u8));
    w.stock.shipments.len() as u32 - 1
}

const fn shipment_id(shipment: u32) -> u64 {
    900_000 + shipment as u64
}

fn call(w: &mut World, method: &str) {
    let d = w.ask(SERVICE, "POST");
    put!(d.target, "/stock.v1.{method}");
}

pub(crate) fn level(w: &mut World, s: &mut Session, product: usize) {
    call(w, "Inventory/GetLevel");
    let d = &mut w.draft;
    text(1, &ids::product(product), &mut d.body);
    text(1, &ids::product(product), &mut d.answer);
    number(2, product as u64 % 40, &mut d.answer);
    w.send(s);
}

fn shipment_message(w: &mut World, shipment: u32) {
    let (order, warehouse) = w.stock.shipments[shipment as usize % w.stock.shipments.len()];
    let carrier = w.released(Release::StockCarrier);
    let owner = w.shop.orders[order as usize % w.shop.orders.len()];
    let d = &mut w.draft;
    number(1, shipment_id(shipment), &mut d.answer);
    number(2, u64::from(shop::order_id(order)), &mut d.answer);
    number(3, u64::from(warehouse), &mut d.answer);
    let mut address = Vec::new();
    text(1, &ids::person(owner), &mut address);
    bytes(2, b"Springfield", &mut address);
    bytes(4, &address, &mut d.answer);
    if carrier {
        bytes(5, b"yellow post", &mut d.answer);
    }
}

pub(crate) fn shipment(w: &mut World, s: &mut Session, shipment: u32) -> u16 {
    call(w, "Fulfilment/GetShipment");
    number(1, shipment_id(shipment), &mut w.draft.body);
    shipment_message(w, shipment);
    w.send(s)
}

pub(crate) fn list(w: &mut World, s: &mut Session, warehouse: u8) {
    call(w, "Fulfilment/ListShipments");
    number(1, u64::from(warehouse), &mut w.draft.body);
    let open: Vec<u64> = open(w, warehouse).map(shipment_id).collect();
    for id in open {
        number(1, id, &mut w.draft.answer);
    }
    w.send(s);
}

/// A warehouse's last shipments, the newest first.
pub(crate) fn open(w: &World, warehouse: u8) -> impl Iterator<Item = u32> {
    let all = w.stock.shipments.iter().enumerate().rev();
    all.filter(move |(_, one)| one.1 == warehouse)
        .map(|(number, _)| number as u32)
        .take(8)
}

pub(crate) fn create(w: &mut World, s: &mut Session, order: u32) -> u32 {
    let shipment = new_shipment(w, order);
    call(w, "Fulfilment/CreateShipment");
    number(1, u64::from(shop::order_id(order)), &mut w.draft.body);
    shipment_message(w, shipment);
    w.send(s);
    shipment
}

pub(crate) fn update(w: &mut World, s: &mut Session, shipment: u32) {
    call(w, "Fulfilment/UpdateShipment");
    number(1, shipment_id(shipment), &mut w.draft.body);
    number(2, 3, &mut w.draft.body);
    shipment_message(w, shipment);
    w.send(s);
}

/// An administrator's correction.
pub(crate) fn adjust(w: &mut World, s: &mut Session, product: usize) {
    call(w, "Admin/AdjustLevel");
    let d = &mut w.draft;
    text(1, &ids::product(product), &mut d.body);
    number(2, 40, &mut d.body);
    number(1, 1, &mut d.answer);
    w.send(s);
}
