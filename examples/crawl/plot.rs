//! The picture of a crawl: what left against what was allowed, and what happened on the way.
//!
//! The upper panel shows the rate over the length of the window, which is what the server counts:
//! it may touch the allowance and never pass it. The lower panel shows when the requests really
//! left, window by window.

mod ground;
mod marks;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use self::ground::{ALLOWED, FAINT, GRID, GROUND, INK, RATE};
use crate::files;
use crate::summary::Summary;
use crate::tally::Mark;
use crate::text;

pub(crate) use self::ground::Ground;

const WIDTH: u32 = 1200;
/// Room for title and legend.
const HEAD: u32 = 96;
const UPPER: u32 = 404;
const LOWER: u32 = 180;
/// Room for a reason why parts failed.
const REASON: u32 = 20;
/// So many of them are shown, each up to so many characters.
const REASONS: usize = 4;
const LONGEST_REASON: usize = 150;
/// Points of the line.
const STEPS: u32 = 600;
/// Bars of the lower panel in a window.
const BARS_PER_WINDOW: f64 = 20.0;
/// The width of an axis' labels.
const LABELS: u32 = 64;

type Root<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// So many requests in so long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) limit: u64,
    pub(crate) window: Duration,
}

impl Allowance {
    fn rate(self) -> f64 {
        self.limit as f64 / self.window.as_secs_f64()
    }
}

/// What is drawn, in seconds since the start.
pub(crate) struct Picture {
    title: String,
    subtitle: String,
    reasons: Vec<String>,
    sent_at: Vec<f64>,
    marks: Vec<(f64, Mark)>,
    end: f64,
    allowance: Option<Allowance>,
}

impl Picture {
    pub(crate) fn new(summary: &Summary, allowance: Option<Allowance>) -> Self {
        let counts = &summary.counts;
        let mut sent_at: Vec<f64> = counts.sent_at.iter().map(Duration::as_secs_f64).collect();
        sent_at.sort_by(f64::total_cmp);
        let marks = counts.marks.iter();
        Self {
            title: title(summary),
            subtitle: subtitle(summary, allowance),
            reasons: reasons(summary),
            sent_at,
            marks: marks.map(|(at, mark)| (at.as_secs_f64(), *mark)).collect(),
            end: summary.elapsed.as_secs_f64().max(0.1),
            allowance,
        }
    }

    /// Draws it, as PNG if the name says so, else as SVG.
    pub(crate) fn draw(&self, path: &Path, ground: Ground) -> Result<()> {
        let drawn = self.bytes(path, ground).and_then(|bytes| {
            files::replace(path, &bytes)?;
            Ok(())
        });
        drawn.with_context(|| format!("cannot draw {}", path.display()))
    }

    fn bytes(&self, path: &Path, ground: Ground) -> Result<Vec<u8>> {
        let svg = self.svg()?;
        match (is_png(path), ground) {
            (true, Ground::Auto) => ground::png(&svg),
            (true, _) => ground::png(&ground.paint(&svg)),
            (false, _) => Ok(ground.paint(&svg).into_bytes()),
        }
    }

    fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        let size = (WIDTH, HEAD + UPPER + LOWER + self.foot());
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        self.draw_on(&root)?;
        root.present().map_err(|error| anyhow!("{error}"))?;
        drop(root);
        Ok(svg)
    }

    /// Room for all reasons.
    fn foot(&self) -> u32 {
        match self.reasons.len() as u32 {
            0 => 0,
            count => count * REASON + REASON / 2,
        }
    }

    fn draw_on(&self, root: &Root<'_>) -> Result<()> {
        root.fill(&GROUND)?;
        let (head, rest) = root.split_vertically(HEAD);
        let (upper, rest) = rest.split_vertically(UPPER);
        let (lower, foot) = rest.split_vertically(LOWER);
        self.draw_head(&head)?;
        self.draw_rate(&upper)?;
        self.draw_departures(&lower)?;
        for (line, reason) in self.reasons.iter().enumerate() {
            let place = (LABELS as i32 + 12, line as i32 * REASON as i32);
            foot.draw(&Text::new(reason.as_str(), place, font(14, INK)))?;
        }
        Ok(())
    }

    fn draw_head(&self, area: &Root<'_>) -> Result<()> {
        let left = LABELS as i32 + 12;
        area.draw(&Text::new(self.title.as_str(), (left, 16), font(24, INK)))?;
        area.draw(&Text::new(
            self.subtitle.as_str(),
            (left, 48),
            font(15, FAINT),
        ))?;
        let mut x = left;
        area.draw(&Rectangle::new(
            [(x, 74), (x + 20, 86)],
            RATE.mix(0.35).filled(),
        ))?;
        area.draw(&PathElement::new(
            [(x, 74), (x + 20, 74)],
            RATE.stroke_width(2),
        ))?;
        x = legend(area, x + 28, "sent")?;
        if self.allowance.is_some() {
            for dash in [0, 9, 18] {
                let ends = [(x + dash, 80), (x + dash + 6, 80)];
                area.draw(&PathElement::new(ends, ALLOWED.stroke_width(2)))?;
            }
            x = legend(area, x + 32, "allowed")?;
        }
        for mark in Mark::ALL {
            let count = self.of_kind(mark).count();
            mark.draw(area, (x + 6, 80))?;
            x = legend(area, x + 18, &format!("{} ({count})", mark.name()))?;
        }
        Ok(())
    }

    /// The rate over a window, the allowance, and the marks in three rows above it.
    fn draw_rate(&self, area: &Root<'_>) -> Result<()> {
        let line = rolling(&self.sent_at, self.window(), self.end);
        let peak = line.iter().map(|point| point.1).fold(0.0, f64::max);
        let allowed = self.allowance.map(Allowance::rate);
        let top = 1.45 * peak.max(allowed.unwrap_or(0.0)).max(1.0);
        let description = format!("requests/s, over {}", span(self.window()));
        let mut chart = chart(area, self.end, top, &description, None)?;

        let mut outline = line.clone();
        outline.extend([(self.end, 0.0), (0.0, 0.0)]);
        chart.draw_series([Polygon::new(outline, RATE.mix(0.18).filled())])?;
        chart.draw_series(LineSeries::new(line, RATE.stroke_width(2)))?;
        if let Some(rate) = allowed {
            let ends = [(0.0, rate), (self.end, rate)];
            let style = ALLOWED.stroke_width(2);
            chart.draw_series(DashedLineSeries::new(ends, 8, 6, style))?;
        }
        self.draw_marks(&mut chart, top)
    }

    fn draw_marks(&self, chart: &mut Chart<'_, '_>, top: f64) -> Result<()> {
        let plane = chart.plotting_area().clone();
        let root = plane.strip_coord_spec();
        let (left, upper) = root.get_base_pixel();
        for mark in Mark::ALL {
            let y = top * mark.row();
            let place = |at| plane.map_coordinate(&(at, y));
            let mut all: Vec<i32> = self.of_kind(mark).map(|at| place(at).0 - left).collect();
            all.sort_unstable();
            let y = place(0.0).1 - upper;
            for (x, count) in marks::groups(&all) {
                if mark == Mark::Renewed {
                    let bottom = plane.map_coordinate(&(0.0, 0.0)).1 - upper;
                    let style = mark.color().mix(0.35);
                    root.draw(&PathElement::new([(x, bottom), (x, y)], style))?;
                }
                mark.draw_group(&root, (x, y), count)?;
            }
        }
        Ok(())
    }

    /// When those of a kind happened.
    fn of_kind(&self, mark: Mark) -> impl Iterator<Item = f64> + '_ {
        let same = self.marks.iter().filter(move |(_, other)| *other == mark);
        same.map(|(at, _)| *at)
    }

    /// When requests left, in bars that are a fraction of a window wide.
    fn draw_departures(&self, area: &Root<'_>) -> Result<()> {
        let width = self.window() / BARS_PER_WINDOW;
        let bars = histogram(&self.sent_at, width, self.end);
        let top = 1.1 * bars.iter().copied().max().unwrap_or(0).max(1) as f64;
        let description = format!("sent per {}", span(width));
        let x = Some("seconds since the start");
        let mut chart = chart(area, self.end, top, &description, x)?;
        let bar = |(index, count): (usize, &u32)| {
            let start = index as f64 * width;
            let corners = [
                (start, 0.0),
                ((start + width).min(self.end), f64::from(*count)),
            ];
            Rectangle::new(corners, RATE.mix(0.75).filled())
        };
        let bars = bars.iter().enumerate().filter(|(_, count)| **count > 0);
        chart.draw_series(bars.map(bar))?;
        Ok(())
    }

    fn window(&self) -> f64 {
        self.allowance
            .map_or(1.0, |allowance| allowance.window.as_secs_f64())
    }
}

