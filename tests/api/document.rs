//! `/openapi.json` says what there is, and what is answered is what it says.

use std::collections::BTreeSet;

use countermand::{
    http::{Door, resources},
    model::{AnomalyKind, CallEnd, Cause, EffectState, Outcome, PlanItemState, PlanState, Verb, WaitReason},
    policy::Word as _,
};
use serde_json::{Value, json};

use crate::{
    client::{Answer, JSON, ask, get},
    shop::Shop,
};

const TOKEN: &str = "s3same";

fn document() -> Value {
    let mut document: Value = serde_json::from_str(include_str!("../../src/http/openapi.json")).expect("JSON");
    // What a schema does not name is not answered.
    let schemas = document["components"]["schemas"].as_object_mut().expect("schemas");
    let mut parts = BTreeSet::new();
    for schema in schemas.values() {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            parts.extend(part["$ref"].as_str().map(|name| name.rsplit('/').next().unwrap_or_default().to_owned()));
        }
    }
    for (name, schema) in schemas {
        if schema.get("allOf").is_some() {
            schema["unevaluatedProperties"] = false.into();
        } else if schema.get("properties").is_some() && !parts.contains(name) {
            schema["additionalProperties"] = false.into();
        }
    }
    document
}

fn words(document: &Value, schema: &str) -> Vec<String> {
    let words = document["components"]["schemas"][schema]["enum"].as_array().unwrap_or_else(|| panic!("{schema}"));
    words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

#[test]
fn every_route_is_in_the_document_and_the_reverse() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            documented.insert(format!("{} {path}", method.to_ascii_uppercase()));
        }
    }
    let mut there = BTreeSet::new();
    for resource in resources() {
        let name = format!("{} {}", resource.method, resource.path);
        let operation = &document["paths"][resource.path][resource.method.as_str().to_ascii_lowercase()];
        let places = |place: &str| -> BTreeSet<String> {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let here = parameters.filter(|parameter| parameter["in"] == place);
            here.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect()
        };
        let query: BTreeSet<String> = resource.query.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(places("query"), query, "{name}");
        let in_path = resource.path.split(['{', '}']).skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(places("path"), in_path, "{name}");
        assert_eq!(operation["security"] == json!([]), resource.door == Door::Open, "{name}");
        assert_eq!(operation["x-role"].as_str().unwrap_or("viewer"), resource.role.word(), "{name}");
        there.insert(name);
    }
    assert_eq!(documented, there);
}

#[test]
fn its_words_are_those_of_the_rule_book() {
    macro_rules! same {
        ($($schema:literal = $kind:ty),+ $(,)?) => {
            let document = document();
            $(
                let known: Vec<&str> = <$kind>::ALL.iter().map(|value| value.word()).collect();
                assert_eq!(words(&document, $schema), known);
            )+
        };
    }
    same! {
        "Outcome" = Outcome, "PlanState" = PlanState, "Cause" = Cause, "WaitReason" = WaitReason, "Anomaly" = AnomalyKind,
        "CommandState" = PlanItemState, "EffectState" = EffectState, "CallEnd" = CallEnd,
    }
    for (schema, for_all) in [("ChainVerb", false), ("AgentVerb", true)] {
        let verbs = Verb::ALL.iter().filter(|verb| verb.is_for_all() == for_all);
        assert_eq!(words(&document(), schema), verbs.map(|verb| verb.word()).collect::<Vec<_>>());
    }
}

/// What was asked, and what the document says of it.
struct Asked {
    document: Value,
    seen: BTreeSet<String>,
}

