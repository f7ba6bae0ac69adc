//! An index from ids to positions, for whoever has the ids at those positions: a fifth of the size of a map from ids.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{Entry, HashTable};

/// Where each id is. Each call is told how to find the id at a position.
pub(crate) struct Index {
    hasher: DefaultHashBuilder,
    positions: HashTable<u32>,
}

impl Index {
    /// An index that has room for so many ids.
    pub(crate) fn with_capacity(ids: usize) -> Self {
        Self { hasher: DefaultHashBuilder::default(), positions: HashTable::with_capacity(ids) }
    }

    /// The position of an id.
    pub(crate) fn get<'a>(&self, id: &str, id_at: impl Fn(u32) -> &'a str) -> Option<u32> {
        self.positions.find(self.hasher.hash_one(id), |&position| id_at(position) == id).copied()
    }

    /// Gives an id its position, unless it has one already, which is returned.
    pub(crate) fn claim<'a>(&mut self, id: &str, position: u32, id_at: impl Fn(u32) -> &'a str) -> Option<u32> {
        let hash = |position: &u32| self.hasher.hash_one(id_at(*position));
        match self.positions.entry(self.hasher.hash_one(id), |&position| id_at(position) == id, hash) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) => {
                entry.insert(position);
                None
            }
        }
    }
}
