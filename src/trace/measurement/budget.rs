//! The memory of measuring: each connection may take some, and all together so much that then each has to do with little.

/// The memory that all connections take for being measured.
#[derive(Debug)]
pub(crate) struct MeasurementBudget {
    spent: usize,
    /// What a direction may remember now.
    limits: &'static MeasurementLimits,
}

/// How much one direction of a connection may remember.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeasurementLimits {
    /// Spans.
    pub(super) spans: usize,
    /// Segments that are not acknowledged.
    pub(super) segments: usize,
    /// Acknowledgements on their way to the sender.
    pub(super) acknowledgements: usize,
    /// Holes.
    pub(super) holes: usize,
    /// Ranges of delays.
    pub(super) ranges: usize,
}

impl Default for MeasurementBudget {
    fn default() -> Self {
        Self { spent: 0, limits: &MeasurementLimits::PLENTY }
    }
}

impl MeasurementBudget {
    /// A connection takes so many bytes, where it took so many before.
    pub(super) const fn change(&mut self, before: usize, after: usize) {
        self.spent = self.spent.saturating_sub(before).saturating_add(after);
        // Each segment asks for them.
        self.limits =
            if self.spent < BUDGET { &MeasurementLimits::PLENTY } else { &MeasurementLimits::LITTLE };
    }

    /// What a direction may remember now.
    pub(super) const fn limits(&self) -> &'static MeasurementLimits {
        self.limits
    }
}

impl MeasurementLimits {
    pub(super) const PLENTY: Self =
        Self { spans: 2_048, segments: 1_024, acknowledgements: 1_024, holes: 256, ranges: 976 };
    const LITTLE: Self = Self { spans: 16, segments: 16, acknowledgements: 16, holes: 8, ranges: 16 };
}

/// Bytes that all connections may take for being measured. Those that come then take a few KiB more each.
const BUDGET: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_much_is_spent_little_is_remembered() {
        let mut budget = MeasurementBudget::default();
        assert_eq!(budget.limits().spans, 2_048);
        budget.change(0, BUDGET);
        assert_eq!(budget.limits().spans, 16);
        budget.change(BUDGET, 5);
        assert_eq!((budget.limits().spans, budget.spent), (2_048, 5));
    }
}
