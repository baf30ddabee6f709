//! Each command's example flow, message for message: on the backend without SIP, and on the engine
//! with phones in virtual time. `interop/examples.rs` has the same with real phones.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod flows;
#[path = "../../engine/tests/world/mod.rs"]
mod world;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use call_api::api::{Command, CommandError, Done};
use call_api::backend::embedded::translate;
use call_api::backend::fake::Fake;
use call_api::backend::{Backend, Outcome, Progress};
use call_api::config::Limits;
use call_api::server::Phase;
use call_api::server::commands::Commands;
use call_api::server::connection::Connection;
use call_api::server::dialect::Dialect;
use call_api::server::journal::Journal;
use call_api::server::outbox::{Outbox, Outgoing};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use world::{CALLEE, CALLER, OTHER, World};

/// An engine and phones, for all commands of a test. They live in a thread of their own, as they
/// cannot go from one to another.
struct Lab(mpsc::SyncSender<Order>);

type Order = (Command, Progress, oneshot::Sender<Result<Done, CommandError>>);

impl Lab {
    fn start() -> Self {
        let (orders, taken) = mpsc::sync_channel::<Order>(1);
        thread::spawn(move || {
            let mut world = World::new(1);
            for (command, progress, done) in taken {
                done.send(run(&mut world, command, &progress)).unwrap();
            }
        });
        Self(orders)
    }
}

impl Backend for Lab {
    fn run(&self, command: Command, progress: Progress) -> Outcome<'_> {
        Box::pin(async move {
            let (done, outcome) = oneshot::channel();
            self.0.send((command, progress, done)).unwrap();
            outcome.await.unwrap()
        })
    }
}

fn run(world: &mut World, command: Command, progress: &Progress) -> Result<Done, CommandError> {
    let reported = world.events.len();
    match command {
        Command::CallStart(start) => world.start_with(translate::start(start)),
        Command::CallBlindTransfer(blind) => world.transfer(translate::blind_transfer(blind)),
        Command::CallAttendedTransfer(attended) => {
            world.transfer(translate::attended_transfer(attended))
        }
        Command::CallHold(hold) => world.change_hold(translate::hold(hold)),
        Command::CallUnHold(unhold) => world.change_hold(translate::unhold(unhold)),
        Command::CallEnd(end) => world.end(end.callid.as_str()),
        Command::Mistaken(mistaken) => return Err(mistaken.into()),
        Command::Echo(_) => return Err(CommandError::Unsupported("no SIP".to_owned())),
    };
    world.run_for(Duration::from_secs(60));
    for event in &world.events[reported..] {
        match event {
            engine::Event::Progress(_, step) => {
                progress.report(translate::progress(step));
            }
            engine::Event::Done(_, result) => return translate::outcome(result.clone()),
            engine::Event::Call(_) | engine::Event::Registration { .. } => {}
            engine::Event::Bug(text) => panic!("{text}"),
        }
    }
    panic!("the command has not ended");
}

struct Client {
    dialect: Dialect,
    connection: Connection,
    outgoing: Outgoing,
    _phase: watch::Sender<Phase>,
}

impl Client {
    fn of(backend: Arc<dyn Backend>, dialect: Dialect) -> Self {
        let (phase, follow) = watch::channel(Phase::Serving);
        let journal = Arc::new(Journal::default());
        let commands = Commands::new(backend, journal, &Limits::default(), follow);
        let (outbox, outgoing) = Outbox::channel(1 << 20);
        let connection = Connection::new(Arc::new(commands), outbox).speaking(dialect);
        Self { dialect, connection, outgoing, _phase: phase }
    }

    /// Sends a command's example request with these parameters, and checks that what is read of it
    /// is what the example shows. Returns the Call-ID that its `Ended` names.
    async fn check(&mut self, method: &str, params: &[(&str, &str)]) -> Option<String> {
        let method = match (self.dialect, method) {
            (Dialect::V2, "CallUnHold") => "CallUnhold",
            (_, method) => method,
        };
        let request = flows::request(self.dialect, method, params);
        self.connection.receive(&request.to_string());
        let mut read: Vec<Value> = Vec::new();
        let is_ended = |m: &Value| m["method"] == "Ended" || m["params"]["event"] == "Ended";
        while !read.last().is_some_and(is_ended) {
            let message = self.outgoing.messages.recv().await.unwrap();
            read.push(serde_json::from_str(message.text()).unwrap());
        }
        assert!(self.outgoing.messages.try_recv().is_err(), "Ended is the last message");
        flows::assert_like_example(self.dialect, &request, &read);
        let callid = &read.last().unwrap()["params"]["callid"];
        callid.as_str().map(str::to_owned)
    }
}

#[tokio::test]
async fn each_command_is_like_its_example_on_a_backend_without_sip() {
    without_sip(Dialect::V1).await;
    without_sip(Dialect::V2).await;
}

async fn without_sip(dialect: Dialect) {
    let mut client = Client::of(Arc::new(Fake::default()), dialect);
    for method in ["CallStart", "CallHold", "CallBlindTransfer", "CallAttendedTransfer", "CallEnd"]
    {
        client.check(method, &[]).await;
    }
    // As the example has it: one party was on hold.
    client.check("CallUnHold", &[("callid", "half-held")]).await;
}

#[tokio::test]
async fn each_command_is_like_its_example_on_the_engine() {
    on_the_engine(Dialect::V1).await;
    on_the_engine(Dialect::V2).await;
}

async fn on_the_engine(dialect: Dialect) {
    let phones = World::new(1).phones;
    let [alice, bob, cindy] = [CALLER, CALLEE, OTHER].map(|phone| phones[phone].uri());
    let mut client = Client::of(Arc::new(Lab::start()), dialect);
    let parties = [("caller", &*alice), ("callee", &*bob)];

    let call = client.check("CallStart", &parties).await.unwrap();
    client.check("CallHold", &[("callid", &call)]).await;
    client.check("CallUnHold", &[("callid", &call)]).await;
    let blind = [("callid", &*call), ("destination", &*cindy)];
    let call = client.check("CallBlindTransfer", &blind).await.unwrap();

    client.check("CallEnd", &[("callid", &call)]).await;

    // Bob is in a call with each of the others, and is to be left out.
    let first = client.check("CallStart", &parties).await.unwrap();
    let second = [("caller", &*bob), ("callee", &*cindy)];
    let second = client.check("CallStart", &second).await.unwrap();
    let [callid_a, callid_b] = match dialect {
        Dialect::V1 => ["callid_a", "callid_b"],
        Dialect::V2 => ["callidA", "callidB"],
    };
    let attended = [(callid_a, &*first), (callid_b, &*second), ("destination", &*cindy)];
    client.check("CallAttendedTransfer", &attended).await.unwrap();
}
