//! The narrated conversation.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use sotto_client::{Body, Event, Me, PeerName, Tuning};
use sotto_testkit::{
    cluster::APPS,
    search::{self, Needles, Overheard},
    wait,
};

use super::{
    PATIENCE, Stage,
    columns::{Columns, Line, aside, does, has, says},
    group_story::Circle,
    person::Person,
    proof::{self, Searches},
    server_view::{ServerView, short},
};
use crate::screen::Screen;

/// What Alice writes while Bob is away.
const FIRST: &str = "Meet me at the observatory at nine. Bring the long coat, and tell nobody.";

/// What Bob answers.
const ANSWER: &str = "I will be there. The coat is packed; the marzipan pigeon stays at home.";

/// Plays it. `false` when the server turned out to hold something that it must not.
pub(crate) async fn play(stage: Stage<'_>, screen: &Screen) -> anyhow::Result<bool> {
    let cluster = stage.cluster;
    let overheard = Overheard::start(cluster.redis_url()).await?;
    let [socialink, vignette] = APPS;
    let mut play = Play {
        alice: Person::new("alice", socialink, 0, Tuning::default(), stage).await?,
        bob: Person::new("bob", vignette, 1, Tuning::default(), stage).await?,
        server: ServerView::open(cluster).await?,
        columns: Columns::new(["Alice · Socialink", "Bob · Vignette", "the server"], screen),
    };

    let alice = play.alice_registers().await?;
    let bob = play.bob_registers().await?;
    play.they_compare_safety_numbers(&alice, &bob).await?;
    play.alice_writes_while_bob_is_away(&alice, &bob).await?;
    play.bob_connects(&bob).await?;
    play.bob_answers(&alice).await?;
    let mut circle = Circle::meet(&mut play, stage).await?;
    circle.play(&mut play).await?;
    // While they are there, as Redis only knows who is.
    let needles = Needles::new(play.planted().into_iter().chain(circle.planted()));
    let in_redis = search::redis(cluster.redis_url(), &needles).await?;
    play.they_leave(&circle).await?;

    screen.heading("What the server could tell if it were asked");
    screen.line(
        "  Searched for every text, the names of the group, all recovery phrases and all store keys:",
    );
    let searches = Searches { overheard: &overheard, in_redis };
    let nothing =
        proof::nothing_is_found(&needles, alice.account, searches, cluster, screen).await?;
    circle.close().await;
    play.alice.client.close().await;
    play.bob.client.close().await;
    Ok(nothing)
}

/// The two, and what is shown of them.
pub(super) struct Play<'a> {
    pub(super) alice: Person,
    pub(super) bob: Person,
    pub(super) server: ServerView,
    pub(super) columns: Columns<'a>,
}