impl Asked {
    /// Asserts that an answer is one that the document says, in all its parts.
    fn check(&mut self, (method, template): (&str, &str), answer: &Answer) {
        let asked = format!("{method} {template} {}", answer.status);
        let resource = self.document["paths"][template].as_object().expect("a resource");
        // Of a method that it does not take, the one that it does take tells.
        let method = method.to_ascii_lowercase();
        let operation = resource.get(&method).or_else(|| resource.values().next().filter(|_| answer.status == 405));
        let operation = operation.unwrap_or_else(|| panic!("{asked} is in no document: {answer:?}"));
        let mut response = &operation["responses"][answer.status.to_string()];
        if let Some(name) = response["$ref"].as_str() {
            response = &self.document["components"]["responses"][name.rsplit('/').next().unwrap_or_default()];
        }
        assert!(response.is_object(), "{asked} is in no document: {answer:?}");
        for name in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            assert!(!answer.header(&name.to_ascii_lowercase()).is_empty(), "{asked} has no {name}: {answer:?}");
        }
        let kind = answer.header("content-type").split(';').next().unwrap_or_default();
        let schema = &response["content"][kind]["schema"];
        assert!(schema.is_object(), "{asked} {kind}: {answer:?}");
        if kind.ends_with("json") {
            let mut whole = json!({ "components": self.document["components"] });
            whole.as_object_mut().expect("an object").extend(schema.as_object().expect("a schema").clone());
            let validator = jsonschema::validator_for(&whole).expect("a schema");
            let body = answer.json();
            let errors: Vec<String> =
                validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert_eq!(errors, Vec::<String>::new(), "{asked}: {}", answer.body);
            if answer.status >= 400 {
                assert_eq!(body["status"], answer.status, "{asked}");
                assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{asked} says no hint");
            }
        }
        self.seen.insert(asked);
    }
}

