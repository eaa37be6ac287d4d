//! Listening sockets, with the options that accepted sockets inherit.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// After this long without an acknowledgement of what was written, a peer is gone.
///
/// Dropping a socket does not close it while its reader has stalled: without this
/// bound it would keep its kernel buffers for a quarter of an hour.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// How much unsent data the kernel takes before a socket no longer counts as
/// writable: a slow reader fills our bounded queue, not the kernel's.
const NOT_SENT_LOWAT: u32 = 16 * 1024;

/// Binds a listening socket.
///
/// What is set here is inherited by each accepted socket: no delay, keep-alive, a
/// bound on unacknowledged and on unsent data.
///
/// # Errors
///
/// Those of the operating system, such as an address that is taken.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)))?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        socket.set_tcp_notsent_lowat(NOT_SENT_LOWAT)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
