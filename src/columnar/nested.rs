//! Lists in columns: a list a row, and its elements one after another in columns of their own.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, Fields};

use crate::table::element;

/// Where in its elements the list of each row ends.
#[derive(Debug)]
pub(crate) struct ListEnds {
    ends: Vec<i32>,
    valid: BooleanBufferBuilder,
}

impl ListEnds {
    pub(crate) fn new() -> Self {
        Self { ends: vec![0], valid: BooleanBufferBuilder::new(0) }
    }

    /// Appends a list of so many elements, which were appended to their column, or nothing.
    pub(crate) fn push(&mut self, length: Option<usize>) {
        let end = self.ends.last().copied().unwrap_or_default();
        // A batch is far smaller than 2³¹ elements.
        self.ends.push(end.saturating_add(length.unwrap_or_default() as i32));
        self.valid.append(length.is_some());
    }

    /// The rows of the batch, of these elements.
    pub(crate) fn finish(&mut self, elements: ArrayRef) -> Result<ArrayRef, ArrowError> {
        let nulls = NullBuffer::new(self.valid.finish());
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let ends = ScalarBuffer::from(std::mem::replace(&mut self.ends, vec![0]));
        let field = element(elements.data_type().clone());
        Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::new(ends), elements, nulls)?))
    }
}

/// Structs of these parts.
pub(crate) fn structs(fields: Fields, parts: Vec<ArrayRef>) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(StructArray::try_new(fields, parts, None)?))
}
