//! The participant kit: random histories against a model of what an effect's life may be (S4.3, S4.5, S4.7, S5.3), two
//! deliveries at once, and what is said once a row is forgotten.

mod history;
mod model;
mod shop;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use countermand::{
    participant::{Answered, Error, Heard, How, MemoryLimits, MemoryStore, Messages, Participant},
    wire::proto::{Envelope, Kind, ResultState, StatusCode},
};
use proptest::prelude::*;

use history::{CHAIN, Call, Death, Message, Mood, SERVICE, Step, at, history};
use model::{Came, Model};
use shop::{Books, Died, Fate, Moody, Mortal};

/// What a delivery gave.
enum Given {
    Original(Heard),
    Answer(Box<Answered>),
    /// The service died of it.
    Nothing,
}

/// One instance of the service.
struct Instance {
    participant: Participant<Mortal, Moody>,
    fate: Rc<Fate>,
}

impl Instance {
    fn over(books: &Books) -> Self {
        let fate = Rc::new(Fate::default());
        let store = Mortal { books: books.clone(), fate: fate.clone() };
        let messages = Messages::of(SERVICE).version("3.1").instance("a");
        Self { participant: Participant::new(messages, store, Moody(fate.clone())), fate }
    }

    /// What came of it, and whether it was committed.
    fn deliver(&mut self, message: Message, second: u64) -> (Given, bool) {
        let now = at(second);
        let given = match message {
            Message::Original(call) => self.participant.request(&call.envelope(), now).map(Given::Original),
            Message::News(call) => {
                self.participant.resume(&call.envelope(), &call.envelope(), now).map(Given::Original)
            }
            Message::Command { .. } => {
                let command = message.command().expect("a command");
                let answered = self.participant.command(&command, now);
                answered.map(|answered| Given::Answer(Box::new(answered.expect("it is for us"))))
            }
        };
        let given = match given {
            Ok(_) if self.fate.death.get() == Some(Death::BeforeReply) => Given::Nothing,
            Ok(given) => given,
            Err(Error::Store(Died)) => Given::Nothing,
            Err(error @ Error::Wire(_)) => panic!("{error}"),
        };
        (given, self.fate.committed.get())
    }
}

/// What was published until now.
#[derive(Default)]
struct Published {
    /// Answers to calls, by message: the same id is the same message.
    messages: BTreeMap<String, Envelope>,
    /// Answers to commands that settle them.
    settled: BTreeMap<String, Answered>,
    /// Calls made inside, by effect: they may not have reached the bus.
    inner: BTreeMap<&'static str, BTreeSet<String>>,
    /// Effects of which somebody was told that they are gone for good.
    gone: BTreeSet<&'static str>,
}

impl Published {
    fn see(&mut self, message: Message, given: &Given) {
        let effect = message.call().effect();
        match given {
            Given::Nothing => {}
            Given::Original(heard) => {
                for envelope in &heard.messages {
                    let same = Envelope { sent_at: None, ..envelope.clone() };
                    let first = self.messages.entry(same.message_id.clone()).or_insert_with(|| same.clone());
                    assert_eq!(*first, same, "one message id, two messages");
                }
                let told = |kind| heard.messages.iter().filter(move |message| message.kind() == kind);
                let inner: BTreeSet<String> = told(Kind::Request).map(|message| message.message_id.clone()).collect();
                let known = self.inner.entry(effect).or_default();
                if heard.how == How::Repeated {
                    assert!(known.is_subset(&inner), "a call made inside is not published again");
                }
                known.extend(inner);
                assert!(told(Kind::Response).count() <= 1);
                let ours = |response: &Envelope| message.call().envelope().call_id == response.call_id;
                assert!(told(Kind::Response).all(ours), "{:?} is answered as another call", message.call());
            }
            Given::Answer(answered) => {
                let result = &answered.result;
                assert_eq!((result.command_id.as_str(), result.chain_id.as_str()), (&*message.command_id(), CHAIN));
                assert!(result.at.is_some() && result.by.as_ref().is_some_and(|by| by.service == SERVICE));
                use ResultState::{Absent, Applied, Done, NotNeeded};
                if matches!(result.state(), Done | NotNeeded | Applied | Absent) {
                    let first = self.settled.entry(result.command_id.clone()).or_insert_with(|| (**answered).clone());
                    assert_eq!(*first, **answered, "a command is answered twice, and not alike");
                }
                if matches!(result.state(), Done | NotNeeded | Absent) && message.is_undo_or_inquiry() {
                    self.gone.insert(effect);
                }
            }
        }
    }
}