/// Axes and grid; only the lower of two panels needs to name what they share.
fn chart<'a, 'b>(
    area: &'a Root<'b>,
    end: f64,
    top: f64,
    y: &str,
    x: Option<&str>,
) -> Result<Chart<'a, 'b>> {
    let mut chart = ChartBuilder::on(area)
        .margin_left(12)
        .margin_right(28)
        .margin_top(8)
        .margin_bottom(if x.is_some() { 10 } else { 0 })
        .x_label_area_size(if x.is_some() { 44 } else { 16 })
        .y_label_area_size(LABELS)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .label_style(font(13, FAINT))
        .axis_desc_style(font(14, INK))
        .x_labels(if x.is_some() { 12 } else { 0 })
        .y_labels(if x.is_some() { 4 } else { 7 })
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .x_desc(x.unwrap_or_default())
        .y_desc(y)
        .draw()?;
    Ok(chart)
}

fn font(size: u32, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color)
}

/// Writes a name into the legend; where the next entry begins.
fn legend(area: &Root<'_>, x: i32, name: &str) -> Result<i32> {
    let style = font(14, INK);
    area.draw(&Text::new(name.to_owned(), (x, 73), style.clone()))?;
    let (width, _) = area.estimate_text_size(name, &style)?;
    Ok(x + width as i32 + 34)
}

fn title(summary: &Summary) -> String {
    let answered = summary.outcomes.succeeded;
    let parts = summary.requested() + summary.outcomes.left as u64;
    let seconds = summary.elapsed.as_secs_f64();
    format!("{answered} of {parts} parts answered in {seconds:.1} s")
}

fn subtitle(summary: &Summary, allowance: Option<Allowance>) -> String {
    // `2026-12-01 12:03 UTC`: the picture may be looked at in any time zone.
    let began = text::rfc_3339(summary.began).replacen('T', " ", 1);
    let began = began.get(..16).map(|time| format!("{time} UTC"));
    let mut facts = vec![format!("account {}", summary.account)];
    facts.extend(began);
    if let Some(Allowance { limit, window }) = allowance {
        facts.push(format!(
            "{limit} requests allowed in {}",
            span(window.as_secs_f64())
        ));
    }
    facts.push(format!(
        "{} requests on the wire",
        summary.counts.attempts()
    ));
    if let Some(verdict) = &summary.verdict {
        facts.push(format!("{} rejected", verdict.rejected_429));
        if let Some(share) = verdict.utilisation {
            facts.push(format!("{:.1} % of the allowance used", 100.0 * share));
        }
    }
    facts.join("  ·  ")
}

/// Why it ended early, and why parts failed, the most frequent first.
fn reasons(summary: &Summary) -> Vec<String> {
    let outcomes = &summary.outcomes;
    let ending = summary.ending.iter();
    let ending = ending.map(|ending| format!("stopped: {ending}"));
    let mut errors: Vec<_> = outcomes.errors.iter().collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let failures = errors.into_iter().map(|(kind, count)| {
        let text = outcomes.texts.get(kind).map_or("", String::as_str);
        format!("{count} failed: {text}")
    });
    let all = ending.chain(failures).take(REASONS);
    all.map(|text| match text.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", text[..end].trim_end_matches('…')),
        None => text,
    })
    .collect()
}

fn is_png(path: &Path) -> bool {
    let ending = path.extension();
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("png"))
}

/// Seconds as people write them.
fn span(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{} ms", number(seconds * 1_000.0));
    }
    format!("{} s", number(seconds))
}

/// Two decimals at most, and none that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Requests per second over the `window` before each step.
fn rolling(sent_at: &[f64], window: f64, end: f64) -> Vec<(f64, f64)> {
    let sent_before = |time: f64| sent_at.partition_point(|sent| *sent <= time);
    let point = |step: u32| {
        let time = end * f64::from(step) / f64::from(STEPS);
        let sent = sent_before(time) - sent_before(time - window);
        (time, sent as f64 / window)
    };
    (0..=STEPS).map(point).collect()
}

