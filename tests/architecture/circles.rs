//! Who uses whom, file by file: no circles.
//!
//! Use trees and paths are resolved to the file that defines what they name; a re-export is
//! followed to its origin, so that a face which only declares and re-exports is in no circle. What
//! stands inside a macro's parentheses is not seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

use super::{collect, is_test};

/// Circles that are there still. One that is opened leaves the list; none may come.
const KNOWN: &[&[&str]] = &[
    &[
        "account",
        "account::build",
        "account::builder",
        "account::check::headers",
        "account::check::oauth",
        "account::check::quotas",
        "account::check::unused",
        "account::check::urls",
        "account::registry",
        "account::settings",
    ],
    &[
        "auth",
        "auth::cache::budget",
        "auth::cache::cell",
        "auth::cache::fresh_grant",
        "auth::cache::keep_warm",
        "auth::cache::outcome",
        "auth::cache::refresh_task",
        "auth::cache::refresher",
        "auth::cache::renewal",
        "auth::cache::requester",
        "auth::cache::state",
        "auth::challenge",
        "auth::credentials",
        "auth::credentials::keys",
        "auth::login",
        "auth::login::exchange",
        "auth::login::exclusive",
        "auth::login::revoke",
        "auth::oauth::endpoint",
        "auth::oauth::request",
        "auth::oauth::response",
        "auth::oauth::transport",
        "auth::persistence",
        "auth::persistence::record",
        "auth::persistence::refresh_chain",
        "auth::persistence::right",
    ],
    &[
        "auth::attempt",
        "auth::middleware",
        "auth::pass",
        "auth::replay",
        "auth::reread",
    ],
    &["config", "config::account"],
    &[
        "distributors",
        "distributors::arrow_itemservice",
        "distributors::avnet",
        "distributors::buerklin",
        "distributors::conrad",
        "distributors::digikey",
        "distributors::disruptive",
        "distributors::element14",
        "distributors::element14::contract",
        "distributors::findchips",
        "distributors::future",
        "distributors::jlcpcb",
        "distributors::lcsc",
        "distributors::masterelectronics",
        "distributors::mouser",
        "distributors::my_arrow",
        "distributors::nexar",
        "distributors::oemsecrets",
        "distributors::onlinecomponents",
        "distributors::renesas",
        "distributors::rs",
        "distributors::rutronik",
        "distributors::sager",
        "distributors::samtec",
        "distributors::sourcengine",
        "distributors::te",
        "distributors::ti",
        "distributors::tme_v1",
        "distributors::tme_v2",
        "distributors::trusted_parts",
        "distributors::tti",
    ],
    &["observe::event", "observe::metrics"],
    &["options", "options::scope"],
    &[
        "rate_limit::answered",
        "rate_limit::answered::calendar",
        "rate_limit::answered::rolling",
    ],
    &[
        "rate_limit::limiter",
        "rate_limit::place",
        "rate_limit::quota_line",
        "rate_limit::quotas",
        "rate_limit::timer",
        "rate_limit::unreadable",
    ],
    &["rate_limit::pace", "rate_limit::pace::long"],
    &["rate_limit::share", "rate_limit::share::care"],
    &[
        "sandbox",
        "sandbox::builder",
        "sandbox::distributor",
        "sandbox::server",
        "sandbox::service",
    ],
    &[
        "sandbox::manners",
        "sandbox::manners::keys",
        "sandbox::manners::oauth",
        "sandbox::manners::signed",
    ],
];

/// `auth::code`; the root is empty.
type Module = String;

struct Path_ {
    segments: Vec<String>,
    /// `pub use`: the last segment is a name that others may ask this module for.
    exported_as: Option<String>,
}

#[derive(Default)]
struct Found {
    paths: Vec<Path_>,
    /// Modules within the file that the visitor stands in.
    inside: Vec<String>,
}

/// Compiled for tests, fuzzers or the model alone.
fn is_apart(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let text = list.tokens.to_string();
                ["test", "fuzzing", "tollgate_model"]
                    .iter()
                    .any(|word| text.contains(word))
                    && !text.contains("not")
            })
    })
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_apart(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.inside.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        self.tree(&item.tree, Vec::new(), is_public);
    }

    /// Who may see an item is no use of that module.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        let segments = segments.map(|segment| segment.ident.to_string()).collect();
        self.add(segments, None);
        visit::visit_path(self, path);
    }
}

impl Found {
    fn tree(&mut self, tree: &UseTree, mut before: Vec<String>, is_public: bool) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before, is_public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before.clone(), is_public);
                }
            }
            UseTree::Glob(_) => self.add(before, None),
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                if name != "self" {
                    before.push(name.clone());
                }
                self.add(before, is_public.then_some(name));
            }
            UseTree::Rename(rename) => {
                before.push(rename.ident.to_string());
                self.add(before, is_public.then(|| rename.rename.to_string()));
            }
        }
    }

    /// As seen from the file's own module.
    fn add(&mut self, segments: Vec<String>, exported_as: Option<String>) {
        let ups = segments.iter().take_while(|name| *name == "super").count();
        let from_inside = self.inside.len().saturating_sub(ups);
        let mut seen = self.inside[..from_inside.min(self.inside.len())].to_vec();
        let left = ups.saturating_sub(self.inside.len());
        let relative = ups > 0 || segments.first().is_some_and(|first| first == "self");
        if !relative {
            seen.clear();
        }
        let mut whole = vec!["super".to_owned(); left];
        whole.append(&mut seen);
        whole.extend(segments.into_iter().skip(ups));
        self.paths.push(Path_ {
            segments: whole,
            exported_as,
        });
    }
}

