//! temporary private driver
mod oracle;
use std::collections::{BTreeMap, BTreeSet};
use countermand::model::*;
use countermand::policy::*;
use oracle::Oracle;
use serde_yaml_ng::Value;

fn dur(v: &Value) -> u64 {
    let s = v.as_str().map(str::to_owned).unwrap_or_else(|| format!("{}ms", v.as_u64().unwrap()));
    let (n, m) = if let Some(n) = s.strip_suffix("ms") { (n, 1) } else if let Some(n) = s.strip_suffix('s') { (n, 1000) } else if let Some(n) = s.strip_suffix('m') { (n, 60000) } else if let Some(n) = s.strip_suffix('h') { (n, 3600000) } else { panic!("{s}") };
    n.parse::<u64>().unwrap() * m
}
fn s<'a>(v: &'a Value, k: &str) -> &'a str { v.get(k).and_then(Value::as_str).unwrap_or("") }

fn policy(config: Option<&Value>) -> Policy {
    let mut p = Policy::default();
    p.settings.mode = Mode::Auto;
    p.settings.brake = BrakeSettings { per_edge: 0, overall: 0 };
    let Some(c) = config.and_then(Value::as_mapping) else { return p };
    let mode = |v: &Value| match v.as_str().unwrap() { "observe" => Mode::Observe, "approve" => Mode::Approve, "auto" => Mode::Auto, _ => panic!() };
    for (k, v) in c {
        match k.as_str().unwrap() {
            "mode" => p.settings.mode = mode(v),
            "in_flight" => p.settings.in_flight = InFlight::PlanNow,
            "own_undo_window" => p.settings.own_undo_window = Span(dur(v)),
            "answer_timeout" => p.settings.answer_timeout = Span(dur(v)),
            "max_attempts" => p.settings.max_attempts = v.as_u64().unwrap() as u32,
            "on_undo_failure" => p.settings.on_undo_failure = OnUndoFailure::Continue,
            "tolerated" => p.settings.tolerated = Tolerated::Report,
            "undeclared" => p.settings.undeclared = Undeclared::Effect,
            "ordering" => p.settings.ordering = Ordering::Strict,
            "act_on_incomplete" => p.settings.act_on_incomplete = true,
            "routes" => p.catalogue.routes = Some(v.as_sequence().unwrap().iter().map(|x| Pattern::new(x.as_str().unwrap()).unwrap()).collect()),
            "events" => for (k, v) in v.as_mapping().unwrap() {
                let mut r = OperationRule::new(Pattern::new(k.as_str().unwrap()).unwrap());
                r.consumers = Some(Consumers { services: v["consumers"].as_sequence().unwrap().iter().map(|x| x.as_str().unwrap().to_owned()).collect(), report_within: Span(dur(&v["report_within"])) });
                p.catalogue.rules.push(r);
            },
            k => panic!("config {k}"),
        }
    }
    p
}

struct Run { oracle: Oracle, lanes: Vec<LaneId>, sent: BTreeMap<String, Command>, sends: BTreeMap<String, u32>, to: BTreeMap<(String, String), (String, String)>, host: i64, nrefused: usize }

impl Run {
    fn drain(&mut self, actions: Vec<Action>) {
        let mut pubs = vec![];
        for a in actions { match a {
            Action::Command(c) => { *self.sends.entry(c.command_id.clone()).or_default() += 1; pubs.push((c.chain_id.clone(), c.command_id.clone())); self.sent.insert(c.command_id.clone(), *c); }
            Action::Refused(_) => self.nrefused += 1,
            _ => {} } }
        for (chain, id) in pubs {
            let mut more = vec![];
            self.oracle.apply(&Input::Published(Published { chain_id: &chain, command_id: &id }), Moment { at: BusTime(0), position: Position { lane: LaneId(0), offset: 0 } }, HostTime(self.host), &mut more);
            assert!(more.is_empty());
        }
    }
    fn advance(&mut self, to: i64) {
        loop {
            let due = self.oracle.next_due().filter(|d| d.0 <= to);
            let target = due.map_or(to, |d| d.0.max(self.host));
            self.host = self.host.max(target);
            let mut actions = vec![];
            self.oracle.advance(HostTime(target), &self.lanes.clone(), &mut actions);
            self.drain(actions);
            if due.is_none() { break }
        }
    }
}

fn set(v: &Value) -> BTreeSet<String> { v.as_sequence().unwrap().iter().map(|x| x.as_str().unwrap().to_owned()).collect() }

