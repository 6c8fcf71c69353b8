//! Orders whose outcome gateways are still to tell: a token counts from the gateway that got it, and once. Pure.

use std::collections::BTreeMap;

use crate::domain::MonoMs;
use crate::lorawan::ids::Eui;

/// A gateway says within its window what became of an order: 6 s after a join, and its way back.
const ORDER_MS: i64 = 7_000;
/// Orders awaited at once: no more are handed out.
const ORDERS_MAX: usize = 64;

/// To whom and when, by token.
#[derive(Default)]
pub(super) struct Orders(BTreeMap<u16, (Eui, MonoMs)>);

impl Orders {
    /// A gateway gets an order.
    pub fn note(&mut self, token: u16, gateway: Eui, at: MonoMs) {
        self.0.retain(|_, (_, ordered)| at.0 - ordered.0 < ORDER_MS);
        if self.0.len() >= ORDERS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, (_, ordered))| *ordered).map(|(token, _)| *token);
            oldest.and_then(|token| self.0.remove(&token));
        }
        self.0.insert(token, (gateway, at));
    }

    /// A gateway says what became of one. False: it has none of this token.
    pub fn settle(&mut self, token: u16, gateway: Eui) -> bool {
        let is_its = self.0.get(&token).is_some_and(|(ordered, _)| *ordered == gateway);
        is_its && self.0.remove(&token).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Eui = Eui([1; 8]);
    const B: Eui = Eui([2; 8]);

    #[test]
    fn an_order_is_settled_once_and_by_whoever_got_it() {
        let mut orders = Orders::default();
        orders.note(7, A, MonoMs(0));
        orders.note(8, B, MonoMs(ORDER_MS - 1));
        for (token, gateway, want) in
            [(7, B, false), (9, A, false), (7, A, true), (7, A, false), (8, B, true)]
        {
            assert_eq!(orders.settle(token, gateway), want, "{token} of {gateway}");
        }
        orders.note(7, A, MonoMs(0));
        orders.note(8, B, MonoMs(ORDER_MS));
        assert!(!orders.settle(7, A), "its window is over");
        (0..200).for_each(|token| orders.note(token, A, MonoMs(ORDER_MS)));
        assert_eq!(orders.0.len(), ORDERS_MAX);
    }
}
