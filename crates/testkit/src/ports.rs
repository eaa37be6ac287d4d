//! Loopback ports that nobody else takes in between.
//!
//! A port that was free a moment ago may be gone when a server binds it: another test
//! takes it, or the kernel gives it to an outgoing connection. So ports come from
//! below the range that the kernel gives away by itself, and each is held by a lock
//! on a file until its [`Port`] is dropped. A server can therefore be killed and
//! started again on the port it had.

use std::{
    fmt,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use rand::Rng as _;

/// The lowest port that is handed out.
const LOWEST: u16 = 20_000;

/// What Linux gives to outgoing connections where nothing else is configured.
const USUAL_EPHEMERAL: u16 = 32_768;

/// A loopback port that is this handle's until it is dropped.
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a port on which nothing listens.
    ///
    /// # Errors
    ///
    /// When the folder of the locks cannot be written, or no port is free.
    pub fn reserve() -> anyhow::Result<Self> {
        let locks = lock_folder()?;
        let (lowest, count) = range();
        let offset = draw(count);
        for step in 0..count {
            let number = lowest + (offset + step) % count;
            let path = locks.join(number.to_string());
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .with_context(|| format!("cannot open {}", path.display()))?;
            if lock.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no loopback port from {lowest} on is free")
    }

    /// Reserves one port that is known already, such as that of a server which is to
    /// come back where it was.
    ///
    /// # Errors
    ///
    /// When another process holds it or listens on it.
    pub fn reserve_exactly(number: u16) -> anyhow::Result<Self> {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock_folder()?.join(number.to_string()))?;
        if lock.try_lock().is_err() || !is_free(number) {
            bail!("port {number} is taken");
        }
        Ok(Self { number, _lock: lock })
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> SocketAddr {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.number).into()
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Port").field(&self.number).finish()
    }
}

/// Whether nothing listens on a loopback port.
pub fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

#[expect(clippy::disallowed_methods, reason = "only spreads the search; no test depends on it")]
fn draw(count: u16) -> u16 {
    rand::rng().random_range(0..count)
}

/// Where the search begins, and among how many ports.
fn range() -> (u16, u16) {
    let ephemeral = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(USUAL_EPHEMERAL);
    if ephemeral > LOWEST + 1_000 {
        (LOWEST, ephemeral - LOWEST)
    } else {
        // Someone has opened nearly all ports to outgoing connections; the locks still
        // keep us apart from ourselves.
        (LOWEST, USUAL_EPHEMERAL - LOWEST)
    }
}

fn lock_folder() -> anyhow::Result<PathBuf> {
    let folder =
        std::env::temp_dir().join(format!("sotto-ports-{}", nix::unistd::Uid::effective()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_crowd_that_reserves_at_once_gets_ports_of_its_own() {
        let crowd: Vec<_> = (0..40).map(|_| std::thread::spawn(Port::reserve)).collect();

        let ports: Vec<Port> =
            crowd.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect();

        let numbers: HashSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 40);
    }

    #[test]
    fn a_port_on_which_somebody_listens_is_passed_over() {
        let port = Port::reserve().unwrap();
        let number = port.number();
        let listener = TcpListener::bind(port.address()).unwrap();
        drop(port);

        assert!(Port::reserve_exactly(number).is_err(), "somebody listens on it");
        drop(listener);
        assert_eq!(Port::reserve_exactly(number).unwrap().number(), number);
    }
}
