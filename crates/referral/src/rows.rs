//! What a statement answered, and how its rows become types.

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::db::{DbError, Val};

/// The rows of a statement, and how many rows it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// Row after row, a value for each column.
    pub values: Vec<Val>,
    /// Rows inserted, updated or deleted, by triggers too: zero says that nothing was done, and more than zero that something was.
    pub changes: u64,
}

impl Rows {
    /// All rows. What `T` borrows is not copied.
    ///
    /// # Errors
    /// [`DbError::Shape`] when a row does not fit `T`.
    pub fn all<'de, T: Deserialize<'de>>(&'de self) -> Result<Vec<T>, DbError> {
        let rows = self.values.chunks(self.columns.len().max(1));
        rows.map(|row| self.row(row)).collect::<Result<_, _>>().map_err(|error| DbError::Shape(error.to_string()))
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// [`DbError::Shape`] when a row does not fit `T`.
    pub fn first<'de, T: Deserialize<'de>>(&'de self) -> Result<Option<T>, DbError> {
        Ok(self.all()?.into_iter().next())
    }

    fn row<'de, T: Deserialize<'de>>(&'de self, row: &'de [Val]) -> Result<T, serde::de::value::Error> {
        let cells = self.columns.iter().map(String::as_str).zip(row.iter().map(Cell));
        T::deserialize(MapDeserializer::new(cells))
    }
}

/// A value, as it is read.
struct Cell<'de>(&'de Val);

impl<'de, E: Error> IntoDeserializer<'de, E> for Cell<'de> {
    type Deserializer = CellDeserializer<'de, E>;

    fn into_deserializer(self) -> Self::Deserializer {
        CellDeserializer(self.0, std::marker::PhantomData)
    }
}

struct CellDeserializer<'de, E>(&'de Val, std::marker::PhantomData<E>);

impl<'de, E: Error> Deserializer<'de> for CellDeserializer<'de, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.0 {
            Val::Null => visitor.visit_unit(),
            Val::Int(number) => visitor.visit_i64(*number),
            Val::Text(text) => visitor.visit_borrowed_str(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.0 {
            Val::Null => visitor.visit_none(),
            Val::Int(_) | Val::Text(_) => visitor.visit_some(self),
        }
    }

    /// A word that stands for one of several.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        match self.0 {
            Val::Text(text) => BorrowedStrDeserializer::new(text).deserialize_enum(name, variants, visitor),
            Val::Null | Val::Int(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::Rows;
    use crate::db::{DbError, Val};

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum State {
        Paid,
        Void,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Name(String);

    #[derive(Deserialize, Debug, PartialEq)]
    struct Row<'a> {
        seq: i64,
        #[serde(borrow)]
        body: &'a str,
        state: Option<State>,
        #[serde(flatten)]
        rest: Rest,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Rest {
        name: Option<Name>,
        count: u32,
    }

    fn rows(values: Vec<Val>) -> Rows {
        let columns = ["seq", "body", "state", "name", "count"].map(str::to_owned).to_vec();
        Rows { columns, values, changes: 0 }
    }

    #[test]
    fn a_row_is_read_column_by_column() {
        let rows = rows(vec![
            7_i64.into(),
            "\"quoted\"".into(),
            "void".into(),
            "N".into(),
            3_u32.into(),
            8_i64.into(),
            "".into(),
            Val::Null,
            Val::Null,
            0_u32.into(),
        ]);
        let first = Row {
            seq: 7,
            body: "\"quoted\"",
            state: Some(State::Void),
            rest: Rest { name: Some(Name("N".to_owned())), count: 3 },
        };
        let second = Row { seq: 8, body: "", state: None, rest: Rest { name: None, count: 0 } };
        assert_eq!(rows.first().unwrap().as_ref(), Some(&first));
        assert_eq!(rows.all::<Row>().unwrap(), [first, second]);
    }

    #[test]
    fn a_value_of_another_kind_is_refused() {
        let read = |values: Vec<Val>| rows(values).all::<Row>().map(drop);
        let good: Vec<Val> = vec![7_i64.into(), "".into(), "paid".into(), Val::Null, 1_u32.into()];
        assert_eq!(read(good.clone()), Ok(()));
        for (column, value) in
            [(0, Val::Null), (0, "7".into()), (1, 5_i64.into()), (2, "other".into()), (4, (-1_i64).into())]
        {
            let mut bad = good.clone();
            bad[column] = value;
            assert!(matches!(read(bad), Err(DbError::Shape(_))), "column {column}");
        }
    }
}
