//! `./dev demo`: a conversation that really takes place, on servers that are really
//! there.

mod columns;
mod group_story;
mod person;
mod proof;
mod server_view;
mod story;
mod texts;
mod texts_file;

use std::{path::PathBuf, time::Duration};

use sotto_testkit::{Cluster, process::ProcessId};

use crate::{
    folder::{Folder, Passing},
    front::Front,
    screen::Screen,
    steps::Steps,
};

/// How long anything in a demo may take that takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where everything takes place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) cluster: &'a Cluster,
    /// Where people find the REST API of all roles.
    pub(crate) front: &'a Front,
}

/// What `demo` is to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Sends the texts of a file instead: one a line, in the second column of
    /// tab-separated ones. The receiver is offline for the first half.
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,

    /// How many messages of the second half may be under way at once. More gives more
    /// throughput, and a longer delivery of each.
    #[arg(long, value_name = "COUNT", default_value_t = 16, requires = "texts")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: u16,

    /// Keeps the data and the logs when all is over.
    #[arg(long)]
    keep: bool,
}

/// Plays the demo. `false` when something did not happen as it should.
pub(crate) async fn run(
    arguments: &Arguments,
    folder: &Folder,
    screen: &Screen,
) -> anyhow::Result<bool> {
    // A file that is no good is found out before anything is started.
    let texts = arguments.texts.as_deref().map(texts_file::read).transpose()?;
    let _lock = folder.lock("demo")?;
    let passing = Passing::new(folder.demo())?;

    screen.heading("Sotto: a messaging backend that cannot read messages");
    let steps = Steps::new(screen);
    let builder =
        Cluster::builder().in_dir(passing.path()).gateways(2).messages(2).on_the_named_servers();
    // A file of texts is written at once, and may have thousands.
    let builder = if texts.is_some() { builder.writing_without_limit() } else { builder };
    let cluster = builder.start_telling(|what| steps.begin(what)).await?;
    steps.done();
    say_what_runs(&cluster, screen);

    let front = Front::before(&cluster)?;
    let stage = Stage { cluster: &cluster, front: &front };
    let all_happened = match &texts {
        Some(texts) => texts::play(texts, usize::from(arguments.in_flight), stage, screen).await,
        None => story::play(stage, screen).await,
    };
    let logs = cluster.logs().to_owned();
    if arguments.keep {
        passing.keep();
        screen.line(format_args!("kept: {}", folder.demo().display()));
    } else if !matches!(all_happened, Ok(true)) {
        screen.line(format_args!("what the processes said stays in {}", logs.display()));
        passing.keep();
    }
    let all_happened = all_happened?;

    steps.begin("ending every process");
    cluster.stop().await?;
    steps.done();
    screen.gap();
    if all_happened {
        screen.fine("all of it happened, and the server cannot read a word of it");
    } else {
        screen.wrong("not all of it happened as it should");
    }
    Ok(all_happened)
}

fn say_what_runs(cluster: &Cluster, screen: &Screen) {
    let roles = cluster.roles().iter().map(|process| {
        let pid = process.id().map_or(0, ProcessId::pid);
        format!("{process} ({pid})")
    });
    let servers = cluster
        .servers()
        .processes()
        .into_iter()
        .map(|p| format!("{} ({})", p.name(), p.id().pid()));
    let all: Vec<String> = servers.chain(roles).collect();
    screen.line(format_args!("  {} processes: {}", all.len(), all.join(", ")));
}