/// How many left in each span of `width`.
fn histogram(sent_at: &[f64], width: f64, end: f64) -> Vec<u32> {
    let last = (end / width) as usize;
    let mut bars = vec![0; last + 1];
    for sent in sent_at {
        bars[((sent / width) as usize).min(last)] += 1;
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_counts_the_window_before_each_moment() {
        let line = rolling(&[0.0, 0.1, 0.2, 5.0], 2.0, 6.0);
        let at = |time: f64| line[(time / 6.0 * f64::from(STEPS)).round() as usize].1;
        assert!((at(1.0) - 1.5).abs() < 1e-9);
        assert!((at(3.0) - 0.0).abs() < 1e-9);
        assert!((at(6.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn every_request_is_in_one_bar() {
        let bars = histogram(&[0.0, 0.1, 0.1, 0.99, 1.0], 0.1, 1.0);
        assert_eq!(bars.iter().sum::<u32>(), 5);
        assert_eq!(bars.len(), 11);
    }

    fn picture(summary: &Summary) -> Picture {
        let allowance = Allowance {
            limit: 120,
            window: Duration::from_secs(2),
        };
        Picture::new(summary, Some(allowance))
    }

    #[test]
    fn a_picture_shows_what_was_sent_what_was_allowed_and_the_marks() {
        let svg = picture(&bursts()).svg().unwrap();
        for text in [
            "account acme  ·  1970-01-01 00:00 UTC",
            "allowed",
            "token renewed (2)",
            "401 (1)",
            "429 (1)",
            "5xx (31)",
            "no answer (0)",
            "\n30\n",
            "seconds since",
            "height=\"680\"",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_picture_says_why_parts_failed_and_why_the_crawl_ended() {
        let mut summary = bursts();
        summary.ending = Some(crate::stop::Ending::Interrupted);
        summary.outcomes.left = 100;
        for _ in 0..3 {
            summary
                .outcomes
                .fail("status_404", &"no such part ".repeat(50));
        }
        summary.outcomes.fail("status_500", "oops <&>");
        let svg = picture(&summary).svg().unwrap();
        for text in [
            "896 of 1000 parts answered",
            "stopped: interrupted",
            "3 failed: no such part",
            "1 failed: oops &lt;&amp;&gt;",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(svg.contains("height=\"750\""));
    }

    #[test]
    fn the_name_says_whether_it_is_a_png() {
        let folder = tempfile::tempdir().unwrap();
        let picture = picture(&bursts());
        let path = folder.path().join("crawl.svg");
        picture.draw(&path, Ground::Auto).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("prefers-color-scheme"));
        let path = folder.path().join("crawl.PNG");
        // A machine without fonts gets a reason instead.
        match picture.draw(&path, Ground::Dark) {
            Ok(()) => assert!(std::fs::read(&path).unwrap().starts_with(b"\x89PNG")),
            Err(error) => assert!(format!("{error:#}").contains("needs a font")),
        }
    }

    /// 896 requests, 120 every two seconds and a little.
    fn bursts() -> Summary {
        let at = Duration::from_millis;
        let sent_at = (0..896).map(|request| at(request / 120 * 2_025 + request % 120 * 2));
        let counts = crate::tally::Counts {
            sent_at: sent_at.collect(),
            statuses: [(200, 896)].into(),
            marks: [
                (at(20), Mark::Renewed),
                (at(3_900), Mark::Renewed),
                (at(5_000), Mark::Unauthorized),
                (at(7_000), Mark::RateLimited),
                (at(2_000), Mark::ServerError),
            ]
            .into_iter()
            .chain([(at(9_000), Mark::ServerError); 30])
            .collect(),
            ..crate::tally::Counts::default()
        };
        let outcomes = crate::summary::Outcomes {
            succeeded: 896,
            ..crate::summary::Outcomes::default()
        };
        Summary {
            account: "acme".to_owned(),
            began: std::time::SystemTime::UNIX_EPOCH,
            ending: None,
            skipped: 0,
            outcomes,
            counts,
            elapsed: at(14_500),
            verdict: None,
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (number(60.0), number(0.25), number(100.0)),
            ("60".into(), "0.25".into(), "100".into())
        );
    }
}
