//! Looking for what the server must not have, in everything it has.

use console::style;
use sotto_ids::AccountId;
use sotto_testkit::{
    Cluster,
    search::{self, Needles, Overheard, Searched},
};

use crate::screen::Screen;

/// What had to be looked through earlier, since Redis keeps little for long.
#[derive(Debug)]
pub(crate) struct Searches<'a> {
    /// Everything that it was told.
    pub(crate) overheard: &'a Overheard,
    /// Everything that it held while people were connected.
    pub(crate) in_redis: Searched,
}

/// Searches every store and every log. Says what was looked through, and returns
/// whether nothing was found.
///
/// `control` is the id of an account, which *is* in the database: a search that does not
/// find that would find nothing else either.
pub(crate) async fn nothing_is_found(
    needles: &Needles,
    control: AccountId,
    searches: Searches<'_>,
    cluster: &Cluster,
    screen: &Screen,
) -> anyhow::Result<bool> {
    let control = Needles::new([("the control", control.as_bytes())]);
    let sees = !search::postgres(cluster.database_url(), &control).await?.finds.is_empty();

    let mut places = vec![
        ("rows of Postgres", search::postgres(cluster.database_url(), needles).await?),
        ("values in Redis", searches.in_redis),
        ("commands that Redis was given", searches.overheard.search(needles)),
        ("log files", search::files(cluster.logs(), needles)?),
    ];
    if let Some(files) = cluster.servers().postgres_files() {
        places.push((
            "files of Postgres, its log of writes included",
            search::files(files, needles)?,
        ));
    }

    let mut all = Searched::default();
    for (place, searched) in places {
        screen.line(format_args!(
            "  {:>7} {place}, {}: {}",
            searched.items,
            size(searched.bytes),
            if searched.finds.is_empty() {
                style("nothing".to_owned()).green()
            } else {
                style(format!("FOUND in {} places", searched.finds.len())).red().bold()
            }
        ));
        all.add(searched);
    }
    for find in all.finds.iter().take(20) {
        screen.wrong(find);
    }
    if !sees {
        screen.wrong("the search is blind: it does not even find an account's id");
    }
    Ok(all.finds.is_empty() && sees)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
