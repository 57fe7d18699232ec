//! Random worlds: servers that tell their limits in their own ways, and clients that were
//! configured with windows that are not tighter, or with none. What comes of it is judged by the
//! server's own record.

mod run;
mod server;
mod world;

fn main() {}
