//! Random phones, a random network, random commands; virtual time and fixed seeds.
//!
//! `SEED=7 cargo test -p engine --test simulation` replays one run, with its ladder.
//! `SEEDS=200000` runs that many.

mod world;

use std::time::Duration;

use engine::phone::{Answer, Notify, OnOffer, OnRefer, Phone};
use engine::{CommandId, Config, Mode, Side, Step, Target};
use sip::{Message, Method};
use world::{CALLEE, CALLER, Fate, OTHER, World, transfers};

#[test]
fn whatever_happens_every_command_ends_once_and_nothing_is_left() {
    if let Ok(seed) = std::env::var("SEED") {
        let world = run(seed.parse().expect("SEED is a number"));
        return println!("{}", world.ladder);
    }
    let seeds =
        std::env::var("SEEDS").map_or(20_000, |seeds| seeds.parse().expect("SEEDS is a number"));
    let workers = std::thread::available_parallelism().map_or(1, |workers| workers.get() as u64);
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let work = |first| scope.spawn(move || tally((first..seeds).step_by(workers as usize)));
        let working: Vec<_> = (0..workers).map(work).collect();
        for worker in working {
            all.add(&worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    let Tally { failed, succeeded, held, unheld, moved, updated } = all;
    println!("{seeds} seeds: {succeeded} commands succeeded, {failed} failed");
    println!("{held} legs put on hold, {unheld} taken back");
    println!("{moved} parties became another one, {updated} took an offer in an UPDATE early");
    // A simulation in which everything fails, or nothing does, tests little.
    assert!(succeeded.min(failed) * 10 > seeds, "lopsided: {succeeded} well, {failed} failed");
    assert!(held.min(unheld) * 50 > seeds, "nobody is held: {held}, {unheld}");
    assert!(moved * 50 > seeds, "nobody is transferred: {moved}");
    assert!(updated * 50 > seeds, "no early offer is passed on: {updated}");
}

/// What happened in some runs.
#[derive(Default)]
struct Tally {
    /// Commands.
    failed: u64,
    succeeded: u64,
    /// Legs, by commands.
    held: u64,
    unheld: u64,
    /// Parties that became another one.
    moved: u64,
    /// Offers in UPDATEs that were taken before the call was answered.
    updated: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        let Self { failed, succeeded, held, unheld, moved, updated } = other;
        self.failed += failed;
        self.succeeded += succeeded;
        self.held += held;
        self.unheld += unheld;
        self.moved += moved;
        self.updated += updated;
    }
}

fn tally(seeds: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let world =
            std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("SEED={seed}"));
        let steps = |wanted| world.progress.iter().filter(|(_, step, _)| *step == wanted).count();
        let succeeded = world.done.values().filter(|result| result.is_ok()).count();
        tally.add(&Tally {
            failed: (world.done.len() - succeeded) as u64,
            succeeded: succeeded as u64,
            held: steps(Step::Held) as u64,
            unheld: steps(Step::Unheld) as u64,
            moved: world.transferred,
            updated: updates(&world),
        });
    }
    tally
}

/// How many offers in UPDATEs the engine has passed on before the call was answered, and were taken:
/// in established calls it sends re-INVITEs.
fn updates(world: &World) -> u64 {
    let is_taken = |(from, message): &&(usize, Message)| {
        matches!(message, Message::Response(response)
            if *from != 0
                && response.status == 200
                && response.cseq().method == Method::Update
                && !response.body().is_empty())
    };
    world.sent.iter().filter(is_taken).count() as u64
}

/// SplitMix64: small, and the same everywhere.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.below(below))
    }
}

fn run(seed: u64) -> World {
    let mut random = Random(seed);
    let mut world = match random.below(4) {
        0 => World::with_users(seed, &[("alice", "secret"), ("bob", "hidden"), ("dora", "none")]),
        1 => {
            let session_seconds = Some(random.pick(&[90, 120, 1800]));
            let hide_call_id = random.one_in(2);
            World::with_config(seed, Config { session_seconds, hide_call_id, ..World::config() })
        }
        _ => World::new(seed),
    };
    for (phone, (account, password)) in world.phones.iter_mut().zip([
        random.pick(&[("alice", "secret"), ("bob", "hidden")]),
        random.pick(&[("bob", "hidden"), ("alice", "wrong")]),
        random.pick(&[("alice", "secret"), ("bob", "hidden")]),
    ]) {
        phone.set_account(account, password);
    }
    for phone in &mut world.phones {
        behave(phone, &mut random);
    }
    world.network = network(&mut random);
    rewrite(&mut world, &mut random);
    let mut commands = Vec::new();
    for phone in 0..3 {
        if random.one_in(2) {
            world.register(phone, random.pick(&[60, 600, 3600]));
        }
    }
    world.run_for(random.millis(2000));
    if random.one_in(3) {
        talk(&mut world, &mut random, &mut commands);
    }
    for _ in 0..1 + random.below(8) {
        act(&mut world, &mut random, &mut commands);
        if random.one_in(16) {
            let time = random.pick(&[3000, 40_000, 400_000]);
            world.suspend(random.millis(time), random.one_in(2));
        }
        let pause = if random.one_in(3) { random.millis(40_000) } else { random.millis(300) };
        world.run_for(pause);
    }
    settle(&mut world, &commands);
    world
}

