//! A small disk in memory, which only root can make.

// Two test programs share this, and each uses a part.
#![allow(dead_code, unreachable_pub, clippy::expect_used)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Ends with the test.
pub struct Disk(pub PathBuf);

impl Disk {
    /// In this folder, of that many KiB. None where this process may not make one; under CI it has
    /// to.
    pub fn new(folder: PathBuf, size: u32) -> Option<Self> {
        fs::create_dir_all(&folder).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}k,mode=0700")])
            .arg("tmpfs")
            .arg(&folder)
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        assert!(std::env::var_os("CI").is_none(), "CI may mount a tmpfs");
        // Not by a macro, whose text is not seen of a test that passes.
        let note = format!("\nSKIPPED: {folder:?} needs a tmpfs, which this user may not mount\n");
        let _ = std::io::stderr().write_all(note.as_bytes());
        None
    }

    pub fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("a file");
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    pub fn free(&self, bytes: u64) {
        let file = fs::File::options().write(true).open(self.0.join("filler"));
        let file = file.expect("it was there");
        let size = file.metadata().expect("a size").len();
        file.set_len(size - bytes).expect("cut");
    }

    pub fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
