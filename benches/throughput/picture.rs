//! The result of a run as a picture: CPU per GiB in each case and relay, with the least and the most
//! of all runs.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::result::{Figure, RunResult, Table};
use crate::{Result, failure};

/// The figure that is shown: all tables that have it.
const COLUMN: &str = "CPU s/GiB";

/// Pixels: a panel for each table, two side by side, below a heading.
const PANEL_WIDTH: u32 = 480;
const HEADING_HEIGHT: u32 = 64;
const CAPTION_HEIGHT: u32 = 30;
const AXIS_HEIGHT: u32 = 34;
const BAR_HEIGHT: u32 = 22;
const NAMES_WIDTH: u32 = 140;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(36, 41, 47);
const GRID: RGBColor = RGBColor(225, 228, 232);
/// A build of rdv, and a relay that it is compared with.
const OWN: RGBColor = RGBColor(31, 111, 235);
const OTHER: RGBColor = RGBColor(175, 184, 193);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One bar: the name of the relay and its figure.
type Bar<'a> = (&'a str, &'a Figure);

/// Writes the picture, as SVG.
pub(crate) fn draw(result: &RunResult, path: &Path) -> Result<()> {
    let panels: Vec<(&Table, Vec<Bar>)> =
        result.tables.iter().map(|table| (table, bars(table))).collect();
    let panels: Vec<_> = panels.into_iter().filter(|(_, bars)| !bars.is_empty()).collect();
    if panels.is_empty() {
        return Err(failure(format!("no case with {COLUMN} in the result, nothing to draw")));
    }
    let heights = || panels.chunks(2).map(|pair| pair.iter().map(height).max().unwrap_or(0));
    let size = (2 * PANEL_WIDTH, HEADING_HEIGHT + heights().sum::<u32>());
    let area = SVGBackend::new(path, size).into_drawing_area();
    // Also on a dark page.
    area.fill(&WHITE)?;
    heading(&area, result)?;
    let mut top = HEADING_HEIGHT;
    for (pair, pair_height) in panels.chunks(2).zip(heights()) {
        for (panel, left) in pair.iter().zip([0, PANEL_WIDTH]) {
            let area = area.clone().shrink((left, top), (PANEL_WIDTH, height(panel)));
            draw_panel(&area, &panel.0.title, &panel.1)?;
        }
        top += pair_height;
    }
    area.present()?;
    Ok(())
}

/// The relays of a table, from top to bottom.
fn bars(table: &Table) -> Vec<Bar<'_>> {
    let bars = table.rows.iter();
    bars.filter_map(|row| Some((row.name.as_str(), row.figures.get(COLUMN)?))).collect()
}

fn height((_, bars): &(&Table, Vec<Bar>)) -> u32 {
    let bars = u32::try_from(bars.len()).unwrap_or(u32::MAX);
    CAPTION_HEIGHT + bars.saturating_mul(BAR_HEIGHT) + AXIS_HEIGHT
}

fn heading(area: &Area, result: &RunResult) -> Result<()> {
    let machine = &result.machine;
    let title = "CPU seconds of the relay per GiB of payload (less is better)";
    let conditions = format!(
        "{}runs: {}, bars: median, lines: least to most · {} cores, {}, {} · {} · {}",
        if result.smoke { "smoke run, the figures mean nothing · " } else { "" },
        result.runs,
        machine.cores,
        machine.cpu,
        machine.kernel,
        machine.congestion_control,
        machine.date.split(' ').next().unwrap_or_default(),
    );
    area.draw_text(title, &(FONT, 20).into_font().color(&INK), (16, 12))?;
    area.draw_text(&conditions, &(FONT, 14).into_font().color(&INK), (16, 38))?;
    Ok(())
}

fn draw_panel(area: &Area, title: &str, bars: &[Bar]) -> Result<()> {
    let most = bars.iter().map(|(_, figure)| figure.most).fold(0.0, f64::max);
    let count = i32::try_from(bars.len())?;
    // To the right of the longest bar is its figure.
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 15).into_font().color(&INK))
        .margin_right(16)
        .x_label_area_size(AXIS_HEIGHT - 6)
        .y_label_area_size(NAMES_WIDTH)
        .build_cartesian_2d(0.0..most * 1.2, (0..count - 1).into_segmented())?;
    // The axis counts from below.
    let name = |place: &SegmentValue<i32>| match place {
        SegmentValue::Exact(at) | SegmentValue::CenterOf(at) => {
            usize::try_from(count - 1 - at).ok().and_then(|index| bars.get(index))
        }
        SegmentValue::Last => None,
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(GRID)
        .label_style((FONT, 14).into_font().color(&INK))
        .x_labels(6)
        .y_labels(bars.len())
        .y_label_formatter(&|place| name(place).map_or_else(String::new, |bar| bar.0.to_owned()))
        .draw()?;
    for (at, (name, figure)) in (0..count).rev().zip(bars) {
        let color = if name.starts_with("rdv") { OWN } else { OTHER };
        let center = |x: f64| (x, SegmentValue::CenterOf(at));
        let corners =
            [(0.0, SegmentValue::Exact(at)), (figure.median, SegmentValue::Exact(at + 1))];
        let mut bar = Rectangle::new(corners, color.filled());
        bar.set_margin(3, 3, 0, 0);
        chart.draw_series([bar])?;
        let spread = [figure.least, figure.most];
        chart.draw_series([PathElement::new(spread.map(center).to_vec(), INK)])?;
        let end = |x| EmptyElement::at(center(x)) + PathElement::new([(0, -4), (0, 4)], INK);
        chart.draw_series(spread.map(end))?;
        let style = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        let text = Text::new(format!("{:.3}", figure.median), (6, 0), style);
        chart.draw_series([EmptyElement::at(center(figure.most)) + text])?;
    }
    Ok(())
}