/// Lets refusals send the caller elsewhere, a phone be behind NAT, and phones insist on reliable
/// provisional answers, or does none of it.
fn rewrite(world: &mut World, random: &mut Random) {
    let moved = random.one_in(3).then(|| world.phones[random.below(3) as usize].uri());
    let inside = random.one_in(4).then(|| random.below(3) as usize + 1);
    let requires = world.phones.iter().map(|phone| phone.behaviour.reliable && random.one_in(3));
    let requires: Vec<bool> = std::iter::once(false).chain(requires).collect();
    world.rewrite = Some(Box::new(move |from, _, text| {
        let mut text = text.to_owned();
        let is_call = text.starts_with("INVITE") && text.contains(", 100rel\r\n");
        if is_call && requires[from] {
            text = text.replacen("CSeq:", "Require: 100rel\r\nCSeq:", 1);
        }
        if let Some(contact) = moved.as_ref().filter(|_| text.starts_with("SIP/2.0 302")) {
            text = text.replacen("CSeq:", &format!("Contact: <{contact}>\r\nCSeq:"), 1);
        }
        if inside != Some(from) {
            return text;
        }
        // Its Contact is an address of its own network.
        let hidden = |line: &str| match line.starts_with("Contact:") {
            true => line.replace("127.0.0.1", "10.0.0.1"),
            false => line.to_owned(),
        };
        text.split_inclusive("\r\n").map(hidden).collect()
    }));
}

/// Makes a phone one of those that there are.
fn behave(phone: &mut Phone, random: &mut Random) {
    let wait = random.millis(8000);
    phone.behaviour.answer = match random.below(8) {
        0 => Answer::Refuse(random.pick(&[486, 603, 404, 480, 503, 302, 401]), wait),
        1 => Answer::Never,
        2 => Answer::Silent,
        _ => Answer::After(wait),
    };
    phone.behaviour.refer = match random.below(6) {
        0 => OnRefer::Refuse(random.pick(&[405, 420, 501, 603, 400, 481])),
        1 => OnRefer::AcceptOnly,
        _ => OnRefer::Call,
    };
    phone.behaviour.notify =
        random.pick(&[Notify::Sipfrag, Notify::Sipfrag, Notify::Empty, Notify::Never]);
    phone.behaviour.offer = match random.below(8) {
        0 => OnOffer::Refuse(random.pick(&[488, 491, 500, 603, 481])),
        _ => OnOffer::Accept,
    };
    phone.behaviour.dial_after = random.millis(3000);
    phone.behaviour.leaves = random.one_in(3);
    phone.behaviour.reliable = random.one_in(3);
    phone.behaviour.early_media = random.one_in(3);
    if random.one_in(4) {
        phone.forget_extensions();
    }
    if random.one_in(3) {
        phone.set_session_timer(Some(random.pick(&[90, 200, 1800])));
    }
}

/// Loses, doubles, delays and so reorders datagrams, or does none of it.
fn network(random: &mut Random) -> world::Network {
    let (loss, double, delay) =
        (random.pick(&[0, 0, 5, 20, 40]), random.pick(&[0, 0, 10, 30]), random.pick(&[1, 50, 800]));
    let mut random = Random(random.next());
    Box::new(move |_, _, _| {
        let after = random.millis(delay);
        match random.below(100) {
            roll if roll < loss => Fate::Lost,
            roll if roll < loss + double => Fate::Doubled(after, random.millis(delay * 4)),
            _ => Fate::Arrives(after),
        }
    })
}

