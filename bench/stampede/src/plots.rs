//! The pictures. Grey text on nothing: they are looked at on white and on black.

use std::time::Duration;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::cases::{Scenario, Which};
use crate::measures::Measures;

const WIDTH: u32 = 920;
const GREY: RGBColor = RGBColor(0x7d, 0x85, 0x90);
/// Points in the width of a panel.
const POINTS: usize = 180;
/// Where nothing is, on a scale that has no nought.
const NOTHING: f64 = 0.6;

type Error = Box<dyn std::error::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A picture: one case, for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plot {
    pub(crate) name: &'static str,
    pub(crate) scenario: Scenario,
    pub(crate) pods: u32,
    minutes: (u32, u32),
    /// Whether some Pods are without credentials.
    gaps: bool,
}

pub(crate) const PLOTS: [Plot; 4] = [
    Plot {
        name: "restart",
        scenario: Scenario::Restart { limit: Some(50) },
        pods: 10_000,
        minutes: (0, 30),
        gaps: true,
    },
    Plot {
        name: "waves",
        scenario: Scenario::Restart { limit: None },
        pods: 10_000,
        minutes: (0, 180),
        gaps: false,
    },
    Plot {
        name: "outage",
        scenario: Scenario::Outage { hangs: false },
        pods: 10_000,
        minutes: (90, 150),
        gaps: true,
    },
    Plot {
        name: "overload",
        scenario: Scenario::Restart { limit: Some(50) },
        pods: 100_000,
        minutes: (0, 180),
        gaps: true,
    },
];

impl Plot {
    /// The picture as SVG: what STS sees, and who is without credentials.
    pub(crate) fn draw<'a>(
        self,
        measures: impl Fn(Scenario, Which) -> Option<&'a Measures>,
    ) -> Result<String, Error> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (WIDTH, 340)).into_drawing_area();
            let (panels, legend) = root.split_vertically(290);
            let (left, right) = panels.split_horizontally(if self.gaps { WIDTH / 2 } else { WIDTH });
            let lines = |of: fn(&Measures) -> Vec<u32>| {
                Which::ALL.map(|which| {
                    let seconds = measures(self.scenario, which).map(of).unwrap_or_default();
                    (which, self.line(&seconds))
                })
            };
            self.panel(&left, "requests a second that STS sees", &lines(Measures::requests))?;
            if self.gaps {
                self.panel(&right, "Pods without credentials", &lines(Measures::without))?;
            }
            draw_legend(&legend)?;
            root.present()?;
        }
        Ok(svg)
    }

    /// Minutes, and the highest value of the seconds around.
    fn line(self, seconds: &[u32]) -> Vec<(f64, f64)> {
        let [from, to] = [self.minutes.0, self.minutes.1].map(|minutes| 60 * minutes as usize);
        let seconds = seconds.get(from..to).unwrap_or_default();
        let width = (to - from).div_ceil(POINTS);
        let points = (from..).step_by(width).zip(seconds.chunks(width)).map(|(second, chunk)| {
            let most = chunk.iter().copied().max().unwrap_or_default();
            (Duration::from_secs(second as u64).as_secs_f64() / 60.0, f64::from(most).max(NOTHING))
        });
        points.collect()
    }

    fn panel(self, area: &Area, title: &str, lines: &[(Which, Vec<(f64, f64)>)]) -> Result<(), Error> {
        let (from, to) = (f64::from(self.minutes.0), f64::from(self.minutes.1));
        let most = f64::from(self.pods) * 1.6;
        let text = |size: u32| ("sans-serif", size).into_font().color(&GREY);
        let mut chart = ChartBuilder::on(area)
            .caption(title, text(15))
            .margin(8)
            .margin_right(20)
            .x_label_area_size(34)
            .y_label_area_size(46)
            .build_cartesian_2d(from..to, (NOTHING..most).log_scale())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.25))
            .axis_style(GREY)
            .label_style(text(12))
            .x_desc("minutes")
            .x_labels(7)
            .x_label_formatter(&|minutes| format!("{minutes:.0}"))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        // Ours last, and on top.
        for (which, points) in lines.iter().rev() {
            chart.draw_series(LineSeries::new(points.iter().copied(), style(*which)))?;
        }
        Ok(())
    }
}

fn draw_legend(area: &Area) -> Result<(), Error> {
    for (index, which) in (0_i32..).zip(Which::ALL) {
        let (x, y) = (56 + 300 * (index % 3), 8 + 20 * (index / 3));
        area.draw(&PathElement::new([(x, y), (x + 22, y)], style(which)))?;
        let text = ("sans-serif", 12).into_font().color(&GREY);
        area.draw(&Text::new(which.name(), (x + 28, y - 6), text))?;
    }
    Ok(())
}

fn style(which: Which) -> ShapeStyle {
    let (color, width) = match which {
        Which::Emulator => (RGBColor(0x1f, 0x7a, 0xf0), 3),
        Which::Agent => (RGBColor(0x2d, 0xa4, 0x4e), 1),
        Which::Early => (RGBColor(0xc6, 0x91, 0x1b), 1),
        Which::Late => (RGBColor(0xe0, 0x4f, 0x46), 1),
        Which::Short => (RGBColor(0x93, 0x5f, 0xe6), 1),
    };
    color.stroke_width(width)
}

fn short(value: f64) -> String {
    if value < 1.0 {
        String::new()
    } else if value < 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{:.0} k", value / 1000.0)
    }
}
