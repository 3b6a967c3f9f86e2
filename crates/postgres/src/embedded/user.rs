//! Who runs the server: PostgreSQL refuses to run as root, so root lends it to someone else.

use std::{
    fs::Metadata,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use super::EmbeddedError;

/// An unprivileged user of this machine.
#[derive(Debug, Clone)]
pub(super) struct ServerUser {
    name: String,
    uid: u32,
    gid: u32,
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    // A new file belongs to the effective user: the one portable way to ask without unsafe code.
    tempfile::tempfile().and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.uid() == 0)
}

/// Whom to run the server as: `None` (ourselves) unless we are root, then `postgres` or `nobody`.
pub(super) fn unprivileged() -> Result<Option<ServerUser>, EmbeddedError> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = Path::new("/etc/passwd");
    let users = std::fs::read_to_string(passwd).map_err(|e| EmbeddedError::io("read", passwd, e))?;
    let named = |name| users.lines().find_map(|line| parse(line, name));
    named("postgres").or_else(|| named("nobody")).map(Some).ok_or(EmbeddedError::NoUser)
}

fn parse(line: &str, wanted: &str) -> Option<ServerUser> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| *name == wanted)?;
    let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
    let gid = fields.next()?.parse().ok()?;
    Some(ServerUser { name: name.into(), uid, gid })
}

impl ServerUser {
    /// Makes a command run as this user.
    pub(super) fn dress(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or folder to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .map_err(|e| EmbeddedError::io("change the owner of", path, e))
    }

    /// Checks that this user may pass through a folder and all that lead to it.
    pub(super) fn can_enter(&self, dir: &Path) -> Result<(), EmbeddedError> {
        for dir in dir.ancestors() {
            let metadata = dir.metadata().map_err(|e| EmbeddedError::io("look at", dir, e))?;
            if !self.may_search(&metadata) {
                return Err(EmbeddedError::NotTraversable { user: self.name.clone(), dir: dir.into() });
            }
        }
        Ok(())
    }

    fn may_search(&self, dir: &Metadata) -> bool {
        let mode = dir.permissions().mode();
        let bit = if dir.uid() == self.uid {
            0o100
        } else if dir.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        mode & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_passwd_but_never_root() {
        let user = parse("postgres:x:105:113:PostgreSQL:/var/lib/postgresql:/bin/bash", "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (105, 113));
        assert!(parse("postgres:x:0:0::/:/bin/sh", "postgres").is_none());
        assert!(parse("postgres2:x:7:7::/:/bin/sh", "postgres").is_none());
    }
}
