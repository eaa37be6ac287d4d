//! A whole Sotto from outside: every role a process of the `sotto` executable.

mod builder;
mod config;
mod executable;
mod role;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context as _;

pub use self::{
    builder::Builder,
    executable::executable,
    role::{Role, RoleProcess},
};
use crate::{apps::App, process::tail, servers::Servers};

/// The apps that every cluster has; their users may write to one another.
pub const APPS: [&str; 2] = ["socialink", "vignette"];

/// The domain of every cluster.
pub const DOMAIN: &str = "sotto.localhost";

/// How long the token of an app's user lives that a cluster makes.
const TOKEN_LIFETIME: Duration = Duration::from_hours(12);

/// A running Sotto. Everything of it ends with this handle.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they go: the roles before the servers they stand on, and
    // the folder at last.
    roles: Roles,
    servers: Servers,
    apps: BTreeMap<String, App>,
    dir: PathBuf,
    logs: PathBuf,
    http: reqwest::Client,
    _temporary: Option<tempfile::TempDir>,
}

/// The processes of the roles.
#[derive(Debug, Default)]
struct Roles(Vec<RoleProcess>);

impl Cluster {
    /// A cluster that is about to be started: one process of each role unless told
    /// otherwise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A token of an app's user.
    ///
    /// # Panics
    ///
    /// When the cluster has no such app; see [`APPS`].
    pub fn app_token(&self, app: &str, user: &str) -> String {
        self.app(app).token(user, DOMAIN, TOKEN_LIFETIME)
    }

    /// One of its apps.
    ///
    /// # Panics
    ///
    /// When the cluster has no such app; see [`APPS`].
    pub fn app(&self, app: &str) -> &App {
        self.apps.get(app).unwrap_or_else(|| panic!("there is no app `{app}`"))
    }

    /// The home of its accounts.
    pub fn domain(&self) -> &'static str {
        DOMAIN
    }

    /// Where the REST API is, without a path.
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.role(Role::Keys, 0).http().address())
    }

    /// Where the REST API of one groups replica is, without a path: `/v1/groups` and what is
    /// below it.
    pub fn groups_url(&self, replica: usize) -> String {
        format!("http://{}", self.role(Role::Groups, replica).http().address())
    }

    /// Where the socket of one gateway is.
    pub fn socket_url(&self, gateway: usize) -> String {
        format!("ws://{}/v1/socket", self.role(Role::Gateway, gateway).http().address())
    }

    /// The sockets of all gateways.
    pub fn socket_urls(&self) -> Vec<String> {
        (0..self.count(Role::Gateway)).map(|gateway| self.socket_url(gateway)).collect()
    }

    /// Where a process tells of its health and its metrics.
    pub fn ops_url(&self, role: Role, index: usize) -> String {
        self.role(role, index).ops_url()
    }

    /// How many processes a role has, running or killed.
    pub fn count(&self, role: Role) -> usize {
        self.roles.0.iter().filter(|process| process.role() == role).count()
    }

    /// All processes.
    pub fn roles(&self) -> &[RoleProcess] {
        &self.roles.0
    }

    /// Its folder, with the configuration and the keys of the apps.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of all logs, one file a process.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Its database, as the superuser of a private server.
    pub fn database_url(&self) -> &str {
        self.servers.database_url()
    }

    /// Its Redis.
    pub fn redis_url(&self) -> &str {
        self.servers.redis_url()
    }

    /// The servers that it stands on.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The same, to kill and restart them.
    pub fn servers_mut(&mut self) -> &mut Servers {
        &mut self.servers
    }

    /// Kills a process as `kill -9` does.
    pub async fn kill9(&self, role: Role, index: usize) {
        self.role(role, index).kill9().await;
    }

    /// Asks a process to end, which drains it, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not end in time; it is killed then.
    pub async fn stop_one(&self, role: Role, index: usize) -> anyhow::Result<()> {
        self.role(role, index).stop().await
    }

    /// Starts a process that was killed or stopped, on the ports it had, and waits
    /// until it is ready.
    ///
    /// # Errors
    ///
    /// With the end of its log, when it does not come up.
    pub async fn restart(&self, role: Role, index: usize) -> anyhow::Result<()> {
        let process = self.role(role, index);
        process.launch()?;
        process.ready(&self.http).await
    }

    /// Starts a process that was killed, stopped or ended by itself, on the ports it had,
    /// and does not wait for it: what it needs may be down.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn launch(&self, role: Role, index: usize) -> anyhow::Result<()> {
        self.role(role, index).launch()
    }

    /// A metric of a process, its labels added up. 0 where it has not counted yet.
    ///
    /// # Errors
    ///
    /// When the process does not answer.
    pub async fn metric(&self, role: Role, index: usize, name: &str) -> anyhow::Result<f64> {
        Ok(sum_of_metric(&self.metrics(role, index).await?, name))
    }

    /// All metrics of a process, in Prometheus' text form.
    ///
    /// # Errors
    ///
    /// When the process does not answer.
    pub async fn metrics(&self, role: Role, index: usize) -> anyhow::Result<String> {
        let url = format!("{}/metrics", self.ops_url(role, index));
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// Lets detached processes live on without this handle.
    pub fn leave_running(mut self) {
        for role in std::mem::take(&mut self.roles.0) {
            role.leave_running();
        }
        self.servers.leave_running();
    }

    /// Ends everything in order: gateways first, then what they call, then the servers.
    ///
    /// # Errors
    ///
    /// The first that did not end by itself; the others are ended all the same.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for role in [Role::Gateway, Role::Messages, Role::Groups, Role::Keys] {
            for process in self.roles.0.iter().filter(|process| process.role() == role) {
                result = result.and(process.stop().await);
            }
        }
        self.roles.0.clear();
        result.and(self.servers.stop().await)
    }

    fn role(&self, role: Role, index: usize) -> &RoleProcess {
        self.roles
            .0
            .iter()
            .filter(|process| process.role() == role)
            .nth(index)
            .unwrap_or_else(|| panic!("there is no {role} {index}"))
    }

    async fn all_ready(&self) -> anyhow::Result<()> {
        for process in &self.roles.0 {
            process.ready(&self.http).await.context("the cluster does not come up")?;
        }
        Ok(())
    }
}

impl Drop for Roles {
    /// A test that fails shows what the processes said, since the folder goes with it.
    #[expect(clippy::print_stderr, reason = "the test harness shows it beside the panic")]
    fn drop(&mut self) {
        if thread::panicking() {
            for process in &self.0 {
                eprintln!("{process}:\n{}", tail(process.log(), 20));
            }
        }
    }
}

/// The values of a metric in the Prometheus text format, added up over its labels.
fn sum_of_metric(text: &str, name: &str) -> f64 {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = match rest.strip_prefix('{') {
                Some(labels) => labels.rsplit_once('}')?.1,
                None => rest.strip_prefix(' ')?,
            };
            value.trim().parse::<f64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_over_its_labels() {
        let text = "# TYPE a counter\na{x=\"1\"} 2\na{x=\"2\"} 3\na_total 50\nab 7\nb 1.5\n";
        assert!((sum_of_metric(text, "a") - 5.0).abs() < f64::EPSILON);
        assert!((sum_of_metric(text, "b") - 1.5).abs() < f64::EPSILON);
        assert!(sum_of_metric(text, "c").abs() < f64::EPSILON);
    }
}