#[test]
fn what_is_answered_is_what_the_document_says() {
    let shop = Shop::open("document", Some(TOKEN));
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let mut asked = Asked { document: document(), seen: BTreeSet::new() };
    let mut go = |method: &str, template: &str, path: &str, headers: &[&str], body: &str, status: u16| {
        let answer = ask(shop.at, method, path, &[&[bearer.as_str()], headers].concat(), body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        asked.check((method, template), &answer);
        answer
    };
    let list = go("GET", "/v1/chains", "/v1/chains?state=awaiting_approval&limit=3", &[], "", 200).json();
    let ids: Vec<&str> =
        list["chains"].as_array().expect("chains").iter().filter_map(|it| it["chain_id"].as_str()).collect();
    let [one, two, three] = ids.as_slice() else { panic!("three chains, not {ids:?}") };
    let of = |id: &str, more: &str| format!("/v1/chains/{id}{more}");
    let (chain, actions) = ("/v1/chains/{id}", "/v1/chains/{id}/actions");
    for format in ["json", "text", "dot", "mermaid", "otlp"] {
        go("GET", chain, &of(one, &format!("?format={format}")), &[], "", 200);
    }
    let text = go("GET", chain, &of(one, "?format=text"), &[], "", 200).body;
    assert_eq!(text.matches("\nplan\n").count(), 1, "{text}");
    go("GET", chain, &of(one, "?format=svg"), &[], "", 400);
    go("GET", chain, "/v1/chains/nobody", &[], "", 404);
    go("GET", chain, "/v1/chains/%ff", &[], "", 400);
    go("DELETE", chain, &of(one, ""), &[], "", 405);
    go("GET", "/v1/commands", "/v1/commands", &[], "", 200);
    go("GET", "/openapi.json", "/openapi.json", &[], "", 200);
    for path in ["/metrics", "/healthz", "/readyz", "/v1/audit"] {
        go("GET", path, path, &[], "", 200);
        go("PUT", path, path, &[], "", 405);
    }
    // Hands: what is done, what is refused, what cannot be read.
    let wish = |verb: &str, revision: u32| json!({"verb": verb, "revision": revision, "reason": "a test"}).to_string();
    let key = "Idempotency-Key: k-1";
    go("POST", actions, &of(one, "/actions"), &[JSON, key], &wish("approve", 0), 200);
    go("POST", actions, &of(one, "/actions"), &[JSON, key], &wish("reject", 0), 422);
    let refused = go("POST", actions, &of(two, "/actions"), &[JSON], &wish("approve", 77), 409).json();
    let operation = format!("/v1/operations/{}", refused["operation_id"].as_str().expect("an id"));
    go("GET", "/v1/operations/{id}", &operation, &[], "", 200);
    go("GET", "/v1/operations/{id}", "/v1/operations/nobody", &[], "", 404);
    go("POST", actions, &of("nobody", "/actions"), &[JSON], &wish("approve", 1), 404);
    go("POST", actions, &of(three, "/actions"), &[JSON], &wish("pause", 1), 422);
    go("POST", actions, &of(three, "/actions"), &[JSON], r#"{"verb": "approve", "reason": "no revision"}"#, 422);
    go("POST", actions, &of(three, "/actions"), &[JSON], r#"{"verb": "approve", "#, 400);
    go("POST", actions, &of(three, "/actions"), &[], &wish("approve", 1), 415);
    go("POST", actions, &of(three, "/actions"), &[JSON, "Origin: http://evil.example"], &wish("approve", 1), 403);
    go("POST", actions, &of(three, "/actions"), &[JSON], &" ".repeat((64 << 10) + 1), 413);
    go(
        "POST",
        actions,
        &of(three, "/actions"),
        &[JSON, "Idempotency-Key: a", "Idempotency-Key: b"],
        &wish("approve", 1),
        400,
    );
    for path in ["/v1/pause", "/v1/resume", "/v1/brake-release"] {
        let asked = go("POST", path, path, &[JSON], r#"{"reason": "a test"}"#, 200).json();
        // Each engine's part has a name of its own, under which the audit has it.
        let part = format!("/v1/operations/{}-0", asked["operation_id"].as_str().expect("an id"));
        go("GET", "/v1/operations/{id}", &part, &[], "", 200);
        go("POST", path, path, &[JSON], r#"{"reason": " "}"#, 422);
        go("GET", path, path, &[], "", 405);
    }
    let audit = go("GET", "/v1/audit", "/v1/audit?limit=2", &[], "", 200).json();
    go("GET", "/v1/audit", &format!("/v1/audit?before={}", audit["before"]), &[], "", 200);
    // Nothing is taken that there is not, and nobody is told anything who does not show the token.
    for resource in resources() {
        let path = resource.path.replace("{id}", one);
        let (method, template) = (resource.method.as_str(), resource.path);
        if resource.door == Door::Open {
            assert_eq!(get(shop.at, &path).status, 200, "{path}");
            continue;
        }
        let problem = go(method, template, &format!("{path}?limitt=3"), &[JSON], "{}", 400).json();
        let hint = problem["hint"].as_str().expect("a hint");
        assert!(resource.query.iter().all(|name| hint.contains(name)), "{path}: {hint}");
        assert!(!resource.query.contains(&"limit") || hint.contains("did you mean `limit`?"), "{path}: {hint}");
        let stranger = ask(shop.at, method, &path, &[JSON], "{}");
        assert_eq!(stranger.status, 401, "{path}");
        let mut checked = Asked { document: document(), seen: BTreeSet::new() };
        checked.check((method, template), &stranger);
    }
    let missing = ask(shop.at, "GET", "/v2", &[&bearer], "");
    assert_eq!((missing.status, missing.header("content-type")), (404, "application/problem+json"));
    let good = |operation: &str| asked.seen.contains(&format!("{operation} 200"));
    let never: Vec<String> =
        resources().iter().map(|it| format!("{} {}", it.method, it.path)).filter(|it| !good(it)).collect();
    assert_eq!(never, ["GET /v1/events"], "never asked for; events have tests of their own");
}

/// A span for each call, each with its parent, and the failing edge marked: what a collector of traces takes.
#[test]
fn a_chain_is_a_trace() {
    let shop = Shop::open("trace", None);
    let failed = get(shop.at, "/v1/chains?outcome=failed&limit=1").json()["chains"][0].clone();
    let path = format!("/v1/chains/{}?format=otlp", failed["chain_id"].as_str().expect("an id"));
    let trace = get(shop.at, &path).json();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| panic!("a list, not {value}"));
    let scopes = list(&trace["resourceSpans"]).into_iter().flat_map(|service| list(&service["scopeSpans"]));
    let spans: Vec<Value> = scopes.flat_map(|scope| list(&scope["spans"])).collect();
    assert_eq!(spans.len() as u64, failed["call_count"]);
    let is_id = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let text = |span: &Value, name: &str| span[name].as_str().unwrap_or_else(|| panic!("{name}: {span}")).to_owned();
    let ids: BTreeSet<String> = spans.iter().map(|span| text(span, "spanId")).collect();
    assert!(ids.len() == spans.len() && ids.iter().all(|id| is_id(id, 16)), "{ids:?}");
    let attribute = |span: &Value, key: &str| list(&span["attributes"]).into_iter().find(|it| it["key"] == key);
    let (mut roots, mut failing) = (0, Vec::new());
    for span in &spans {
        assert!(is_id(&text(span, "traceId"), 32) && span["traceId"] == spans[0]["traceId"]);
        let nanos = |name: &str| text(span, name).parse::<u64>().expect("nanoseconds");
        assert!(nanos("startTimeUnixNano") > 0 && nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"), "{span}");
        let parent = text(span, "parentSpanId");
        assert!(parent.is_empty() || ids.contains(&parent), "{span}");
        roots += usize::from(parent.is_empty());
        if attribute(span, "countermand.failing_edge").is_some() {
            assert_eq!(span["status"]["code"], 2, "{span}");
            failing.push(attribute(span, "countermand.call_id").expect("a call")["value"]["stringValue"].clone());
        }
    }
    assert_eq!((roots, failing), (1, vec![failed["failing_edge"]["call_id"].clone()]));
}

/// A list can be asked for each of its filters, and says what a filter can be.
#[test]
fn filters_take_what_they_say() {
    let shop = Shop::open("filters", None);
    let count = |query: &str| {
        let answer = get(shop.at, &format!("/v1/chains?limit=500&{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.json()["chains"].as_array().expect("chains").len()
    };
    let all = count("");
    let one = get(shop.at, "/v1/chains?limit=1&outcome=failed").json()["chains"][0].clone();
    let text =
        |pointer: &str| one.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}: {one}"));
    let (decided, id) = (text("/decided_at").replace('+', "%2B"), text("/chain_id"));
    for filter in [
        format!("outcome={}", text("/outcome")),
        format!("state={}", text("/state")),
        format!("cause={}", text("/cause")),
        format!("failing_caller={}", text("/failing_edge/caller")),
        format!("failing_callee={}", text("/failing_edge/callee")),
        format!("service={}", text("/failing_edge/caller")),
        format!("operation={}", text("/failing_edge/operation")),
        format!("since={decided}&until={decided}"),
        "min_duration=1ms".to_owned(),
        format!("q={id}"),
    ] {
        let found = get(shop.at, &format!("/v1/chains?limit=500&{filter}")).json();
        let found = found["chains"].as_array().expect("chains");
        assert!(found.iter().any(|chain| chain["chain_id"] == id), "{filter} does not find {id}");
    }
    for nothing in
        ["service=nobody", "operation=nothing", "until=2000-01-01T00:00:00Z", "min_duration=1h", "q=nothing-like-it"]
    {
        assert_eq!(count(nothing), 0, "{nothing}");
    }
    assert!(count(&format!("since={decided}")) < all, "it filters");
    for (wrong, says) in [
        ("outcome=good", "succeeded, failed, unknown"),
        ("state=x", "needs_operator"),
        ("cause=", "no_response"),
        ("since=yesterday", "RFC 3339"),
        ("min_duration=long", "500ms"),
        ("limit=0", "from 1 to 500"),
        ("limit=501", "from 1 to 500"),
        ("q=a&q=b", "once"),
        ("chain_id=x", "parameters are outcome"),
    ] {
        let answer = get(shop.at, &format!("/v1/chains?{wrong}"));
        let hint = answer.json()["hint"].as_str().map(str::to_owned).unwrap_or_default();
        assert!(answer.status == 400 && hint.contains(says), "{wrong}: {}", answer.body);
    }
    // What a page did not end with is no fault of form: the document cannot say what a cursor looks like.
    let strange = get(shop.at, "/v1/chains?cursor=x");
    assert!(strange.status == 422 && strange.body.contains("begin without one"), "{}", strange.body);
    assert_eq!(get(shop.at, "/v1/chains?cursor=").status, 200, "an empty one is none");
    let commands = get(shop.at, &format!("/v1/commands?chain_id={id}&state=waiting&action=undo")).json();
    let commands = commands["commands"].as_array().expect("commands");
    assert!(!commands.is_empty() && commands.iter().all(|it| it["chain_id"] == id && it["state"] == "waiting"));
}