impl Play<'_> {
    /// What the server must not have, with what it is.
    fn planted(&self) -> Vec<(String, Vec<u8>)> {
        let said = [
            ("Alice's text", FIRST),
            ("Bob's text", ANSWER),
            ("part of Alice's text", "observatory at nine"),
            ("part of Bob's text", "marzipan pigeon"),
        ];
        let said = said.map(|(what, text)| (what.to_owned(), text.as_bytes().to_vec()));
        let kept = [&self.alice, &self.bob].into_iter().flat_map(Person::secrets);
        said.into_iter().chain(kept).collect()
    }

    async fn alice_registers(&mut self) -> anyhow::Result<Me> {
        let alice = self.alice.register().await?;
        let server = self.registered(&alice).await?;
        self.columns.scene(
            "Alice makes an account, on her own device",
            registers(&alice),
            vec![],
            server,
        );
        Ok(alice)
    }

    async fn bob_registers(&mut self) -> anyhow::Result<Me> {
        let bob = self.bob.register().await?;
        let server = self.registered(&bob).await?;
        self.columns.scene("Bob does, with another app", vec![], registers(&bob), server);
        Ok(bob)
    }

    async fn registered(&mut self, me: &Me) -> anyhow::Result<Vec<Line>> {
        let row = self.server.account(me.uuid).await?;
        let shelf = self.server.shelf(me.uuid).await?;
        Ok(vec![
            has(format!("keys.handles: {} is {}", row.handle, row.account)),
            has(format!("keys.chain_ops: {} signed ops of {}", row.ops, row.account)),
            has(format!("keys.one_time_ec_prekeys: {} public keys", shelf.one_time_ec)),
            has(format!("keys.one_time_kyber_prekeys: {} public keys", shelf.one_time_kyber)),
        ])
    }

    async fn they_compare_safety_numbers(&mut self, alice: &Me, bob: &Me) -> anyhow::Result<()> {
        let name = |handle: &str| handle.parse::<PeerName>();
        let contact_bob = self.alice.client.add_contact(&name("bob")?).await?;
        let contact_alice = self.bob.client.add_contact(&name("alice")?).await?;
        ensure!(contact_bob.account == bob.account, "the server gave Alice another Bob");
        ensure!(contact_alice.account == alice.account, "the server gave Bob another Alice");
        let hers = self.alice.client.safety_number(bob.account).await?.to_string();
        let his = self.bob.client.safety_number(alice.account).await?.to_string();
        ensure!(hers == his, "the safety numbers differ: {hers} and {his}");

        let sees = |who: &str, number: &str| {
            vec![
                does(format!("fetches the chain of {who}, and verifies every signature in it")),
                does("reads aloud:"),
                says(number),
            ]
        };
        self.columns.scene(
            "They compare safety numbers",
            sees("@bob", &hers),
            sees("@alice", &his),
            vec![
                has("served two chains"),
                aside("could not swap a key in them: each link is signed by its owner"),
            ],
        );
        Ok(())
    }

    async fn alice_writes_while_bob_is_away(&mut self, alice: &Me, bob: &Me) -> anyhow::Result<()> {
        let before = self.server.shelf(bob.uuid).await?;
        self.alice.client.go_online().await?;
        self.alice.client.wait_connected(PATIENCE).await.context("Alice cannot connect")?;
        let id = self.alice.client.send_text(bob.account, FIRST).await?;
        self.alice
            .events
            .wait_for(
                PATIENCE,
                |event| matches!(event, Event::MessageAccepted { id: accepted, .. } if *accepted == id),
            )
            .await
            .context("Alice's message was not accepted")?;

        self.server.wait_until_waiting(1).await?;
        let rows = self.server.queue().await?;
        let row = rows.first().context("the row went away")?;
        let after = self.server.shelf(bob.uuid).await?;
        let taken =
            (before.one_time_ec - after.one_time_ec, before.one_time_kyber - after.one_time_kyber);
        ensure!(taken == (1, 1), "{taken:?} one-time keys were handed out, not one of each");
        let place = self.server.place(alice.uuid).await?.context("Alice has no place in Redis")?;
        let mut server = vec![
            has(format!("messages.queue: {} for {}, device {}", row.id, row.account, row.device)),
            has(format!("  {} bytes, for {} days", row.bytes, row.days_left)),
            has(format!("  of which some: {}…", row.last_bytes)),
            has(format!(
                "one-time keys of @bob: {} EC and {} Kyber are left; one of each is used up",
                after.one_time_ec, after.one_time_kyber
            )),
            has(format!("Redis: @alice is at {place}")),
        ];
        let bobs_place = self.server.place(bob.uuid).await?;
        ensure!(bobs_place.is_none(), "Bob has a place, and is away");
        server.push(aside("Redis: @bob is nowhere"));
        self.columns.scene(
            "Bob is away. Alice writes to him all the same",
            vec![
                does("takes one of Bob's one-time keys, opens a session (PQXDH), encrypts:"),
                says(FIRST),
                does("✓ accepted: it is on the server's disk"),
            ],
            vec![aside("(offline)")],
            server,
        );
        Ok(())
    }

    async fn bob_connects(&mut self, bob: &Me) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.bob.client.go_online().await?;
        let text = next_text(&mut self.bob).await.context("Bob did not get the message")?;
        let took = begun.elapsed();
        ensure!(text == FIRST, "Bob got another text");
        self.bob.client.wait_drained(PATIENCE).await.context("Bob's queue does not end")?;
        self.server.wait_until_waiting(0).await?;
        let place = self.server.place(bob.uuid).await?.context("Bob has no place in Redis")?;
        self.columns.scene(
            "Bob connects",
            vec![],
            vec![
                does(format!("{} ms after he began to connect:", took.as_millis())),
                says(text),
                does("has it on his own disk, and acknowledges it"),
            ],
            vec![
                has("messages.queue: 0 rows; what is acknowledged is deleted"),
                has(format!("Redis: @bob is at {place}")),
            ],
        );
        Ok(())
    }

    async fn bob_answers(&mut self, alice: &Me) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.bob.client.send_text(alice.account, ANSWER).await?;
        let text = next_text(&mut self.alice).await.context("Alice did not get the answer")?;
        let took = begun.elapsed();
        ensure!(text == ANSWER, "Alice got another text");
        self.server.wait_until_waiting(0).await?;
        self.columns.scene(
            "Bob answers, and both are there",
            vec![does(format!("{} ms after he pressed send:", took.as_millis())), says(text)],
            vec![says(ANSWER)],
            vec![
                has("messages.queue: 0 rows again"),
                aside("a row was written before Bob's message counted as accepted, and deleted when Alice had it"),
            ],
        );
        Ok(())
    }

    async fn they_leave(&mut self, circle: &Circle) -> anyhow::Result<()> {
        self.server.new_log_lines()?;
        let people = [&self.alice, &self.bob].into_iter().chain(circle.people());
        let mut left = 0;
        for person in people {
            person.client.go_offline().await;
            left += 1;
        }
        let server = std::cell::RefCell::new((&mut self.server, Vec::new()));
        wait::until(PATIENCE, "the gateways to log that all have left", || async {
            let (view, lines) = &mut *server.borrow_mut();
            lines.extend(view.new_log_lines().map_err(|error| error.to_string())?);
            let ends = lines.iter().filter(|(_, said)| said.contains("session ended")).count();
            if ends >= left { Ok(()) } else { Err(format!("{lines:?}")) }
        })
        .await?;
        let (_, lines) = server.into_inner();
        self.columns.scene(
            "They leave",
            vec![aside("(offline)")],
            vec![aside("(offline)")],
            lines.iter().map(|(who, said)| has(format!("{who}: {said}"))).collect(),
        );
        Ok(())
    }
}

fn registers(me: &Me) -> Vec<Line> {
    let handle = me.handle.as_ref().map_or_else(String::new, |handle| format!("@{handle}"));
    vec![
        does("makes all keys here; only public ones leave the device"),
        does(format!("is {handle}, {}", short_account(me))),
        does("writes 24 words down, and keeps them"),
    ]
}

pub(super) fn short_account(me: &Me) -> String {
    let text = me.account.to_string();
    format!("acct:{}", short(text.trim_start_matches("acct:")))
}

/// The next text that comes in.
async fn next_text(person: &mut Person) -> anyhow::Result<String> {
    let event =
        person.events.wait_for(PATIENCE, |event| matches!(event, Event::Message(_))).await?;
    match event {
        Event::Message(message) => match message.body {
            Body::Text(text) => Ok(text),
            other => anyhow::bail!("it could not be read: {other:?}"),
        },
        other => anyhow::bail!("{other:?} is no message"),
    }
}
