//! Five people make a group, change it, and write to each other; one of them is away.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use sotto_client::{Body, Draft, Event, Me, PeerName, Tuning};
use sotto_ids::GroupId;
use sotto_testkit::cluster::APPS;

use super::{
    PATIENCE, Stage,
    columns::{Line, aside, does, has, says},
    person::Person,
    server_view::{EntryRow, MemberRow},
    story::{Play, short_account},
};

/// What the group is called, and what it is called later.
const NAME: &str = "Lanterns on the ice";
const NEW_NAME: &str = "Lanterns under the jetty";

/// What Alice writes while Erin is away.
const QUESTION: &str = "The ice holds since Tuesday. Who brings the thermos flask?";

/// What Carol answers.
const ANSWER: &str = "Mine leaks, so I bring two kettles and a grudge.";

/// What Alice writes once Dave is out.
const SECRET: &str = "Among us four: the present for Dave is under the jetty.";

/// Those who come to Alice and Bob.
pub(super) struct Circle {
    carol: Person,
    dave: Person,
    erin: Person,
    /// In the order Bob, Carol, Dave, Erin.
    others: [Me; 4],
    group: GroupId,
    /// Up to where its log was shown.
    shown: i64,
}

impl Circle {
    /// Three more make accounts, and Alice gets to know all of them.
    pub(super) async fn meet(play: &mut Play<'_>, stage: Stage<'_>) -> anyhow::Result<Self> {
        let [socialink, vignette] = APPS;
        let person =
            |handle, app, gateway| Person::new(handle, app, gateway, Tuning::default(), stage);
        let carol = person("carol", socialink, 0).await?;
        let dave = person("dave", vignette, 1).await?;
        let erin = person("erin", vignette, 1).await?;
        let bob = play.bob.client.me().await?.context("Bob has no account")?;
        let others = [bob, carol.register().await?, dave.register().await?, erin.register().await?];
        for newcomer in [&carol, &dave, &erin] {
            newcomer.client.add_contact(&"alice".parse::<PeerName>()?).await?;
            play.alice.client.add_contact(&newcomer.handle.parse::<PeerName>()?).await?;
            newcomer.client.go_online().await?;
            newcomer.client.wait_connected(PATIENCE).await?;
        }
        // They publish their KeyPackages by themselves; here nobody waits for when.
        for one in [&play.alice, &play.bob, &carol, &dave, &erin] {
            one.client.maintain_prekeys().await?;
        }
        let group = play.alice.client.create_group(NAME, None).await.context("no group")?;
        Ok(Self { carol, dave, erin, others, group, shown: 0 })
    }

    /// All of it.
    pub(super) async fn play(&mut self, play: &mut Play<'_>) -> anyhow::Result<()> {
        play.columns.head(["Alice", "Bob, Carol, Dave, Erin", "the server"]);
        self.alice_adds_all(play).await?;
        self.erin_is_away(play).await?;
        self.dave_is_removed(play).await?;
        self.erin_comes_back(play).await
    }

    /// The three.
    pub(super) fn people(&self) -> [&Person; 3] {
        [&self.carol, &self.dave, &self.erin]
    }

    /// What the server must not have, with what it is.
    pub(super) fn planted(&self) -> Vec<(String, Vec<u8>)> {
        let said = [
            ("the name of the group", NAME),
            ("its other name", NEW_NAME),
            ("part of the name", "Lanterns "),
            ("Alice's text to the group", QUESTION),
            ("Carol's text to the group", ANSWER),
            ("Alice's text without Dave", SECRET),
            ("part of a text to the group", "two kettles"),
        ];
        let said = said.map(|(what, text)| (what.to_owned(), text.as_bytes().to_vec()));
        said.into_iter().chain(self.people().into_iter().flat_map(Person::secrets)).collect()
    }

    pub(super) async fn close(self) {
        for person in [self.carol, self.dave, self.erin] {
            person.client.close().await;
        }
    }

    async fn alice_adds_all(&mut self, play: &mut Play<'_>) -> anyhow::Result<()> {
        let accounts = self.others.each_ref().map(|me| me.account);
        let added = play.alice.client.add_to_group(self.group, &accounts).await?;
        ensure!(added.added.len() == 4, "not all were added: {added:?}");
        for one in [&mut play.bob, &mut self.carol, &mut self.dave, &mut self.erin] {
            let group = self.group;
            let joined = one
                .events
                .wait_for(
                    PATIENCE,
                    |event| matches!(event, Event::GroupJoined { group: joined, .. } if *joined == group),
                )
                .await
                .with_context(|| format!("{} did not join", one.handle))?;
            let name = match &joined {
                Event::GroupJoined { name, .. } => name,
                other => anyhow::bail!("{other:?} is no joining"),
            };
            ensure!(name == NAME, "{} sees another name", one.handle);
        }

        let row = play.server.group(self.group).await?;
        let mut server = vec![
            has(format!("groups.groups: {} is in epoch {}", row.group, row.epoch)),
            has(format!("groups.members: {} devices, and whose they are", row.devices)),
            has(format!("groups.states: {} bytes of public keys, the tree", row.state_bytes)),
            has(format!("  name and picture, sealed: {} bytes", row.metadata_bytes)),
        ];
        server.extend(self.new_entries(play).await?);
        let [_, carol, dave, erin] = &self.others;
        play.columns.scene(
            "Three more come, and Alice makes a group of five",
            vec![
                does("calls it:"),
                says(NAME),
                does("takes one KeyPackage of each device, checks that its owner's chain certifies it, and commits"),
            ],
            vec![
                does(format!(
                    "@carol is {}, @dave is {}, @erin is {}",
                    short_account(carol),
                    short_account(dave),
                    short_account(erin)
                )),
                does("each opens a Welcome, checks every member of the tree, and reads:"),
                says(NAME),
            ],
            server,
        );
        Ok(())
    }

