//! The guard: a shell that waits on a pipe which only we hold, and cleans up when it closes,
//! which the kernel does however we end, `kill -9` included.
//!
//! It runs as we do, not as the server's user, because it may have to remove a folder whose
//! parent that user cannot write. It signals only the process that the cluster's own pid file names.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
};

use super::{EmbeddedError, layout::Layout};

/// $1: the cluster, $2: a folder to remove at the end, or nothing.
///
/// Until the pid file is there (a server that has just been started) or gone (it has ended), it
/// looks ten times a second; a fast shutdown that takes 30 s becomes an immediate one.
const SCRIPT: &str = r#"
trap '' INT HUP TERM
pid=
while read -r word value; do
  case $word in
    server) pid=$value ;;
    release) exit 0 ;;
  esac
done
named() { first=; { read -r first <"$1/postmaster.pid"; } 2>/dev/null; [ "$first" = "$pid" ]; }
signal=INT
[ -n "$2" ] && signal=QUIT
ticks=0 sent=
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ $ticks -lt 600 ]; do
  if named "$1"; then
    [ $ticks -ge 300 ] && [ "$signal" = INT ] && signal=QUIT sent=
    [ -z "$sent" ] && kill -s $signal "$pid" && sent=yes
  elif [ -n "$sent" ] || [ $ticks -ge 50 ]; then
    break
  fi
  sleep 0.1
  ticks=$((ticks + 1))
done
if [ -n "$2" ]; then
  for i in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$2" 2>/dev/null && [ ! -e "$2" ] && break
    sleep 0.3
  done
fi
"#;

/// A child that is waited for when it is dropped, so that none stays behind as a zombie.
#[derive(Debug)]
pub(super) struct Reaped(Option<Child>);

impl Reaped {
    pub(super) fn new(child: Child) -> Self {
        Self(Some(child))
    }

    pub(super) fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("taken only by drop")
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take()
            && !matches!(child.try_wait(), Ok(Some(_)))
        {
            std::thread::spawn(move || child.wait());
        }
    }
}

/// Our end of the pipe. Dropping it lets the guard clean up.
#[derive(Debug)]
pub(super) struct Guard {
    // Dropped before the child is waited for: the guard ends when its input does.
    input: ChildStdin,
    _shell: Reaped,
    layout: Layout,
}

impl Guard {
    pub(super) fn spawn(layout: &Layout, ephemeral: bool) -> Result<Self, EmbeddedError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "tenantry-postgres-guard"]).arg(&layout.data);
        if ephemeral {
            command.arg(&layout.home);
        }
        command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal reaches only us; we then stop the server in order.
            .process_group(0);
        let mut shell = command.spawn().map_err(|e| EmbeddedError::io("run", "/bin/sh".as_ref(), e))?;
        let input = shell.stdin.take().expect("its input was asked for as a pipe");
        Ok(Self { input, _shell: Reaped::new(shell), layout: layout.clone() })
    }

    /// Tells which process to stop.
    pub(super) fn server_is(&mut self, pid: Option<u32>) -> Result<(), EmbeddedError> {
        let line = pid.map_or_else(|| "server\n".into(), |pid| format!("server {pid}\n"));
        self.tell(&line).map_err(|e| EmbeddedError::io("talk to the guard of", &self.layout.home, e))
    }

    /// Sends it home: everything is cleaned up.
    pub(super) fn release(mut self) {
        // If it is gone already there is nothing to tell.
        let _ = self.tell("release\n");
    }

    fn tell(&mut self, line: &str) -> std::io::Result<()> {
        self.input.write_all(line.as_bytes())
    }
}
