//! Tables of 100 columns, and numbers as they stand in them.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, TableComponent};

/// A table under construction: no lines but the one below its header.
pub struct Layout {
    table: Table,
    columns: usize,
    gap: u16,
}

impl Layout {
    /// A table with this header; `\n` in it begins another line.
    pub fn new(header: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_style(TableComponent::HeaderLines, '─');
        for between in [
            TableComponent::LeftBorder,
            TableComponent::RightBorder,
            TableComponent::VerticalLines,
            TableComponent::LeftHeaderIntersection,
            TableComponent::MiddleHeaderIntersections,
            TableComponent::RightHeaderIntersection,
        ] {
            table.remove_style(between);
        }
        table.force_no_tty().set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
        table.set_header(header.to_vec());
        Self { table, columns: header.len(), gap: 2 }
    }

    /// Leaves this many spaces between columns instead of two.
    pub fn gap(mut self, gap: u16) -> Self {
        self.gap = gap;
        self
    }

    /// Adds a row of as many cells as the header has.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.table.add_row(cells);
    }

    /// The text, each line ended where its last word ends; all columns from `first_number` on are flush right.
    pub fn text(mut self, first_number: usize) -> String {
        for (at, column) in self.table.column_iter_mut().enumerate() {
            if at >= first_number {
                column.set_cell_alignment(CellAlignment::Right);
            }
            let last = at + 1 == self.columns;
            column.set_padding((0, if last { 0 } else { self.gap }));
            if at < first_number.min(2) {
                // Broken in two, a name is none; a third column of words is prose.
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        self.table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

/// A number with as many digits after the point, or a dash for none.
pub(super) fn number(value: impl Into<Option<f64>>, digits: usize) -> String {
    match value.into() {
        Some(value) if value.is_finite() => format!("{value:.digits$}"),
        Some(_) | None => "–".into(),
    }
}

/// The median, between the two middle values of an even count.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>();
    sorted.sort_by(f64::total_cmp);
    let (lower, upper) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some((lower + upper) / 2.0)
}

/// What fits the terminals of most people.
const WIDTH: u16 = 100;
