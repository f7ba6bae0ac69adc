//! Facts without texts of their own: small, of one size, side by side. A journal of a million facts is a few blocks of
//! memory, and what a fact points at is found by number.

use std::array;

use crate::fact::{Fact, Space};
use crate::names::{Block, Keep, Lend, Names};

/// A fact whose texts are numbers.
pub(crate) type Row = Fact<u32>;

/// Facts and the texts behind their numbers, ready to be matched. No two have one id and different content.
pub(crate) struct Rows<'r, T> {
    pub(crate) rows: &'r [Row],
    pub(crate) texts: &'r [T; Space::COUNT],
}

impl<T> Rows<'_, T> {
    /// The text behind a number.
    pub(crate) fn text<'t>(&self, space: Space, number: u32) -> &'t str
    where
        T: Lend<'t>,
    {
        self.texts[space as usize].lend(number)
    }
}

/// Two facts with one id and different content, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) earlier: usize,
    pub(crate) later: usize,
}

/// Makes rows of facts.
#[derive(Debug)]
pub(crate) struct Builder<T> {
    pub(crate) rows: Vec<Row>,
    names: [Names<T>; Space::COUNT],
    /// Facts whose id an earlier one has, each less the number of those before it, which is in order too.
    repeats: Vec<usize>,
    /// The first fact whose id an earlier one has with other content.
    pub(crate) conflict: Option<Conflict>,
}

impl<T: Default> Default for Builder<T> {
    fn default() -> Self {
        let names = array::from_fn(|_| Names::default());
        Self { rows: Vec::new(), names, repeats: Vec::new(), conflict: None }
    }
}

impl<T> Builder<T> {
    /// Adds a fact.
    pub(crate) fn push<'t, Text: AsRef<str>>(&mut self, fact: &'t Fact<Text>)
    where
        T: Keep<'t>,
    {
        let row = fact.map(|space, text| self.names[space as usize].number(text.as_ref()));
        self.push_row(row);
    }

    fn push_row(&mut self, row: Row) {
        let (later, id) = (self.rows.len(), row.id as usize);
        // Ids are numbered in the order of first appearance.
        let is_new = id + self.repeats.len() == later;
        if !is_new {
            // As many facts were repeats before the first with this id as make its position differ from its number.
            let earlier = id + self.repeats.partition_point(|repeat| *repeat <= id);
            self.repeats.push(later - self.repeats.len());
            if self.conflict.is_none() && self.rows[earlier] != row {
                self.conflict = Some(Conflict { earlier, later });
            }
        }
        self.rows.push(row);
    }

    /// The rows and the texts behind their numbers.
    pub(crate) fn finish(self) -> (Vec<Row>, [T; Space::COUNT]) {
        (self.rows, self.names.map(|names| names.texts))
    }
}

impl Builder<Block> {
    /// Adds the facts of another builder, in their order.
    pub(crate) fn append(&mut self, later: &Self) {
        let numbers: [Vec<u32>; Space::COUNT] = array::from_fn(|space| {
            let names = &mut self.names[space];
            later.names[space].texts.iter().map(|text| names.number(text)).collect()
        });
        self.rows.reserve(later.rows.len());
        for row in &later.rows {
            self.push_row(row.map(|space, number| numbers[space as usize][*number as usize]));
        }
    }
}
