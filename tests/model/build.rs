//! Chooses the model checker's primitives, for this package and no other.

fn main() {
    println!("cargo::rustc-cfg=tollgate_model");
    println!("cargo::rustc-check-cfg=cfg(tollgate_model)");
    println!("cargo::rerun-if-changed=build.rs");
}
