//! Texts that are kept once and known by number. Numbers are given in the order of first appearance, so whatever belongs
//! to a text is in a plain vector, and equal journals give equal numbers.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{Entry, HashTable};

/// Where the texts behind numbers are.
pub(crate) trait Texts {
    /// The text of a number that was given.
    fn text(&self, number: u32) -> &str;
    /// How many there are.
    fn count(&self) -> usize;
}

/// Texts to which others of a lifetime can be added.
pub(crate) trait Keep<'t>: Texts {
    /// Keeps a text under the next number.
    fn keep(&mut self, text: &'t str);
}

/// Texts that are read for as long as what they are borrowed from.
pub(crate) trait Lend<'t> {
    /// The text of a number that was given.
    fn lend(&self, number: u32) -> &'t str;
}

/// Texts one after the other in one block of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Block {
    all: String,
    /// Where each ends, in bytes.
    ends: Vec<usize>,
}

impl Block {
    /// The texts in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.all[*start..*end])
    }
}

impl Texts for Block {
    fn text(&self, number: u32) -> &str {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..self.ends[number]]
    }
    fn count(&self) -> usize {
        self.ends.len()
    }
}

impl Keep<'_> for Block {
    fn keep(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }
}

impl Texts for &Block {
    fn text(&self, number: u32) -> &str {
        Block::text(self, number)
    }
    fn count(&self) -> usize {
        Block::count(self)
    }
}

impl<'t> Lend<'t> for &'t Block {
    fn lend(&self, number: u32) -> &'t str {
        Block::text(self, number)
    }
}

impl Texts for Vec<&str> {
    fn text(&self, number: u32) -> &str {
        self[number as usize]
    }
    fn count(&self) -> usize {
        self.len()
    }
}

impl<'t> Keep<'t> for Vec<&'t str> {
    fn keep(&mut self, text: &'t str) {
        self.push(text);
    }
}

impl<'t> Lend<'t> for Vec<&'t str> {
    fn lend(&self, number: u32) -> &'t str {
        self[number as usize]
    }
}

/// Gives texts their numbers.
#[derive(Debug, Default)]
pub(crate) struct Names<T> {
    pub(crate) texts: T,
    hasher: DefaultHashBuilder,
    known: HashTable<Known>,
}

/// Half of a hash beside the number, so that most texts need not be looked at.
#[derive(Debug, Clone, Copy)]
struct Known {
    hash: u32,
    number: u32,
}

/// The table wants 64 bits, of which it uses the highest and the lowest.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl<T> Names<T> {
    /// The number of a text, which is the next one if it is new.
    pub(crate) fn number<'t>(&mut self, text: &'t str) -> u32
    where
        T: Keep<'t>,
    {
        let full = self.hasher.hash_one(text);
        let hash = (full >> 32) as u32 ^ full as u32;
        let is_it = |known: &Known| known.hash == hash && self.texts.text(known.number) == text;
        match self.known.entry(spread(hash), is_it, |known| spread(known.hash)) {
            Entry::Occupied(entry) => entry.get().number,
            Entry::Vacant(entry) => {
                // No memory holds more texts than 32 bits count.
                let number = u32::try_from(self.texts.count()).unwrap_or(u32::MAX);
                entry.insert(Known { hash, number });
                self.texts.keep(text);
                number
            }
        }
    }
}
