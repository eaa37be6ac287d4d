//! A private PostgreSQL.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{Durability, program, random_hex, write_secret};
use crate::{
    ports::Port,
    process::{Launch, Life, Process, RunAs, tail},
    wait,
};

/// The superuser of a private server.
const USER: &str = "sotto";

/// A new server is there in half a second; one that was killed has to read its log.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long a server may take to end in order.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it keeps its data. What is there already is used again.
    pub dir: PathBuf,
    /// Where it logs.
    pub log: PathBuf,
    /// Whether it syncs what it confirms.
    pub durability: Durability,
    /// How long it lives.
    pub life: Life,
}

/// A running server, on a loopback port of its own, with a password.
#[derive(Debug)]
pub struct Postgres {
    options: Options,
    programs: Programs,
    run_as: Option<RunAs>,
    data: PathBuf,
    port: Port,
    password: String,
    process: Option<Process>,
}

/// PostgreSQL's two programs, of one version.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Makes the files of a new server.
    pub initdb: PathBuf,
    /// The server.
    pub postgres: PathBuf,
}

/// Finds the installed programs.
///
/// # Errors
///
/// When there are none.
pub fn programs() -> anyhow::Result<Programs> {
    program::find("initdb")
        .into_iter()
        .chain(program::postgres_folders().into_iter().map(|folder| folder.join("initdb")))
        .find_map(|initdb| {
            // What is on the PATH may be a link; the server lies beside what it leads to.
            let initdb = fs::canonicalize(initdb).ok()?;
            let postgres = initdb.with_file_name("postgres");
            program::is_program(&postgres).then_some(Programs { initdb, postgres })
        })
        .context("PostgreSQL's initdb and postgres are not installed")
}

/// Whether a server syncs what it confirms.
///
/// # Errors
///
/// When it cannot be asked.
pub async fn is_durable(url: &str) -> anyhow::Result<bool> {
    let mut db = PgConnection::connect(url).await.context("DATABASE_URL does not answer")?;
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut db).await?;
    let commit: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut db).await?;
    Ok(fsync == "on" && commit != "off")
}

impl Postgres {
    /// Makes the files where there are none, starts the server, and waits until it
    /// answers.
    ///
    /// # Errors
    ///
    /// With the end of its log, when it does not come up.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let programs = programs()?;
        let run_as = RunAs::nobody_if_root()?;
        let home = home(&options.dir, run_as)?;
        let data = home.join("data");
        let password_file = home.join("password");
        if !data.join("PG_VERSION").is_file() {
            init(&programs, &options, run_as, &data, &password_file).await?;
        }
        let password = fs::read_to_string(&password_file)
            .with_context(|| format!("cannot read {}", password_file.display()))?
            .trim()
            .to_owned();

        let port = Port::reserve()?;
        let mut postgres = Self { options, programs, run_as, data, port, password, process: None };
        postgres.come_up().await?;
        Ok(postgres)
    }

    /// `postgres://...` of a database in it, with the password.
    pub fn url(&self, database: &str) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://{USER}:{password}@{}/{database}", port.address())
    }

    /// The folder of its files.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Lets a detached server live on without its handle.
    pub fn leave_running(mut self) {
        if let Some(process) = self.process.take() {
            process.leave_running();
        }
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Makes a database, unless it has one of this name.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn create_database_if_missing(&self, name: &str) -> anyhow::Result<()> {
        let mut db = PgConnection::connect(&self.url("postgres")).await?;
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
                .bind(name)
                .fetch_one(&mut db)
                .await?;
        if !exists {
            sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut db).await?;
        }
        Ok(())
    }

    /// Kills it as a failing machine would.
    pub async fn kill9(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill9().await;
        }
    }

    /// Starts it again where it was, after [`Self::kill9`].
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.come_up().await
    }

    /// Ends it: running transactions are rolled back, the rest is written.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(process) = self.process.take() {
            // SIGTERM would wait for every client to go by itself.
            process.stop(Signal::SIGINT, ENDS_WITHIN).await?;
        }
        Ok(())
    }

    async fn come_up(&mut self) -> anyhow::Result<()> {
        let url = self.url("postgres");
        self.process = None;
        let last = std::cell::RefCell::new(self.launch()?);
        wait::until(READY_WITHIN, "Postgres to answer", || async {
            // After a kill, children of the old server may hold its memory for a moment
            // longer, and the new one refuses to start beside them.
            if last.borrow().check_running().is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let again = self.launch().map_err(|error| error.to_string())?;
                *last.borrow_mut() = again;
            }
            let mut db = PgConnection::connect(&url).await.map_err(|error| error.to_string())?;
            db.ping().await.map_err(|error| error.to_string())
        })
        .await
        .with_context(|| format!("Postgres does not start\n{}", tail(&self.options.log, 15)))?;
        self.process = Some(last.into_inner());
        Ok(())
    }

    fn launch(&self) -> anyhow::Result<Process> {
        let mut args = vec![
            "-D".to_owned(),
            self.data.display().to_string(),
            "-p".to_owned(),
            self.port.number().to_string(),
        ];
        let mut set = |setting: &str| args.extend(["-c".to_owned(), setting.to_owned()]);
        set("listen_addresses=127.0.0.1");
        // A socket's path may be 107 bytes long, which a checkout's can pass.
        set("unix_socket_directories=");
        set("max_connections=300");
        set("cluster_name=sotto");
        if self.options.durability == Durability::Fast {
            set("fsync=off");
            set("synchronous_commit=off");
            set("full_page_writes=off");
        }
        Launch::new("postgres", &self.programs.postgres, &self.options.log)
            .args(args)
            .life(self.options.life)
            .run_as(self.run_as)
            .spawn()
    }
}

