//! Time against the number of migrations, a panel for each database.

use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;

/// One database.
pub(crate) struct Panel {
    title: &'static str,
    /// Contenders, with a size and milliseconds for each point.
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Panel {
    pub(crate) fn new(title: &'static str, names: &[&str]) -> Panel {
        Panel { title, lines: names.iter().map(|name| ((*name).to_owned(), vec![])).collect() }
    }

    pub(crate) fn add(&mut self, size: usize, times: impl Iterator<Item = Duration>) {
        for ((_, points), time) in self.lines.iter_mut().zip(times) {
            points.push((size as f64, time.as_secs_f64() * 1000.0));
        }
    }
}

/// Colours that are told apart by everybody; the floor is black, and ours the two blues.
const COLORS: [RGBColor; 7] = [
    BLACK,
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

const WIDTH: u32 = 480;
const HEIGHT: u32 = 520;

/// Writes the plot; a folder that is missing is made.
pub(crate) fn write(path: &Path, panels: &[Panel]) {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).expect("the folder of the plot can be made");
    }
    let root = SVGBackend::new(path, (WIDTH * panels.len() as u32, HEIGHT)).into_drawing_area();
    root.fill(&WHITE).expect("the plot can be drawn");
    for (panel, area) in panels.iter().zip(root.split_evenly((1, panels.len()))) {
        draw(panel, &area).expect("the plot can be drawn");
    }
    root.present().expect("the plot can be written");
}

fn draw(
    panel: &Panel,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || panel.lines.iter().flat_map(|(_, points)| points);
    let ends = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN), |(low, high), one| (low.min(one), high.max(one)))
    };
    let ((few, many), (fast, slow)) = (ends(|point| point.0), ends(|point| point.1));
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}: cold apply, heavy", panel.title), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((few * 0.9..many * 1.1).log_scale(), (fast * 0.8..slow * 1.2).log_scale())?;
    chart.configure_mesh().x_desc("migrations").y_desc("milliseconds").light_line_style(WHITE).draw()?;
    for (at, (name, points)) in panel.lines.iter().enumerate() {
        let color = COLORS[at % COLORS.len()];
        let style = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