impl Message {
    fn is_undo_or_inquiry(self) -> bool {
        matches!(self, Self::Command { act, .. } if act != history::Act::Retry)
    }
}

fn came(given: &Given) -> Option<Came> {
    match given {
        Given::Nothing => None,
        Given::Original(heard) => {
            let how = match heard.how {
                How::Handled => "handled",
                How::Repeated => "repeated",
                How::Refused => "refused",
                How::PutOff => "put off",
            };
            let responses = heard.messages.iter().filter(|message| message.kind() == Kind::Response);
            let code = |message: &Envelope| message.status.as_ref().map_or(StatusCode::Unspecified, |it| it.code());
            Some(Came::Original((how, responses.map(code).collect())))
        }
        Given::Answer(answered) => Some(Came::Answer(answered.result.state())),
    }
}

/// The books, the model, and what was published.
#[derive(Default)]
struct World {
    books: Books,
    model: Model,
    published: Published,
}

impl World {
    /// Compares what came of a delivery with what the model says.
    fn compare(&mut self, message: Message, mood: Mood, given: &Given, committed: bool) {
        let mut then = self.model.clone();
        let expected = then.deliver(message, mood);
        if let Some(came) = came(given) {
            assert_eq!(came, expected, "{message:?} in mood {mood:?}");
            self.published.see(message, given);
            self.model = then;
        } else if committed {
            // Nobody heard, but what was committed stands.
            self.model = then;
        }
        self.check();
    }

    fn check(&self) {
        for effect in ["alone", "shared", "told"] {
            let row = |what: &str| self.books.read(|rows| rows.get(&format!("{what}/{effect}")).copied().unwrap_or(0));
            let (stands, gone) = self.model.standing(effect);
            assert_eq!(row("stands"), i64::from(stands), "whether {effect} is in the books");
            assert!(row("undone") <= 1, "{effect} is undone twice");
            assert!(!(stands && gone), "the model contradicts itself");
            if self.published.gone.contains(effect) {
                assert_eq!(row("stands"), 0, "{effect} is there although it was said to be gone");
            }
        }
    }