struct Sources {
    found: BTreeMap<Module, Found>,
    exports: BTreeMap<(Module, String), Vec<String>>,
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => String::new(),
        path => path.replace('/', "::"),
    }
}

fn join(module: &str, name: &str) -> Module {
    match module {
        "" => name.to_owned(),
        module => format!("{module}::{name}"),
    }
}

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        let mut found = BTreeMap::new();
        for file in files.iter().filter(|file| !is_test(file)) {
            let code = syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
            let mut paths = Found::default();
            paths.visit_file(&code);
            found.insert(module_of(&path.replace('\\', "/")), paths);
        }
        let mut sources = Self {
            found,
            exports: BTreeMap::new(),
        };
        sources.exports = sources.exports();
        sources
    }

    fn exports(&self) -> BTreeMap<(Module, String), Vec<String>> {
        let mut exports = BTreeMap::new();
        for (module, found) in &self.found {
            for path in &found.paths {
                let name = path.exported_as.clone();
                let target = self.absolute(module, &path.segments);
                if let Some((name, target)) = name.zip(target) {
                    exports.insert((module.clone(), name), target);
                }
            }
        }
        exports
    }

    /// From the root; none for another crate, or a name of the file's own.
    fn absolute(&self, module: &str, segments: &[String]) -> Option<Vec<String>> {
        let mut base: Vec<String> = module.split("::").map(str::to_owned).collect();
        base.retain(|name| !name.is_empty());
        let first = segments.first()?;
        let mut rest = segments;
        match first.as_str() {
            "crate" => {
                base.clear();
                rest = &segments[1..];
            }
            "self" => rest = &segments[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child if self.found.contains_key(&join(module, child)) => {}
            _ => return None,
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The file that defines what this names.
    fn definition(&self, path: &[String]) -> Option<Module> {
        let mut path = path.to_vec();
        // A re-export leads on, and no chain of them is longer than the crate has files.
        for _ in 0..self.found.len() {
            let depth = (0..=path.len()).rev().find(|depth| {
                let module = path[..*depth].join("::");
                self.found.contains_key(&module)
            })?;
            let module = path[..depth].join("::");
            let name = path.get(depth).cloned().unwrap_or_default();
            match self.exports.get(&(module.clone(), name)) {
                Some(target) => {
                    let mut target = target.clone();
                    target.extend_from_slice(&path[depth + 1..]);
                    path = target;
                }
                None => return Some(module),
            }
        }
        None
    }

    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let arrows = self.found.iter().map(|(module, found)| {
            // A face declares what is inside it; to hand it on is not to use it.
            let paths = found.paths.iter();
            let used = paths
                .filter(|path| path.exported_as.is_none())
                .filter_map(|path| self.definition(&self.absolute(module, &path.segments)?))
                .filter(|used| used != module && !used.is_empty());
            (module.clone(), used.collect())
        });
        arrows.collect()
    }
}

/// The shortest way from one to the other, both included.
fn way(arrows: &BTreeMap<Module, BTreeSet<Module>>, from: &str, to: &str) -> Option<Vec<Module>> {
    let mut before = BTreeMap::new();
    let mut next = VecDeque::from([from.to_owned()]);
    while let Some(at) = next.pop_front() {
        for used in &arrows[&at] {
            if used == to {
                let mut way = vec![used.clone(), at.clone()];
                let mut last = &at;
                while let Some(previous) = before.get(last) {
                    way.push(Module::clone(previous));
                    last = previous;
                }
                way.reverse();
                return Some(way);
            }
            if used != from && !before.contains_key(used) {
                before.insert(used.clone(), at.clone());
                next.push_back(used.clone());
            }
        }
    }
    None
}

/// All that it uses, directly or through others.
fn reach(arrows: &BTreeMap<Module, BTreeSet<Module>>, from: &str) -> BTreeSet<Module> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        for used in &arrows[at] {
            if reached.insert(used.clone()) {
                next.push(used);
            }
        }
    }
    reached
}

/// Those that reach each other.
fn circles(arrows: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<BTreeSet<Module>> {
    let reach: BTreeMap<_, _> = arrows
        .keys()
        .map(|module| (module, reach(arrows, module)))
        .collect();
    let in_circles = arrows
        .keys()
        .filter(|module| reach[module].contains(*module));
    let circle = |module: &Module| {
        let members = reach[module].iter();
        let members = members.filter(|other| reach[other].contains(module));
        members.cloned().collect()
    };
    in_circles.map(circle).collect()
}

#[test]
fn no_file_uses_one_that_uses_it() {
    let arrows = Sources::read().arrows();
    let mut found = Vec::new();
    for circle in circles(&arrows) {
        let members: Vec<_> = circle.iter().map(String::as_str).collect();
        if !KNOWN.contains(&members.as_slice()) {
            let first = members[0];
            let way = way(&arrows, first, first).unwrap_or_default().join(" → ");
            found.push(format!("{}: {members:?}, as in {way}", members.len()));
        }
    }
    assert!(found.is_empty(), "circles:\n{}", found.join("\n"));
}

#[test]
fn the_list_of_circles_names_those_that_are_there() {
    let found = circles(&Sources::read().arrows());
    for known in KNOWN {
        let is_there = |circle: &BTreeSet<Module>| circle.iter().eq(known.iter());
        assert!(found.iter().any(is_there), "opened, take it off: {known:?}");
    }
}