/// One thing that somebody does.
fn act(world: &mut World, random: &mut Random, commands: &mut Vec<CommandId>) {
    let phone = random.below(3) as usize;
    match random.below(27) {
        26 => hold_and_transfer(world, random, commands),
        24 | 25 => end(world, random, commands),
        22 | 23 => vanish_or_return(&mut world.phones[phone], random),
        20 | 21 => world.update(phone, random.one_in(2)),
        16..=19 => transfer(world, random, commands),
        0..=4 => {
            let mode = random.pick(&[Mode::Auto, Mode::Refer, Mode::Bridge]);
            let mut request = world.request(mode);
            if random.one_in(4) {
                request.timeout = Some(random.millis(60_000));
            }
            if random.one_in(4) {
                request.callee = world.phones[random.below(3) as usize].aor();
            }
            if random.one_in(4) {
                request.caller = world.phones[random.below(3) as usize].aor();
            }
            if random.one_in(8) {
                request.callee = "sip:nobody@127.0.0.1".to_owned();
            }
            if random.one_in(8) {
                request.callee = "sip:nobody@unknown.invalid".to_owned();
            }
            commands.push(world.start_with(request));
        }
        5 => {
            let to = &world.phones[random.below(3) as usize];
            let to = if random.one_in(2) { to.uri() } else { to.aor() };
            match random.one_in(3) {
                true => world.dial_without_offer(phone, &to),
                false => world.dial(phone, &to),
            }
        }
        12 | 13 => world.register(phone, random.pick(&[0, 60, 600, 3600, 1, 1_000_000])),
        6 => world.hang_up(phone),
        7 => world.hold(phone, random.one_in(2)),
        9 => world.press(phone, '5'),
        8 => {
            if let Some(command) = commands.last().copied()
                && let Some(Ok(Some(call_id))) = world.done.get(&command)
            {
                let call_id = call_id.clone();
                commands.push(world.end(&call_id));
            }
        }
        10 => {
            if let Some(call_id) = world.helper_call_id() {
                commands.push(world.end(&call_id));
            }
        }
        11 => world.ask_for_offer(phone),
        _ => hold(world, random, commands),
    }
}

/// A phone is switched off, whatever it is doing, or is there again and knows what it knew.
fn vanish_or_return(phone: &mut Phone, random: &mut Random) {
    phone.behaviour.answer = match phone.behaviour.answer {
        Answer::Silent => Answer::After(random.millis(3000)),
        _ => Answer::Silent,
    };
}

/// A call that a watcher knows of, whatever is being done with it.
fn any_call(world: &World, random: &mut Random) -> Option<String> {
    let at = random.below(world.watched.len().max(1) as u64) as usize;
    world.watched.values().nth(at).map(|call| call.call_id.to_string())
}

/// Ends a call, sometimes for two clients at once.
fn end(world: &mut World, random: &mut Random, commands: &mut Vec<CommandId>) {
    let Some(call) = any_call(world, random) else { return };
    for _ in 0..random.pick(&[1, 1, 2]) {
        commands.push(world.end(&call));
    }
}

/// A hold and a transfer of one call, in either order: one of them comes too early or too late.
fn hold_and_transfer(world: &mut World, random: &mut Random, commands: &mut Vec<CommandId>) {
    let Some(call) = any_call(world, random) else { return };
    let side = random.pick(&[Side::Caller, Side::Callee]);
    let to = Target::Uri(world.phones[random.below(3) as usize].aor());
    let request = transfers::transfer(&call, side, to, random.pick(&[Mode::Auto, Mode::Bridge]));
    let is_held_first = random.one_in(2);
    if is_held_first {
        commands.push(world.call_hold(&call, None, true));
        world.run_for(random.pick(&[Duration::ZERO, Duration::from_millis(50)]));
    }
    commands.push(world.transfer(request));
    if !is_held_first {
        commands.push(world.call_hold(&call, None, random.one_in(2)));
    }
}

/// Sends a party of a call elsewhere: by a command, by a phone, or by an INVITE with Replaces.
fn transfer(world: &mut World, random: &mut Random, commands: &mut Vec<CommandId>) {
    let Some(call) = any_call(world, random) else { return };
    let call = &call;
    let side = random.pick(&[Side::Caller, Side::Callee]);
    let mode = random.pick(&[Mode::Auto, Mode::Refer, Mode::Bridge]);
    let (phone, to) = (random.below(3) as usize, random.below(3) as usize);
    match random.below(5) {
        0 | 1 => {
            let uri =
                if random.one_in(2) { world.phones[to].uri() } else { world.phones[to].aor() };
            let mut request = transfers::transfer(call, side, Target::Uri(uri), mode);
            request.timeout = random.one_in(4).then(|| random.millis(60_000));
            commands.push(world.transfer(request));
        }
        2 => {
            let Some(call_id) = any_call(world, random) else { return };
            let target = random.pick(&[Side::Caller, Side::Callee]);
            let uri = random.one_in(3).then(|| world.phones[to].aor());
            let to = Target::Party { call_id, side: target, uri };
            let mut request = transfers::transfer(call, side, to, mode);
            request.timeout = random.one_in(4).then(|| random.millis(60_000));
            commands.push(world.transfer(request));
        }
        3 => {
            let legs = world.phones[phone].calls();
            let Some(first) = legs.first().copied() else { return };
            let second = legs.last().copied().filter(|last| *last != first && random.one_in(2));
            world.refer(phone, first, to, second);
            if random.one_in(3) {
                world.hang_up_one(phone, first);
            }
        }
        _ => replace(world, phone, to),
    }
}