    async fn erin_is_away(&mut self, play: &mut Play<'_>) -> anyhow::Result<()> {
        self.erin.client.go_offline().await;
        let begun = Instant::now();
        play.alice.client.send_to_group(self.group, Draft::text(QUESTION)).await?;
        for one in [&mut play.bob, &mut self.carol, &mut self.dave] {
            reads(QUESTION, self.group, one).await?;
        }
        let took = begun.elapsed();
        self.carol.client.send_to_group(self.group, Draft::text(ANSWER)).await?;
        for one in [&mut play.alice, &mut play.bob, &mut self.dave] {
            reads(ANSWER, self.group, one).await?;
        }
        let mut server = self.new_entries(play).await?;
        server.push(aside(
            "one row for each message, however many read it; who wrote it is not in it",
        ));
        play.columns.scene(
            "Erin is away. Alice writes, and Carol answers",
            vec![does("encrypts once, for all:"), says(QUESTION), says(ANSWER)],
            vec![
                does(format!("{} ms later, on all devices but Erin's:", took.as_millis())),
                says(QUESTION),
                does("and from Carol:"),
                says(ANSWER),
                aside("Erin: (offline)"),
            ],
            server,
        );
        Ok(())
    }

    async fn dave_is_removed(&mut self, play: &mut Play<'_>) -> anyhow::Result<()> {
        let [_, _, dave, _] = &self.others;
        let dave = (dave.account, dave.uuid);
        let removed = play.alice.client.remove_from_group(self.group, &[dave.0]).await?;
        ensure!(removed, "Dave was not in the group");
        self.dave
            .events
            .wait_for(PATIENCE, |event| matches!(event, Event::GroupLeft { removed: true, .. }))
            .await
            .context("Dave was not told")?;
        play.alice.client.rename_group(self.group, NEW_NAME).await?;
        play.alice.client.send_to_group(self.group, Draft::text(SECRET)).await?;
        for one in [&mut play.bob, &mut self.carol] {
            reads(SECRET, self.group, one).await?;
        }
        let his = self.dave.client.group_history(self.group, 10, None).await?;
        ensure!(
            his.iter().all(|message| message.body.text() != Some(SECRET)),
            "Dave has what was written after he was removed"
        );

        let row = play.server.member_at(self.group, dave.1, i64::MAX).await?;
        let mut server = self.new_entries(play).await?;
        server.push(has(format!(
            "groups.members: {}, device {}, gone with entry {}",
            row.account,
            row.device,
            row.removed_seq.unwrap_or_default()
        )));
        play.columns.scene(
            "Alice removes Dave, gives the group another name, and writes again",
            vec![does("two commits: every key of the group is new"), says(NEW_NAME), says(SECRET)],
            vec![
                does("Bob and Carol read:"),
                says(SECRET),
                aside("Dave: out, and without the keys of these epochs"),
                aside("Erin: (offline)"),
            ],
            server,
        );
        Ok(())
    }

    async fn erin_comes_back(&mut self, play: &mut Play<'_>) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.erin.client.go_online().await?;
        for text in [QUESTION, ANSWER, SECRET] {
            reads(text, self.group, &mut self.erin).await?;
        }
        let took = begun.elapsed();
        let name = self.erin.client.group(self.group).await?.group.name;
        ensure!(name == NEW_NAME, "Erin sees another name");

        let seq = play.server.group(self.group).await?.seq;
        let mut server = self.new_entries(play).await?;
        let [bob, carol, _, erin] = &self.others;
        for me in [bob, carol, erin] {
            let MemberRow { account, device, cursor, .. } =
                play.server.member_at(self.group, me.uuid, seq).await?;
            server.push(has(format!(
                "groups.members: {account}, device {device}, has the log up to entry {cursor}"
            )));
        }
        play.columns.scene(
            "Erin connects",
            vec![],
            vec![
                does(format!("Erin, {} ms after she began to connect:", took.as_millis())),
                says(QUESTION),
                says(ANSWER),
                does("follows both commits, and finds another name:"),
                says(NEW_NAME),
                says(SECRET),
            ],
            server,
        );
        Ok(())
    }

    /// What has come into the log since it was shown last.
    async fn new_entries(&mut self, play: &Play<'_>) -> anyhow::Result<Vec<Line>> {
        let entries = play.server.log_after(self.group, self.shown).await?;
        self.shown = entries.last().map_or(self.shown, |entry| entry.seq);
        Ok(entries.iter().map(shown).collect())
    }
}

fn shown(entry: &EntryRow) -> Line {
    let EntryRow { seq, epoch, bytes, last_bytes, .. } = entry;
    let what = format!("groups.log {seq}: {}, epoch {epoch}", entry.kind());
    has(match bytes {
        0 => what,
        _ if entry.is_message() => format!("{what}, {bytes} bytes, of which some: {last_bytes}…"),
        _ => format!("{what}, {bytes} bytes"),
    })
}

/// Waits until a text has come to somebody in a group.
async fn reads(text: &str, group: GroupId, person: &mut Person) -> anyhow::Result<()> {
    let handle = person.handle;
    let event = person
        .events
        .wait_for(
            PATIENCE,
            |event| matches!(event, Event::Message(message) if message.group == Some(group)),
        )
        .await
        .with_context(|| format!("{handle} gets nothing in the group"))?;
    let Event::Message(message) = event else { anyhow::bail!("{event:?} is no message") };
    ensure!(
        matches!(&message.body, Body::Text(read) if read == text),
        "{handle} reads something else in the group"
    );
    Ok(())
}
