//! A folder with the store of one device, its key, and where its server is.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sotto_client::{Client, ClientConfig, StoreKey};
use url::Url;

use crate::{arguments::Server, failure::Failure, token::TokenSource};

/// What a profile remembers of its server, in `server.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    domain: String,
    rest: Url,
    sockets: Vec<Url>,
}

/// Opens a profile's client.
pub(crate) async fn open(
    folder: &Path,
    server: Server,
    key_file: Option<PathBuf>,
    tokens: TokenSource,
) -> Result<Client, Failure> {
    fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    let transport = server.transport.into();
    let server = remember(folder, server)?;
    let key = store_key(&key_file.unwrap_or_else(|| folder.join("store.key")))?;
    let mut config =
        ClientConfig::new(server.domain, server.rest, server.sockets, folder.join("store.db"), key);
    config.transport = transport;
    Ok(Client::open(config, Arc::new(tokens)).await?)
}

/// What was given, and for the rest what was given before.
fn remember(folder: &Path, given: Server) -> Result<Remembered, Failure> {
    let file = folder.join("server.json");
    let before: Option<Remembered> = match fs::read(&file) {
        Ok(json) => Some(serde_json::from_slice(&json).map_err(|error| unusable(&file, &error))?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(&file, &error)),
    };
    let Server { domain, rest, socket, .. } = given;
    let (had_domain, had_rest, had_sockets) = match before.clone() {
        Some(before) => (Some(before.domain), Some(before.rest), before.sockets),
        None => (None, None, Vec::new()),
    };
    let sockets = if socket.is_empty() { had_sockets } else { socket };
    if sockets.is_empty() {
        return Err(Failure::MissingSetting("socket"));
    }
    let server = Remembered {
        domain: domain.or(had_domain).ok_or(Failure::MissingSetting("domain"))?,
        rest: rest.or(had_rest).ok_or(Failure::MissingSetting("rest"))?,
        sockets,
    };
    if before.as_ref() != Some(&server) {
        let json = serde_json::to_vec_pretty(&server).map_err(|error| unusable(&file, &error))?;
        fs::write(&file, json).map_err(|error| unusable(&file, &error))?;
    }
    Ok(server)
}

/// The 32 bytes in the file, as 64 hexadecimal digits; random ones where it is new.
fn store_key(file: &Path) -> Result<StoreKey, Failure> {
    let digits = match fs::read_to_string(file) {
        Ok(digits) => digits,
        Err(error) if error.kind() == ErrorKind::NotFound => make_key(file)?,
        Err(error) => return Err(unusable(file, &error)),
    };
    let key = parse_key(digits.trim())
        .ok_or_else(|| unusable(file, &"it does not hold 64 hexadecimal digits"))?;
    Ok(StoreKey::new(key))
}

fn parse_key(digits: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

#[expect(clippy::disallowed_methods, reason = "this is the door that randomness comes in by")]
fn make_key(file: &Path) -> Result<String, Failure> {
    let key: [u8; 32] = rand::rng().random();
    let digits = HEXLOWER.encode(&key);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut made = options.open(file).map_err(|error| unusable(file, &error))?;
    made.write_all(digits.as_bytes()).map_err(|error| unusable(file, &error))?;
    made.sync_all().map_err(|error| unusable(file, &error))?;
    Ok(digits)
}

pub(crate) fn unusable(path: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::Profile(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Way;

    fn given(domain: Option<&str>, sockets: &[&str]) -> Server {
        Server {
            domain: domain.map(str::to_owned),
            rest: domain.map(|domain| format!("https://{domain}/").parse().unwrap()),
            socket: sockets.iter().map(|url| url.parse().unwrap()).collect(),
            transport: Way::Auto,
        }
    }

    #[test]
    fn a_profile_remembers_where_its_server_is() {
        let folder = tempfile::tempdir().unwrap();

        let missing = remember(folder.path(), given(None, &[])).unwrap_err();
        assert_eq!(missing.reason(), "missing_setting");
        let first = remember(folder.path(), given(Some("a.chat"), &["wss://a.chat/s"])).unwrap();
        let again = remember(folder.path(), given(None, &[])).unwrap();
        assert_eq!(again, first);
        let moved = remember(folder.path(), given(None, &["wss://b.chat/s"])).unwrap();

        assert_eq!(moved.domain, "a.chat");
        assert_eq!(moved.sockets.len(), 1);
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.key");

        store_key(&file).unwrap();
        let made = fs::read_to_string(&file).unwrap();
        store_key(&file).unwrap();

        assert_eq!(fs::read_to_string(&file).unwrap(), made);
        assert!(parse_key(&made).is_some());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0);
        }
    }

    #[test]
    fn other_texts_are_no_key() {
        for wrong in ["", "abc", &"g".repeat(64), &"é".repeat(32)] {
            assert!(parse_key(wrong).is_none(), "{wrong}");
        }
    }
}
