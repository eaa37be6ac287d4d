//! Generates the Rust side of `proto/` with protox, so that no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 7] = [
    "sotto/identity/v1/identity.proto",
    "sotto/socket/v1/socket.proto",
    "sotto/messages/v1/messages.proto",
    "sotto/keys/v1/keys.proto",
    "sotto/groups/v1/groups.proto",
    "sotto/content/v1/content.proto",
    "sotto/link/v1/link.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    // Asked for when it runs, not when it is compiled: checkouts that share a target folder
    // share the compiled script too.
    #[expect(clippy::disallowed_methods, reason = "how cargo tells a build script")]
    let (root, out) = (env::var("CARGO_MANIFEST_DIR")?, env::var("OUT_DIR")?);
    let (root, out) = (PathBuf::from(root).join("../../proto"), PathBuf::from(out));
    println!("cargo::rerun-if-changed={}", root.display());

    let descriptors = protox::compile(FILES, [&root])?;
    let descriptor_path = out.join("descriptors.bin");
    fs::write(&descriptor_path, descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .bytes(".sotto.messages.v1")
        .bytes(".sotto.groups.v1")
        .bytes(".sotto.socket.v1")
        .compile_fds(descriptors)?;

    // Proto-JSON for what crosses the `sotto.v1.json` subprotocol.
    pbjson_build::Builder::new()
        .register_descriptors(&fs::read(&descriptor_path)?)?
        // As in the binary form: a later version of the protocol may say more.
        .ignore_unknown_fields()
        .build(&[".sotto.socket.v1"])?;
    Ok(())
}
