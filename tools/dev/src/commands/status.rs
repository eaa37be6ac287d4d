use std::time::Duration;

use console::style;

use crate::{
    folder::Folder,
    running::{Part, Running},
    screen::Screen,
};

/// How long a process may take to say how it does.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Shows each process of `up`. `false` unless all are well.
pub(crate) async fn status(folder: &Folder, screen: &Screen) -> anyhow::Result<bool> {
    let Some(running) = Running::load(&folder.running())? else {
        screen.line("nothing runs; `./dev up` starts it");
        return Ok(false);
    };
    let http = reqwest::Client::builder().timeout(ANSWERS_WITHIN).build()?;
    let mut all_well = true;
    for part in running.parts.iter().rev() {
        let (is_well, state) = state(part, &http).await;
        let line = format!(
            "{:<14} {:<18} {}",
            part.name,
            state,
            style(format_args!("pid {}, {}", part.process.pid(), part.log)).dim()
        );
        if is_well {
            screen.fine(line);
        } else {
            screen.wrong(line);
            all_well = false;
        }
    }
    if !all_well {
        screen.line("`./dev down && ./dev up` starts it anew");
    }
    Ok(all_well)
}

/// Whether a process is well, and what it says.
pub(crate) async fn state(part: &Part, http: &reqwest::Client) -> (bool, String) {
    if !part.process.is_alive() {
        return (false, "has ended".to_owned());
    }
    let Some(ops_url) = &part.ops_url else { return (true, "runs".to_owned()) };
    match http.get(format!("{ops_url}/readyz")).send().await {
        Ok(answer) if answer.status().is_success() => (true, "ready".to_owned()),
        Ok(answer) => (false, answer.text().await.unwrap_or_default().trim().to_owned()),
        Err(_) => (false, "does not answer".to_owned()),
    }
}
