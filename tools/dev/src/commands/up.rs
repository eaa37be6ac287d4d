use std::{fs, time::Duration};

use console::style;
use sotto_testkit::{
    Cluster,
    ports::Port,
    process::{Launch, Life, Process},
    wait,
};
use tokio::net::TcpStream;

use super::cli;
use crate::{folder::Folder, front, running::Running, screen::Screen, steps::Steps};

/// How long the front may take to listen.
const FRONT_IS_UP_WITHIN: Duration = Duration::from_secs(30);

/// Starts every role and what they stand on, and leaves them running.
pub(crate) async fn up(folder: &Folder, screen: &Screen) -> anyhow::Result<()> {
    let _lock = folder.lock("up")?;
    if let Some(running) = Running::load(&folder.running())? {
        let alive = running.alive().count();
        if alive == running.parts.len() {
            screen.fine("it is already running");
            show(&running, folder, screen);
            return Ok(());
        }
        if alive > 0 {
            anyhow::bail!(
                "{alive} of {} processes of an earlier `./dev up` still run; end them with \
                 `./dev down`",
                running.parts.len()
            );
        }
        fs::remove_file(folder.running())?;
    }

    let steps = Steps::new(screen);
    fs::remove_dir_all(folder.up().join("logs")).ok();
    let cluster = Cluster::builder()
        .in_dir(folder.up())
        .gateways(2)
        .messages(2)
        .life(Life::Detached)
        .in_the_named_database()
        .start_telling(|what| steps.begin(what))
        .await?;
    steps.done();

    let (front, rest_url) = start_front(&cluster, folder).await?;
    let running = Running::of(&cluster, &front, rest_url);
    running.save(&folder.running())?;
    cli::write_scripts(&running, folder)?;
    // From here on they live by themselves; had anything failed, they would be gone.
    cluster.leave_running();
    front.leave_running();
    show(&running, folder, screen);
    Ok(())
}

/// Starts what gives the roles one address for REST, and says which.
async fn start_front(cluster: &Cluster, folder: &Folder) -> anyhow::Result<(Process, String)> {
    let port = Port::reserve()?;
    let address = port.address();
    let program = std::env::current_exe()?;
    let front = Launch::new("front", program, folder.up().join("logs").join("front.log"))
        .args(["front", "--listen", &address.to_string()])
        .args(front::Roles::of(cluster).arguments())
        .life(Life::Detached)
        .spawn()?;
    wait::until(FRONT_IS_UP_WITHIN, "the front to listen", || async {
        front.check_running().map_err(|error| error.to_string())?;
        TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    Ok((front, format!("http://{address}")))
}

/// Prints where everything is, and what to try.
fn show(running: &Running, folder: &Folder, screen: &Screen) {
    screen.heading("Where it is");
    let mut rows = vec![("REST", running.rest_url.clone())];
    rows.extend(named_once("sockets", running.socket_urls.iter().cloned()));
    rows.push(("Postgres", running.database_url.clone()));
    rows.push(("Redis", running.redis_url.clone()));
    rows.extend(named_once(
        "metrics",
        running
            .parts
            .iter()
            .filter_map(|part| Some(format!("{}/metrics  {}", part.ops_url.as_ref()?, part.name))),
    ));
    rows.push(("logs", folder.up().join("logs").display().to_string()));
    rows.push(("domain", running.domain.clone()));
    screen.table(rows);

    screen.heading("Tokens, as the backends of two apps give them to their users (12 h)");
    for token in &running.tokens {
        screen.line(format_args!("  {} of {}:", token.user, token.app));
        screen.line(format_args!("  {}", style(&token.token).dim()));
    }

    screen.heading("What to try");
    for line in cli::story(running, folder) {
        screen.line(format_args!("  {line}"));
    }
    screen.gap();
    screen.line("`./dev status` shows how it does; `./dev down` ends it and keeps its data.");
}

fn named_once(
    name: &str,
    values: impl Iterator<Item = String>,
) -> impl Iterator<Item = (&str, String)> {
    std::iter::once(name).chain(std::iter::repeat("")).zip(values)
}
