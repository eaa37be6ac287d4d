use utoipa::openapi::{
    InfoBuilder, License, OpenApi, OpenApiBuilder, ServerBuilder, ServerVariableBuilder, Tag,
    tag::TagBuilder,
};

/// Writes the document to standard output.
#[expect(clippy::print_stdout, reason = "what the command is for")]
pub(crate) fn openapi() -> anyhow::Result<()> {
    println!("{}", document().to_pretty_json()?);
    Ok(())
}

/// What all roles serve, behind one address.
fn document() -> OpenApi {
    let mut license = License::new("GNU Affero General Public License v3.0 only");
    license.identifier = Some("AGPL-3.0-only".to_owned());
    let info = InfoBuilder::new()
        .title("Sotto")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The REST API of Sotto: accounts and their chains, prekeys, tokens, linking, \
             groups, and messages where no WebSocket gets through. Every refusal is a problem document \
             (RFC 9457) with a stable `reason`. What takes GET takes HEAD.",
        ))
        .license(Some(license))
        .build();
    let domain = ServerVariableBuilder::new()
        .default_value("sotto.localhost")
        .description(Some("Where the deployment is reached."));
    let server = ServerBuilder::new()
        .url("https://{domain}")
        .description(Some("A deployment"))
        .parameter("domain", domain);
    let mut document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([server.build()]))
        .tags(Some(tags()))
        .build()
        .merge_from(sotto_keys::openapi())
        .merge_from(sotto_gateway::openapi())
        .merge_from(sotto_groups::openapi());
    sotto_kit::openapi::complete(&mut document);
    document
}

fn tags() -> [Tag; 7] {
    [
        ("accounts", "Accounts, their chains and their handles"),
        ("auth", "Tokens"),
        ("groups", "Groups: the delivery service of MLS"),
        ("keys", "Prekeys"),
        ("link", "The mailbox through which a device is linked"),
        ("messages", "Sending and receiving"),
        ("public", "What anybody may read under well-known names"),
    ]
    .map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build())
}
