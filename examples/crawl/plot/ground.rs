//! Colours on a light and on a dark ground, and the picture as PNG.

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use plotters::style::RGBColor;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;
use resvg::usvg::fontdb::{Database, Family, Query, Style};

pub(super) const GROUND: RGBColor = RGBColor(255, 255, 255);
pub(super) const INK: RGBColor = RGBColor(38, 50, 56);
pub(super) const FAINT: RGBColor = RGBColor(96, 110, 117);
pub(super) const GRID: RGBColor = RGBColor(233, 237, 239);
pub(super) const RATE: RGBColor = RGBColor(33, 118, 174);
pub(super) const ALLOWED: RGBColor = RGBColor(69, 90, 100);
pub(super) const RENEWED: RGBColor = RGBColor(46, 139, 87);
pub(super) const UNAUTHORIZED: RGBColor = RGBColor(232, 136, 20);
pub(super) const RATE_LIMITED: RGBColor = RGBColor(200, 38, 53);
pub(super) const SERVER_ERROR: RGBColor = RGBColor(142, 68, 173);
pub(super) const LOST: RGBColor = RGBColor(109, 76, 65);

/// What each colour becomes on a dark ground.
const DARK: [(RGBColor, RGBColor); 11] = [
    (GROUND, RGBColor(22, 27, 34)),
    (INK, RGBColor(225, 230, 235)),
    (FAINT, RGBColor(150, 160, 170)),
    (GRID, RGBColor(45, 52, 60)),
    (RATE, RGBColor(88, 166, 222)),
    (ALLOWED, RGBColor(176, 190, 197)),
    (RENEWED, RGBColor(86, 190, 130)),
    (UNAUTHORIZED, RGBColor(245, 166, 66)),
    (RATE_LIMITED, RGBColor(255, 99, 110)),
    (SERVER_ERROR, RGBColor(196, 140, 230)),
    (LOST, RGBColor(188, 152, 138)),
];

/// Pixels of a PNG for each of the SVG.
const ZOOM: f32 = 2.0;

/// What the picture stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ground {
    /// As the viewer's system prefers; a PNG is light
    Auto,
    Light,
    Dark,
}

impl Ground {
    /// A picture that was drawn on a light ground, on this one.
    pub(super) fn paint(self, svg: &str) -> String {
        match self {
            Self::Light => svg.to_owned(),
            Self::Dark => DARK.iter().fold(svg.to_owned(), |svg, (light, dark)| {
                svg.replace(&quoted(*light), &quoted(*dark))
            }),
            Self::Auto => match svg.find('>') {
                Some(end) => format!("{}\n{}{}", &svg[..=end], style(), &svg[end + 1..]),
                None => svg.to_owned(),
            },
        }
    }
}

/// Rules for a viewer that prefers dark.
fn style() -> String {
    let rules = DARK.iter().map(|(light, dark)| {
        let (from, to) = (quoted(*light), hex(*dark));
        format!("[fill={from}]{{fill:{to}}}[stroke={from}]{{stroke:{to}}}")
    });
    let rules: String = rules.collect();
    format!("<style>@media (prefers-color-scheme: dark){{{rules}}}</style>")
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

fn quoted(color: RGBColor) -> String {
    format!("\"{}\"", hex(color))
}

/// The same picture in pixels.
///
/// # Errors
/// If this machine has no font to write with.
pub(super) fn png(svg: &str) -> Result<Vec<u8>> {
    let mut options = usvg::Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_system_fonts();
    let Some(family) = sans_serif(fonts) else {
        bail!("a PNG needs a font, and there is none on this machine: take a name with .svg");
    };
    fonts.set_sans_serif_family(family);
    let tree = usvg::Tree::from_str(svg, &options).context("the SVG cannot be read")?;
    let size = tree.size().to_int_size().scale_by(ZOOM);
    let size = size.context("the picture is too large")?;
    let pixels = Pixmap::new(size.width(), size.height());
    let mut pixels = pixels.context("the picture is too large")?;
    let zoom = Transform::from_scale(ZOOM, ZOOM);
    resvg::render(&tree, zoom, &mut pixels.as_mut());
    pixels.encode_png().context("the PNG cannot be written")
}

/// The font for the text: the machine's choice, one that is called so, or any.
fn sans_serif(fonts: &Database) -> Option<String> {
    let query = Query {
        families: &[Family::SansSerif],
        ..Query::default()
    };
    let chosen = fonts.query(&query).and_then(|id| fonts.face(id));
    let named = || {
        let mut faces = fonts.faces();
        faces.find(|face| {
            let name = face.families.first().map_or("", |(name, _)| name.as_str());
            name.ends_with("Sans") && face.style == Style::Normal
        })
    };
    let face = chosen.or_else(named).or_else(|| fonts.faces().next())?;
    face.families.first().map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = "<svg width=\"4\" height=\"2\" xmlns=\"http://www.w3.org/2000/svg\">\n\
                       <rect width=\"4\" height=\"2\" fill=\"#FFFFFF\"/></svg>";

    #[test]
    fn every_colour_has_its_own_on_a_dark_ground() {
        assert!(Ground::Dark.paint(SVG).contains("fill=\"#161B22\""));
        assert_eq!(Ground::Light.paint(SVG), SVG);
        let both = Ground::Auto.paint(SVG);
        assert!(both.contains("prefers-color-scheme: dark"), "{both}");
        assert!(both.contains("[fill=\"#FFFFFF\"]{fill:#161B22}"), "{both}");
        assert!(usvg::Tree::from_str(&both, &usvg::Options::default()).is_ok());
        // A second replacement must not hit what the first one made.
        for (_, dark) in DARK {
            assert!(DARK.iter().all(|(light, _)| *light != dark));
        }
    }

    #[test]
    fn a_png_is_twice_as_large() {
        // Without a font there is a reason instead.
        let Ok(png) = png(SVG) else {
            return;
        };
        let pixels = Pixmap::decode_png(&png).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (8, 4));
    }
}
