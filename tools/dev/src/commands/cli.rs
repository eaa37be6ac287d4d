use crate::{folder::Folder, running::Running};

/// Commands that play a small conversation on what runs, ready to be pasted.
pub(crate) fn story(running: &Running, folder: &Folder) -> Vec<String> {
    let _ = (running, folder);
    Vec::new()
}
