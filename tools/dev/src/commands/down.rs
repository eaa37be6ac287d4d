use std::fs;

use crate::{folder::Folder, running::Running, screen::Screen, steps::Steps};

/// Ends what `up` has left running.
pub(crate) async fn down(folder: &Folder, screen: &Screen) -> anyhow::Result<()> {
    let _lock = folder.lock("up")?;
    let Some(running) = Running::load(&folder.running())? else {
        screen.fine("nothing runs");
        return Ok(());
    };
    let steps = Steps::new(screen);
    for part in running.alive() {
        steps.begin(&format!("ending {}", part.name));
        if part.end().await? {
            screen.warning(format_args!("{} did not end by itself, and was killed", part.name));
        }
    }
    steps.done();
    fs::remove_file(folder.running())?;
    screen.line(format_args!("its data stays in {}", folder.up().display()));
    Ok(())
}