fn check(run: &Run, block: &Value, errs: &mut Vec<String>) {
    let mut chains: Vec<(String, Value)> = vec![];
    if let Some(c) = block.get("chain") { chains.push(("c".into(), c.clone())); }
    if let Some(c) = block.get("chains") { for (k, v) in c.as_mapping().unwrap() { chains.push((k.as_str().unwrap().into(), v.clone())); } }
    for (name, want) in chains {
        let Some(view) = run.oracle.view(&name) else { errs.push(format!("no view {name}")); continue };
        let Some(v) = view.verdict.as_ref() else { errs.push(format!("{name}: no verdict, want {want:?}")); continue };
        for (k, w) in want.as_mapping().unwrap() {
            let k = k.as_str().unwrap();
            let ids = |f: &[FailureView]| f.iter().map(|f| f.call_id.clone()).collect::<BTreeSet<_>>();
            let ok = match k {
                "outcome" => v.outcome.word() == w.as_str().unwrap(),
                "failing" => v.failing.as_ref().map_or("none", |f| f.call_id.as_str()) == w.as_str().unwrap(),
                "cause" => v.cause.map_or("none", |c| c.word()) == w.as_str().unwrap(),
                "path" => v.path.iter().map(String::as_str).eq(w.as_sequence().unwrap().iter().map(|x| x.as_str().unwrap())),
                "contributing" => ids(&v.contributing) == set(w),
                "tolerated" => ids(&v.tolerated) == set(w),
                "anomalies" => v.anomalies.iter().map(|a| a.word().to_owned()).collect::<BTreeSet<_>>() == set(w),
                "ambiguous" => v.ambiguous == w.as_bool().unwrap(),
                "incomplete" => v.incomplete == w.as_bool().unwrap(),
                "state" => view.state.word() == w.as_str().unwrap(),
                "revision" => v.revision as u64 == w.as_u64().unwrap(),
                "uncompensatable" => view.commands.iter().filter(|c| c.state == PlanItemState::Uncompensatable).map(|c| c.call_id.clone()).collect::<BTreeSet<_>>() == set(w),
                "skipped" => view.commands.iter().filter(|c| c.state == PlanItemState::Skipped).map(|c| c.call_id.clone()).collect::<BTreeSet<_>>() == set(w),
                k => panic!("expect {k}"),
            };
            if !ok { errs.push(format!("{name}.{k}: want {w:?}\n   got {v:?} {}\n {:#?}", view.state, view.commands)); }
        }
    }
    if let Some(want) = block.get("commands") {
        let mut got: Vec<String> = run.sent.values().map(|c| format!("{} g{} w{} {} {}", c.chain_id, c.generation, c.wave, c.action.word(), c.call_id)).collect();
        let mut exp = vec![];
        for w in want.as_sequence().unwrap() {
            let (act, call) = ["undo", "retry", "inquire"].iter().find_map(|a| w.get(*a).map(|c| (*a, c.as_str().unwrap()))).unwrap();
            let chain = w.get("chain").map_or("c", |c| c.as_str().unwrap());
            let g = w.get("generation").map_or(1, |c| c.as_u64().unwrap());
            exp.push(format!("{} g{} w{} {} {}", chain, g, w["wave"].as_u64().unwrap(), act, call));
            if let Some((id, c)) = run.sent.iter().find(|(_, c)| c.chain_id == chain && c.call_id == call && c.action.word() == act && c.generation as u64 == g) {
                if let Some(cert) = w.get("certainty") { let gotc = if c.certainty == Certainty::Applied { "applied" } else { "in_doubt" }; if gotc != cert.as_str().unwrap() { errs.push(format!("{call} certainty {gotc}")); } }
                if let Some(n) = w.get("sends") { if run.sends[id] as u64 != n.as_u64().unwrap() { errs.push(format!("{call} sends {} want {n:?}", run.sends[id])); } }
                if let Some(n) = w.get("op") { if c.operation != n.as_str().unwrap() { errs.push(format!("{call} op {} want {n:?}", c.operation)); } }
            }
        }
        got.sort(); exp.sort();
        if got != exp { errs.push(format!("commands: got {got:#?} want {exp:#?}")); }
    }
}

