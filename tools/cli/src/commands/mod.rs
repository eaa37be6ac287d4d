//! The commands, each over an open client that is closed afterwards.

mod account;
mod devices;
mod endpoints;
mod evidence;
mod groups;
mod messages;
mod people;
mod talk;

use std::path::Path;

use sotto_client::{Client, PeerName, ids::AccountId};

use crate::{
    arguments::{Arguments, Command, EvidenceCommand},
    failure::Failure,
    output::Output,
    printed::Printed,
    profile,
};

/// Opens the profile, does what the command says, and closes it.
pub(crate) async fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let Arguments { profile, server, app_token, store_key_file, command, .. } = arguments;
    if let Command::Evidence(EvidenceCommand::Verify { file }) = &command {
        return evidence::verify(file, output);
    }
    let profile = profile.ok_or(Failure::MissingSetting("profile"))?;
    let client = profile::open(&profile, server, store_key_file, app_token.into()).await?;
    let done = Box::pin(carry_out(command, &profile, &client, output)).await;
    client.close().await;
    done
}

async fn carry_out(
    command: Command,
    profile: &Path,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        Command::Register { handle, words_file, invite } => {
            account::register(handle, words_file, invite, client, output).await
        }
        Command::Whoami => account::whoami(client, output).await,
        Command::Prekeys => account::prekeys(client, output).await,
        Command::Add { name } => people::add(&name, client, output).await,
        Command::Contacts => people::contacts(client, output).await,
        Command::Verify { name, code: true, .. } => people::show_code(&name, client, output).await,
        Command::Verify { name, scan: Some(code), .. } => {
            people::scan(&name, &code, client, output).await
        }
        Command::Verify { name, accept, .. } => people::verify(&name, accept, client, output).await,
        Command::Identity(command) => people::identity(command, client, output).await,
        Command::Chain(command) => people::chain(command, client, output).await,
        Command::Send { name, text, how, out } => {
            messages::send(&name, &text, &how, out, client, output).await
        }
        Command::Talk(command) => talk::run(command, client, output).await,
        Command::Listen { time, count, drain, events } => {
            let mut printed = Printed::load(profile)?;
            let until = messages::Until { time, count, drain, events };
            messages::listen(until, &mut printed, client, output).await
        }
        Command::Group(command) => groups::run(command, client, output).await,
        Command::Conversations => messages::conversations(client, output).await,
        Command::History { name, limit, before } => {
            messages::history(&name, limit, before, client, output).await
        }
        Command::Read { name } => messages::read(&name, client).await,
        Command::Device(command) => devices::run(command, client, output).await,
        Command::Account(command) => account::run(command, client, output).await,
        Command::Endpoint(command) => endpoints::run(command, client, output).await,
        Command::Evidence(command) => evidence::run(command, client, output).await,
    }
}

/// The account that goes by this name. A handle is looked up at the server, which
/// knows whose it is now; while the server is away, an account that is known and
/// claims it will do.
async fn find(name: &PeerName, client: &Client) -> Result<AccountId, Failure> {
    let own = client.me().await?;
    let known = client.contacts().await?;
    let handle = match name {
        PeerName::Account(account) => {
            let is_own = own.is_some_and(|me| me.account == *account);
            if is_own || known.iter().any(|contact| contact.account == *account) {
                return Ok(*account);
            }
            return Ok(client.add_contact(name).await?.account);
        }
        PeerName::Handle(handle) => handle,
    };
    if let Some(me) = own
        && me.handle.as_ref() == Some(handle)
    {
        return Ok(me.account);
    }
    match client.add_contact(name).await {
        Ok(contact) => Ok(contact.account),
        Err(error) => known
            .iter()
            .find(|contact| error.is_temporary() && contact.handle.as_ref() == Some(handle))
            .map(|contact| contact.account)
            .ok_or(error.into()),
    }
}
