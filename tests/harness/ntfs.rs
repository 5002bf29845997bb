//! A file system that folds case, or refuses what Windows refuses in names: NTFS by lowntfs-3g, in a file of the test's
//! own folder. It needs root and /dev/fuse.

use std::fs::File;
use std::process::Command;

use super::sandbox::{skip, succeeds};
use super::{Dir, Gannet};

pub(crate) struct Ntfs(Dir);

impl Ntfs {
    /// Mounted with these options; `None`, and a word on standard error, where that cannot be.
    pub(crate) fn mount(options: &str) -> Option<Self> {
        let dir = Dir::new();
        let image = File::create(dir.join("image")).expect("an image");
        image.set_len(32 << 20).expect("room");
        dir.make_dir("mnt");
        let (image, mnt) = (dir.join("image"), dir.join("mnt"));
        let made = succeeds(Command::new("mkfs.ntfs").args(["-q", "-F"]).arg(&image))
            && succeeds(
                Command::new("lowntfs-3g")
                    .args(["-o", options])
                    .args([&image, &mnt]),
            );
        if !made {
            skip("no lowntfs-3g, or no right to mount");
        }
        made.then_some(Self(dir))
    }

    /// The program, to be run where what is mounted is `mnt`.
    pub(crate) fn gannet(&self) -> Gannet {
        self.0.gannet()
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.0
    }

    /// The files in it, by their names as they are listed, and what they hold.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let names = self.0.names().into_iter();
        let names = names.filter(|name| name.starts_with("mnt/"));
        names
            .map(|name| (name["mnt/".len()..].to_owned(), self.0.read(&name)))
            .collect()
    }
}

impl Drop for Ntfs {
    fn drop(&mut self) {
        succeeds(Command::new("umount").arg("-l").arg(self.0.join("mnt")));
    }
}