    fn play(&mut self, step: &Step, second: u64) {
        let mut instance = Instance::over(&self.books);
        let log: Rc<RefCell<Option<(Given, bool)>>> = Rc::default();
        let meanwhile = step.meanwhile.map(|(message, mood)| {
            let (mut other, log) = (Instance::over(&self.books), log.clone());
            Box::new(move || {
                other.fate.prepare(mood, Death::None, None);
                *log.borrow_mut() = Some(other.deliver(message, second));
            }) as Box<dyn FnOnce()>
        });
        instance.fate.prepare(step.mood, step.death, meanwhile);
        let (given, committed) = instance.deliver(step.message, second);
        if let (Some((given, committed)), Some((message, mood))) = (log.take(), step.meanwhile) {
            self.compare(message, mood, &given, committed);
        }
        self.compare(step.message, step.mood, &given, committed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, however often, in whatever order, and wherever the service dies: an effect is in the books if and
    /// only if the model has it there, nothing is undone twice or applied after somebody was told that it is gone, and
    /// every command and every call is answered alike each time.
    #[test]
    fn an_effect_is_applied_and_undone_at_most_once(steps in history()) {
        let mut world = World::default();
        let mut second = 0;
        for step in &steps {
            second += 1;
            world.play(step, second);
        }
        // What was not answered is delivered again, to a service that lives and works.
        for step in &steps {
            second += 1;
            let calm = Step { mood: Mood::Works, death: Death::None, meanwhile: None, ..*step };
            world.play(&calm, second);
        }
    }
}

/// Left open by a retry, a call gets another answer than its first: under another id, however often that happens, and
/// also what a second call of the same effect is told.
#[test]
fn what_is_said_of_a_call_that_was_done_again_has_an_id_of_its_own() {
    let plain = |message, mood| Step { message, mood, death: Death::None, meanwhile: None };
    for (call, other) in [(Call::Event, Call::Event), (Call::Alone, Call::Alone), (Call::First, Call::Second)] {
        let mut world = World::default();
        let retry = Message::Command { act: history::Act::Retry, call, generation: 1 };
        let mut steps = vec![plain(Message::Original(call), Mood::Fails), plain(Message::Original(other), Mood::Fails)];
        for _ in 0..3 {
            steps.push(plain(retry, Mood::Waits));
            steps.push(plain(Message::News(other), Mood::TakesBack));
            steps.push(plain(retry, Mood::LosesTrack { there: true }));
            steps.extend([call, other].map(|call| plain(Message::Original(call), Mood::Fails)));
            steps.push(plain(retry, Mood::TakesBack));
            steps.extend([call, other].map(|call| plain(Message::Original(call), Mood::Fails)));
        }
        for (second, step) in steps.iter().enumerate() {
            world.play(step, second as u64);
        }
    }
}

/// A delivery that comes while the same effect is worked on waits, and finds what was done.
#[test]
fn of_two_deliveries_at_once_one_is_carried_out() {
    use countermand::participant::{self, Failure, MemoryTx, Order, Reply, Service, Undone};
    type Rows = MemoryStore<&'static str, i64>;
    struct Count<'a>(&'a AtomicU32);
    impl Service<Rows> for Count<'_> {
        fn handle(
            &self,
            rows: &mut MemoryTx<'_, &'static str, i64>,
            _: &participant::Call<'_>,
        ) -> Result<Reply, Failure> {
            self.0.fetch_add(1, Ordering::Relaxed);
            rows.put("there", rows.get(&"there").unwrap_or(&0) + 1);
            Ok(Reply::ok())
        }

        fn undo(&self, rows: &mut MemoryTx<'_, &'static str, i64>, _: &Order<'_>) -> Result<Undone, Failure> {
            rows.put("there", rows.get(&"there").unwrap_or(&0) - 1);
            Ok(Undone::done())
        }
    }
    for round in 0..200 {
        let (store, handled) = (Rows::default(), AtomicU32::new(0));
        let answers: Vec<ResultState> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|n| {
                    let (store, handled) = (store.clone(), &handled);
                    scope.spawn(move || {
                        let mut own = Participant::new(Messages::of(SERVICE), store, Count(handled));
                        let undo =
                            Message::Command { act: history::Act::UndoInDoubt, call: Call::First, generation: 1 };
                        let call = if n % 2 == 0 { Call::First } else { Call::Second };
                        let mut request =
                            || own.request(&call.envelope(), at(1)).map(|_| ()).expect("a store that works");
                        if (round + n) % 4 != 0 {
                            request();
                        }
                        let answered =
                            own.command(&undo.command().expect("a command"), at(2)).expect("a store that works");
                        own.request(&call.envelope(), at(3)).expect("a store that works");
                        answered.expect("it is for us").result.state()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        let expected = u32::from(answers[0] == ResultState::Done);
        assert_eq!(handled.load(Ordering::Relaxed), expected, "{answers:?}");
        assert_eq!(store.read(|rows| rows.get("there").copied().unwrap_or(0)), 0);
    }
}

/// Who may have forgotten does not say that nothing was there.
#[test]
fn what_may_be_forgotten_is_for_a_person_to_look_at() {
    let limits = MemoryLimits { retention: Duration::from_secs(3_600), ..MemoryLimits::default() };
    let books = Books::new(limits);
    let mut instance = Instance::over(&books);
    let mut say = |message: Message, asked: Option<u64>, second: u64| {
        instance.fate.prepare(Mood::Works, Death::None, None);
        let Some(mut command) = message.command() else {
            return matches!(instance.deliver(message, second).0, Given::Original(_))
                .then_some((ResultState::Unspecified, String::new()));
        };
        command.command_id = format!("{message:?} at {second}");
        let asked = asked.map(|asked| 1_800_000_000 + i64::try_from(asked).expect("a second"));
        command.requested_at = asked.map(|seconds| countermand::wire::proto::Timestamp { seconds, nanos: 0 });
        let answered = instance.participant.command(&command, at(second)).expect("a store that lives");
        answered.map(|answered| (answered.result.state(), answered.result.reason))
    };
    let undo = |act, call| Message::Command { act, call, generation: 1 };
    use history::Act::{Inquire, Retry, UndoCertain, UndoInDoubt};
    say(Message::Original(Call::Alone), None, 0);
    // Two hours later its row is gone with the next original.
    say(Message::Original(Call::Event), None, 7_200);
    let forgotten = |state| Some((state, "FORGOTTEN".to_owned()));
    for act in [UndoInDoubt, UndoCertain, Retry] {
        assert_eq!(say(undo(act, Call::Alone), Some(0), 7_201), forgotten(ResultState::Failed), "{act:?}");
        assert_eq!(say(undo(act, Call::Alone), None, 7_202), forgotten(ResultState::Failed), "{act:?}");
    }
    assert_eq!(say(undo(Inquire, Call::Alone), Some(0), 7_203), forgotten(ResultState::Unknown));
    // What was asked for lately would be known.
    let absent = say(undo(UndoInDoubt, Call::First), Some(7_000), 7_204);
    assert_eq!(absent, Some((ResultState::NotNeeded, String::new())));
}

/// The guide tells people without the kit what the kit does.
#[test]
fn the_table_of_the_guide_is_the_kits() {
    use countermand::participant::{
        State,
        rules::{OnCommand, OnRequest, on_inquire, on_request, on_retry, on_undo},
    };
    let word = |state: ResultState| state.as_str_name().trim_start_matches("RESULT_STATE_").to_lowercase();
    let command = |told: OnCommand| match told {
        OnCommand::Run => "run".to_owned(),
        OnCommand::Bar(said) => format!("bar, `{}`", word(said)),
        OnCommand::Answer(said, _) => format!("`{}`", word(said)),
    };
    let original = |found: Option<State>| match (on_request(found, true), on_request(found, false)) {
        (OnRequest::Run, OnRequest::Run) => "run".to_owned(),
        (OnRequest::Repeat, OnRequest::Repeat) => "repeat".to_owned(),
        (OnRequest::Repeat, OnRequest::Run) => "repeat, or run".to_owned(),
        (OnRequest::Refuse(code), OnRequest::Refuse(_)) => {
            format!("`{}`", code.as_str_name().trim_start_matches("STATUS_CODE_"))
        }
        other => panic!("{other:?}"),
    };
    let guide = include_str!("../../docs/participants.md");
    let rows = guide.lines().skip_while(|line| !line.starts_with("| row |")).skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    let mut states = BTreeSet::new();
    for row in &rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let found = State::from_word(cells[0].trim_matches('`'));
        let forgets = cells[0] == "none, perhaps forgotten";
        assert!(found.is_some() || forgets || cells[0] == "none", "{row}");
        let undo = |certain| command(on_undo(found, certain, forgets));
        let kit = [
            original(found),
            undo(true),
            undo(false),
            command(on_inquire(found, forgets)),
            command(on_retry(found, forgets)),
        ];
        assert_eq!(cells[1..], kit, "{row}");
        states.insert(cells[0]);
    }
    assert_eq!(states.len(), 9, "each state has its row: {rows:?}");
}