/// Makes the folder in which a server lives, and gives it to whom it runs as.
///
/// Root's checkout may lie where `nobody` cannot reach it, under `/root` for one; the
/// folder is in `/var/tmp` then, under a name that says whose it is.
fn home(dir: &Path, run_as: Option<RunAs>) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let Some(owner) = run_as else { return Ok(dir.to_owned()) };
    std::os::unix::fs::chown(dir, Some(owner.uid), Some(owner.gid))?;
    if can_reach(dir, owner)? {
        return Ok(dir.to_owned());
    }
    let elsewhere = elsewhere(dir);
    fs::create_dir_all(&elsewhere)?;
    std::os::unix::fs::chown(&elsewhere, Some(owner.uid), Some(owner.gid))?;
    Ok(elsewhere)
}

/// Where a server's files are when its folder was out of its reach.
fn elsewhere(dir: &Path) -> PathBuf {
    let name = dir.display().to_string().replace('/', "-");
    Path::new("/var/tmp").join(format!("sotto{name}"))
}

/// Removes all files of a server that has ended, wherever they had to be put.
///
/// # Errors
///
/// Those of the file system.
pub fn remove_files(dir: &Path) -> std::io::Result<()> {
    for folder in [dir.to_owned(), elsewhere(dir)] {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn can_reach(dir: &Path, owner: RunAs) -> anyhow::Result<bool> {
    let setpriv = program::find("setpriv")
        .context("PostgreSQL refuses root, and there is no setpriv (util-linux)")?;
    let status = Command::new(setpriv)
        .args([format!("--reuid={}", owner.uid), format!("--regid={}", owner.gid)])
        .args(["--clear-groups", "--", "test", "-x"])
        .arg(dir)
        .stderr(Stdio::null())
        .status()?;
    Ok(status.success())
}

async fn init(
    programs: &Programs,
    options: &Options,
    run_as: Option<RunAs>,
    data: &Path,
    password_file: &Path,
) -> anyhow::Result<()> {
    write_secret(password_file, &random_hex(16), run_as)?;
    let mut args = vec![
        format!("--pgdata={}", data.display()),
        format!("--username={USER}"),
        format!("--pwfile={}", password_file.display()),
        "--auth=scram-sha-256".to_owned(),
        "--encoding=UTF8".to_owned(),
        "--locale=C".to_owned(),
    ];
    if options.durability == Durability::Fast {
        args.push("--no-sync".to_owned());
    }
    let initdb =
        Launch::new("initdb", &programs.initdb, &options.log).args(args).run_as(run_as).spawn()?;
    let status = initdb.ended(READY_WITHIN).await?;
    ensure!(status.success(), "initdb failed ({status})\n{}", tail(&options.log, 15));
    if !data.join("PG_VERSION").is_file() {
        bail!("initdb made no {}", data.display());
    }
    Ok(())
}