fn scenario(doc: &Value) -> Vec<String> {
    let mut errs = vec![];
    let mut o = Oracle::new(policy(doc.get("config")));
    let bus = doc["bus"].as_sequence().unwrap();
    let parts: BTreeSet<i64> = bus.iter().map(|b| b.get("partition").map_or(0, |p| p.as_i64().unwrap())).collect();
    let mut lanes = BTreeMap::new();
    for p in &parts { lanes.insert(*p, o.lane("t", *p as i32)); }
    let mut run = Run { oracle: o, lanes: lanes.values().copied().collect(), sent: BTreeMap::new(), sends: BTreeMap::new(), to: BTreeMap::new(), host: i64::MIN, nrefused: 0 };
    let mut keyed: Vec<(u64, usize)> = bus.iter().enumerate().map(|(i, b)| (dur(&b["at"]), i)).collect();
    keyed.sort();
    let offset: BTreeMap<usize, u64> = keyed.iter().enumerate().map(|(o, (_, i))| (*i, o as u64)).collect();
    let mut blocks: Vec<(Option<u64>, Value)> = match &doc["expect"] { Value::Sequence(s) => s.iter().map(|b| (b.get("at").map(dur), b.clone())).collect(), b => vec![(b.get("at").map(dur), b.clone())] };
    let lag = |b: &Value| b.get("lagging").and_then(Value::as_bool).unwrap_or(false);
    for (i, b) in bus.iter().enumerate() {
        let at = dur(&b["at"]) as i64;
        let host_at = (i..bus.len()).find(|j| !lag(&bus[*j])).map_or(at, |j| dur(&bus[j]["at"]) as i64);
        if !lag(b) {
            // checks before
            blocks.retain(|(t, blk)| if let Some(t) = t && (*t as i64) < at && (*t as i64) >= run.host { run.advance(*t as i64); check(&run, blk, &mut errs); false } else { true });
            run.advance(at.max(run.host));
        } else { 
            blocks.retain(|(t, blk)| if let Some(t) = t && (*t as i64) < host_at && (*t as i64) >= run.host { run.advance(*t as i64); check(&run, blk, &mut errs); false } else { true });
            run.host = run.host.max(host_at); }
        let lane = lanes[&b.get("partition").map_or(0, |p| p.as_i64().unwrap())];
        let m = Moment { at: BusTime(at.min(run.host.saturating_add(1000))), position: Position { lane, offset: offset[&i] } };
        let chain = b.get("chain").map_or("c", |c| c.as_str().unwrap());
        if chain.is_empty() { continue }
        let auto = format!("auto-{i}");
        let id = b.get("id").map_or(auto.as_str(), |c| c.as_str().unwrap());
        let party = |t: &'static str| -> Party<'static> { let (sv, v) = t.split_once('@').unwrap_or((t, "")); Party { service: sv, version: v, instance: "" } };
        let leak = |x: &str| -> &'static str { Box::leak(x.to_owned().into_boxed_str()) };
        let comp = |b: &Value| b.get("undo").map(|u| Compensation { operation: leak(u.as_str().unwrap()), payload: None, accepts_in_doubt: s(b, "in_doubt") == "undo", inquire_operation: if s(b, "in_doubt") == "inquire" { "Inquire" } else { "" }, route: "", headers: None });
        let mut actions = vec![];
        let kind = if let Some(call) = b.get("request").or(b.get("event")) {
            let call = call.as_str().unwrap();
            let to = party(leak(s(b, "to")));
            run.to.insert((chain.to_owned(), call.to_owned()), (to.service.to_owned(), to.version.to_owned()));
            let parent = s(b, "in");
            let from = b.get("from").map(|f| party(leak(f.as_str().unwrap()))).unwrap_or_else(|| run.to.get(&(chain.to_owned(), parent.to_owned())).map(|(a, v)| Party { service: leak(a), version: leak(v), instance: "" }).unwrap_or_default());
            let r = Request { parent: leak(parent), source: from, destination: to, operation: leak(s(b, "op")), timeout: b.get("timeout").map(|t| Span(dur(t))), retry_of: leak(s(b, "retry_of")), compensates: leak(s(b, "compensates")), during: if b.get("during").is_some() { leak("x") } else { "" }, effect: EffectDeclaration { class: match s(b, "effect") { "" => comp(b).map(|_| EffectClass::Compensatable), "read_only" => Some(EffectClass::ReadOnly), "pivot" => Some(EffectClass::Pivot), "retriable" => Some(EffectClass::Retriable), _ => panic!() }, key: leak(s(b, "key")), compensation: comp(b) }, attributes: None, payload: None };
            Some((leak(call), if b.get("event").is_some() { MessageKind::Event(r) } else { MessageKind::Request(r) }))
        } else if let Some(call) = b.get("response") {
            let (code, reason) = if b.get("failed").is_some() { (StatusCode::Failed, s(b, "failed")) } else if b.get("unknown").is_some() { (StatusCode::Unknown, s(b, "unknown")) } else if b.get("cancelled").is_some() { (StatusCode::Cancelled, s(b, "cancelled")) } else if b.get("ongoing").is_some() { (StatusCode::Ongoing, "") } else { (StatusCode::Ok, "") };
            Some((leak(call.as_str().unwrap()), MessageKind::Response(Response { by: party(leak(s(b, "by"))), status: Status { code, reason: leak(reason), message: "", caused_by: leak(s(b, "caused_by")), fault: Fault::Callee }, effect: EffectDeclaration { class: None, key: "", compensation: comp(b) }, payload: None })))
        } else { None };
        let host = HostTime(run.host);
        if let Some((call, kind)) = kind {
            run.oracle.apply(&Input::Message(Message { message_id: id, chain_id: chain, call_id: call, kind }), m, host, &mut actions);
        } else if let Some(call) = b.get("dead_letter") {
            let handled = if s(b, "handled") == "no" { Handled::No } else { Handled::Maybe };
            run.oracle.apply(&Input::DeadLetter(DeadLetter { message: Message { message_id: id, chain_id: chain, call_id: call.as_str().unwrap(), kind: MessageKind::Request(Request { parent: "", source: Party::default(), destination: Party::default(), operation: "", timeout: None, retry_of: "", compensates: "", during: "", effect: EffectDeclaration::default(), attributes: None, payload: None }) }, handled }), m, host, &mut actions);
        } else if let Some(call) = b.get("result") {
            let call = call.as_str().unwrap();
            let act = match s(b, "action") { "" => CommandAction::Undo, "retry" => CommandAction::Retry, "inquire" => CommandAction::Inquire, _ => panic!() };
            let cid = b.get("command_id").map(|c| c.as_str().unwrap().to_owned()).unwrap_or_else(|| run.sent.values().filter(|c| c.chain_id == chain && c.call_id == call && c.action == act).max_by_key(|c| c.generation).map(|c| c.command_id.clone()).unwrap_or_else(|| command_id(chain, call, act, 1)));
            let state = match s(b, "state") { "done" => ResultState::Done, "not_needed" => ResultState::NotNeeded, "ongoing" => ResultState::Ongoing, "retryable" => ResultState::Retryable, "failed" => ResultState::Failed, "applied" => ResultState::Applied, "absent" => ResultState::Absent, "unknown" => ResultState::Unknown, _ => panic!() };
            run.oracle.apply(&Input::Result(CommandResult { command_id: &cid, chain_id: chain, state, reason: "", message: "", by: Party::default() }), m, host, &mut actions);
        } else if let Some(verb) = b.get("operator") {
            let verb = match verb.as_str().unwrap() { "approve" => Verb::Approve, "reject" => Verb::Reject, "retry" => Verb::Retry, "skip" => Verb::Skip, "mark_done" => Verb::MarkDone, "confirm" => Verb::Confirm, "give_up" => Verb::GiveUp, _ => panic!() };
            let before = run.nrefused;
            run.oracle.apply(&Input::Operation(Operation { operation_id: "", chain_id: chain, call_id: s(b, "call"), verb, revision: 0, by: "", reason: "" }), m, host, &mut actions);
            let refused = actions.iter().any(|a| matches!(a, Action::Refused(_)));
            let _ = before;
            if let Some(r) = b.get("refused") && r.as_bool().unwrap() != refused { errs.push(format!("step {i}: refused {refused}")); }
        }
        run.drain(actions);
        if !lag(b) { run.advance(run.host); }
    }
    for (t, b) in blocks { if let Some(t) = t { run.advance(t as i64); } check(&run, &b, &mut errs); }
    errs
}

#[test]
fn the_oracle_passes_the_public_corpus() {
    use serde::Deserialize;
    let mut bad = 0; let mut n = 0;
    let mut files: Vec<_> = std::fs::read_dir("/work/shared/scenarios").unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for f in files {
        let text = std::fs::read_to_string(&f).unwrap();
        for doc in serde_yaml_ng::Deserializer::from_str(&text) {
            let v = Value::deserialize(doc).unwrap();
            if v.is_null() { continue }
            n += 1;
            let errs = scenario(&v);
            if !errs.is_empty() { bad += 1; println!("== {} : {}", f.display(), v["scenario"].as_str().unwrap()); for e in errs { println!("  {e}"); } }
        }
    }
    println!("{n} scenarios, {bad} bad");
    assert_eq!(bad, 0);
}