/// Calls in the place of a phone, be it in a call or ringing.
fn replace(world: &mut World, phone: usize, by: usize) {
    let legs = world.phones[phone].calls();
    let replaces = legs.first().and_then(|leg| world.phones[phone].replaces(*leg));
    if let Some(replaces) = replaces {
        world.dial_replacing(by, "sip:127.0.0.1:5060", &replaces);
    }
}

/// Puts a party, or both, of the latest call on hold, or takes them back.
fn hold(world: &mut World, random: &mut Random, commands: &mut Vec<CommandId>) {
    if let Some(call_id) = world.last_call_id() {
        let side = random.pick(&[None, Some(Side::Caller), Some(Side::Callee)]);
        let timeout = random.one_in(4).then(|| random.millis(20_000));
        commands.push(world.call_hold_for(&call_id, side, random.one_in(2), timeout));
    }
}

/// Two phones that want to talk, and much that happens while they do, or before they do.
fn talk(world: &mut World, random: &mut Random, commands: &mut Vec<CommandId>) {
    for phone in [CALLER, CALLEE] {
        world.phones[phone].behaviour.answer = Answer::After(random.millis(500));
    }
    if random.one_in(2) {
        commands.push(world.start(random.pick(&[Mode::Auto, Mode::Bridge])));
    } else {
        let callee = world.phones[CALLEE].uri();
        world.dial(CALLER, &callee);
    }
    if random.one_in(2) {
        early(world, random);
    }
    world.run_for(Duration::from_secs(15));
    for _ in 0..2 + random.below(8) {
        let phone = random.below(2) as usize;
        match random.below(10) {
            0 => world.hold(phone, random.one_in(2)),
            8 | 9 => world.update(phone, random.one_in(2)),
            1 => world.ask_for_offer(phone),
            2 => {
                let refusal = OnOffer::Refuse(random.pick(&[488, 491, 500]));
                world.phones[phone].behaviour.offer = random.pick(&[OnOffer::Accept, refusal]);
            }
            _ => hold(world, random, commands),
        }
        let pause = random.pick(&[50, 400, 10_000]);
        world.run_for(random.millis(pause));
    }
}

/// Two phones that exchange descriptions before the call is answered, and after.
fn early(world: &mut World, random: &mut Random) {
    for phone in [CALLER, CALLEE] {
        world.phones[phone].behaviour.reliable = true;
        world.phones[phone].behaviour.early_media = true;
        world.phones[phone].behaviour.answer = Answer::After(random.millis(6000));
    }
    let callee = world.phones[CALLEE].uri();
    match random.one_in(2) {
        true => world.dial_without_offer(CALLER, &callee),
        false => world.dial(CALLER, &callee),
    }
    for _ in 0..1 + random.below(5) {
        world.run_for(random.millis(1500));
        let phone = random.pick(&[CALLER, CALLEE]);
        match random.below(5) {
            0 => world.hold(phone, random.one_in(2)),
            1 => replace(world, CALLEE, OTHER),
            _ => world.update(phone, random.one_in(2)),
        }
    }
}

/// The network heals, everybody hangs up, and time passes: what is left then is left for ever.
fn settle(world: &mut World, commands: &[CommandId]) {
    world.run_for(Duration::from_secs(300));
    world.network = Box::new(|_, _, _| Fate::Arrives(Duration::ZERO));
    // Whatever is still there by then is a call with both its legs. But a session may end at any time;
    // its BYE is then under way for 64·T1 at most.
    let whole = |world: &World| {
        let load = world.engine.load();
        (load.commands, load.legs) == (0, 2 * load.calls)
    };
    for _ in 0..3 {
        world.run_for(Duration::from_secs(40));
        if whole(world) {
            break;
        }
    }
    assert!(
        whole(world),
        "one leg outlived the other: {:?}\n{}",
        world.engine.load(),
        world.ladder
    );
    if world.engine.load().calls > 0 {
        // What is still there now stays, with whatever refreshes it.
        world.run_for(Duration::from_secs(600));
    }
    for phone in 0..3 {
        world.phones[phone].behaviour.answer = Answer::Refuse(480, Duration::ZERO);
        world.hang_up(phone);
    }
    world.run();
    for command in commands {
        assert!(world.done.contains_key(command), "{command:?} never ended\n{}", world.ladder);
    }
    world.assert_at_rest();
}
