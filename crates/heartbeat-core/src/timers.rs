//! One heap for the times of all checks.
//!
//! A check has one timer: for its next probe or for the deadline of the one in flight. The heap knows where each timer
//! stands, so that setting one again moves it in place; nothing outdated stays behind, however often that happens. Every
//! entry has four children: they share a cache line, and the way down is half as long as among two. 100,000 timers are
//! 2 MB.

use alloc::vec::Vec;

use crate::Mono;

/// A place in the heap that is not one.
const NOWHERE: u32 = u32::MAX;

/// Children of an entry.
const CHILDREN: usize = 4;

/// Timers by slot number; at most one per slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    /// None is earlier than its parent at `(i - 1) / CHILDREN`. Equal times go by slot, for replays.
    heap: Vec<(Mono, u32)>,
    /// Where each slot stands in the heap.
    places: Vec<u32>,
}

impl Timers {
    /// Makes room for so many slots, to the place: what a list that grows sets aside would never be used.
    pub(crate) fn reserve(&mut self, slots: usize) {
        self.heap.reserve_exact(slots.saturating_sub(self.heap.len()));
        self.places.reserve_exact(slots.saturating_sub(self.places.len()));
    }

    /// Sets the timer of a slot, or moves it.
    pub(crate) fn set(&mut self, slot: u32, at: Mono) {
        let index = slot as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, NOWHERE);
        }
        let place = match self.places[index] {
            NOWHERE => {
                self.heap.push((at, slot));
                self.heap.len() - 1
            }
            place => {
                self.heap[place as usize].0 = at;
                place as usize
            }
        };
        self.settle(place);
    }

    /// Takes the timer of a slot away, if it has one.
    pub(crate) fn clear(&mut self, slot: u32) {
        let Some(&place) = self.places.get(slot as usize) else { return };
        if place == NOWHERE {
            return;
        }
        let place = place as usize;
        self.heap.swap_remove(place);
        self.places[slot as usize] = NOWHERE;
        if place < self.heap.len() {
            self.settle(place);
        }
    }

    /// The earliest timer.
    pub(crate) fn earliest(&self) -> Option<(Mono, u32)> {
        self.heap.first().copied()
    }

    /// The slot of the earliest timer, if that has rung. It stands where it is until it is set again or cleared.
    pub(crate) fn due(&self, now: Mono) -> Option<u32> {
        self.earliest().filter(|(at, _)| *at <= now).map(|(_, slot)| slot)
    }

    /// Takes the earliest timer away if it has rung.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<u32> {
        let slot = self.due(now)?;
        self.clear(slot);
        Some(slot)
    }

    /// Moves the entry at `place` up or down until the order holds.
    fn settle(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 && entry < self.heap[(place - 1) / CHILDREN] {
            let parent = (place - 1) / CHILDREN;
            self.put(place, self.heap[parent]);
            place = parent;
        }
        while let Some(least) = self.least_child(place).filter(|&child| self.heap[child] < entry) {
            self.put(place, self.heap[least]);
            place = least;
        }
        self.put(place, entry);
    }

    fn least_child(&self, place: usize) -> Option<usize> {
        let first = CHILDREN * place + 1;
        let last = (first + CHILDREN).min(self.heap.len());
        (first..last).min_by_key(|&child| self.heap[child])
    }

    fn put(&mut self, place: usize, entry: (Mono, u32)) {
        self.heap[place] = entry;
        self.places[entry.1 as usize] = u32::try_from(place).expect("fewer timers than slots");
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::{Strategy, prop_assert_eq, prop_oneof, proptest};

    use super::{Mono, Timers};

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u64),
        Clear(u32),
        Pop(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..20_u32, 0..50_u64).prop_map(|(slot, at)| Step::Set(slot, at)),
            1 => (0..20_u32).prop_map(Step::Clear),
            2 => (0..60_u64).prop_map(Step::Pop),
        ];
        proptest::collection::vec(step, 0..200)
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_origin(Duration::from_secs(seconds))
    }

    proptest! {
        #[test]
        fn gives_what_a_sorted_list_would(steps in steps()) {
            let (mut timers, mut model) = (Timers::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Set(slot, time) => {
                        timers.set(slot, at(time));
                        model.insert(slot, at(time));
                    }
                    Step::Clear(slot) => {
                        timers.clear(slot);
                        model.remove(&slot);
                    }
                    Step::Pop(now) => {
                        let due = model.iter().map(|(&slot, &time)| (time, slot)).min().filter(|(time, _)| *time <= at(now));
                        prop_assert_eq!(timers.due(at(now)), due.map(|(_, slot)| slot));
                        prop_assert_eq!(timers.pop_due(at(now)), due.map(|(_, slot)| slot));
                        due.map(|(_, slot)| model.remove(&slot));
                    }
                }
                prop_assert_eq!(timers.earliest(), model.iter().map(|(&slot, &time)| (time, slot)).min());
            }
        }
    }
}
