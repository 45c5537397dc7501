//! Tables in Markdown.

/// Prints a Markdown table with padded columns, the first aligned left, the others right.
pub(crate) fn print(title: &str, columns: &[String], rows: &[Vec<String>]) {
    println!("\n### {title}\n");
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain([columns[index].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(index, (cell, &width))| {
            if index == 0 { format!(" {cell:<width$} ") } else { format!(" {cell:>width$} ") }
        });
        println!("|{}|", cells.collect::<Vec<_>>().join("|"));
    };
    line(columns);
    let rule = |(index, width): (usize, &usize)| {
        let dashes = "-".repeat(width + 1);
        if index == 0 { format!("{dashes}-") } else { format!("{dashes}:") }
    };
    println!("|{}|", widths.iter().enumerate().map(rule).collect::<Vec<_>>().join("|"));
    for row in rows {
        line(row);
    }
    println!();
}
