//! What `check` says of configurations, and that the schema, the files and the documentation agree.
//!
//! `BLESS=1 cargo test --test config` writes down what comes out; look at the difference before you keep it.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use countermand::policy::load::{Config, Source, as_toml, load, markdown, print, rows};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/config")
}

/// Runs `check` in `folder`, with no variables but `variables`.
fn check(folder: &Path, args: &[&str], variables: &[(String, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countermand"));
    command.current_dir(folder).env_clear().envs(variables.iter().cloned()).arg("check").args(args);
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Holds `actual` against the file, or writes it there under `BLESS`.
fn expect(path: &Path, actual: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, actual).expect("the fixture can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(expected, actual, "{} differs; BLESS=1 writes it anew", path.display());
}

/// A file's first lines `# with NAME=VALUE` are variables.
fn variables(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).expect("the fixture can be read");
    let with = text.lines().map_while(|line| line.strip_prefix("# with "));
    with.filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn each_fault_is_said_with_its_place_and_what_to_write() {
    let mut names: Vec<String> = fs::read_dir(fixtures())
        .expect("fixtures are there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".toml") && name != "every-setting.toml")
        .collect();
    names.sort();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let file = fixtures().join(&name);
        let output = check(&fixtures(), &["--config", &name], &variables(&file));
        let stderr = text(&output.stderr);
        expect(&file.with_extension("stderr"), stderr);
        assert!(!stderr.contains("correct horse"), "{name}: a secret was printed");
        let faulty = stderr.contains(": error: ");
        assert_eq!(output.status.code(), Some(if faulty { 2 } else { 0 }), "{name}");
        assert_eq!(output.stdout.is_empty(), faulty, "{name}: data only on success");
    }
}

fn every_setting() -> Source {
    let name = "every-setting.toml";
    Source { name: name.to_owned(), text: fs::read_to_string(fixtures().join(name)).expect("the fixture can be read") }
}

/// The leaves of a table: values by their dotted keys. Tables that are values themselves stay whole.
fn leaves(prefix: &str, table: &toml::Table, found: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner)
                if !["kafka.properties", "rabbitmq.password", "rabbitmq.key", "http.token", "trust.sign.secret"]
                    .contains(&key.as_str()) =>
            {
                leaves(&key, inner, found);
            }
            _ => {
                found.insert(key, value.clone());
            }
        }
    }
}

fn parsed(value: &str) -> toml::Value {
    let table: toml::Table = toml::from_str(&format!("x = {value}")).expect("a printed value is TOML");
    table["x"].clone()
}

#[test]
fn every_setting_goes_where_it_belongs_and_comes_back() {
    let source = every_setting();
    let loaded = load(Some(source.clone()), [], Vec::new()).expect("every setting is good");
    let lines = print(&loaded);
    let mut written = BTreeMap::new();
    leaves("", &toml::from_str(&source.text).expect("TOML"), &mut written);
    for row in rows() {
        let line = lines.iter().find(|line| line.key == row.key && line.value.is_some());
        let line = line.unwrap_or_else(|| panic!("{} is in no line: add it to every-setting.toml", row.key));
        assert_ne!(line.value, row.default, "{} is at its default", row.key);
        assert!(line.origin.starts_with("every-setting.toml:"), "{line:?}");
        if let (None, Some(value)) = (line.rule, &line.value)
            && row.key != "kafka.properties"
        {
            assert_eq!(parsed(value), written[row.key], "{}", row.key);
        }
    }
    let again = load(Some(Source { name: String::new(), text: as_toml(&lines) }), [], Vec::new());
    assert_eq!(again.expect("what is printed can be read").config, loaded.config);
}

#[test]
fn every_setting_can_be_set_by_its_variable() {
    let loaded = load(Some(every_setting()), [], Vec::new()).expect("every setting is good");
    let mut variables: Vec<(String, String)> = Vec::new();
    let secrets = ["http.token", "rabbitmq.password", "rabbitmq.key", "trust.sign.secret"];
    for (row, line) in rows().iter().zip(print(&loaded)).filter(|(row, _)| !secrets.contains(&row.key)) {
        let (Some(variable), Some(value)) = (&row.variable, &line.value) else { continue };
        let text = parsed(value).as_str().map_or(value.clone(), str::to_owned);
        variables.push((variable.clone(), text));
    }
    for name in ["HTTP__TOKEN", "RABBITMQ__PASSWORD", "RABBITMQ__KEY", "TRUST__SIGN__SECRET"] {
        variables.push((format!("COUNTERMAND_{name}"), "a secret".into()));
    }
    let by_variables = load(None, variables, Vec::new()).expect("every variable is good").config;
    let mut expected = Config { operations: Vec::new(), ..loaded.config };
    assert_ne!(by_variables.http.token, expected.http.token, "the variable itself is where the token is");
    assert_ne!(by_variables.rabbitmq.password, expected.rabbitmq.password);
    expected.http.token.clone_from(&by_variables.http.token);
    expected.rabbitmq.password.clone_from(&by_variables.rabbitmq.password);
    expected.rabbitmq.key.clone_from(&by_variables.rabbitmq.key);
    expected.trust.sign.secret.clone_from(&by_variables.trust.sign.secret);
    assert_eq!(by_variables, expected);
}

#[test]
fn programs_and_people_can_ask() {
    let output = check(&fixtures(), &["--config", "typos.toml", "--format", "json"], &[]);
    let faults: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let first = (&faults[0]["key"], &faults[0]["line"], &faults[0]["column"]);
    assert_eq!(first, (&"engine.decide_grce".into(), &2.into(), &1.into()));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), ""));

    let output = check(&fixtures(), &["--explain", "kafka.start"], &[]);
    let explained = text(&output.stdout);
    assert!(explained.starts_with("kafka.start\n  One of latest, earliest; by default \"latest\".\n"), "{explained}");
    assert!(explained.contains("COUNTERMAND_KAFKA__START"), "{explained}");
    assert!(explained.lines().all(|line| line.len() <= 100), "{explained}");
    let output = check(&fixtures(), &["--explain", "decide_grce"], &[]);
    assert_eq!(text(&output.stderr), "error: there is no setting `decide_grce`: did you mean `decide_grace`?\n");
    assert_eq!(output.status.code(), Some(2));

    let variables = [("COUNTERMAND_ENGINE__LINGER".to_owned(), "9s".to_owned())];
    let output = check(&fixtures(), &["--print-settings"], &variables);
    let line = text(&output.stdout).lines().find(|line| line.starts_with("linger")).expect("a line for linger");
    assert!(line.starts_with("linger = \"9s\" ") && line.ends_with("# COUNTERMAND_ENGINE__LINGER"), "{line}");
}

#[test]
fn a_token_is_hashed_as_the_agent_hashes_it() {
    let hashed = |token: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countermand"));
        command.args(["check", "--hash-token"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        child.stdin.take().expect("a pipe").write_all(token.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    // What `sha256sum` says of it.
    let token = "e3b0c44298fc1c149afbf4c8996fb924";
    for text in [token.to_owned(), format!("{token}\n")] {
        let output = hashed(&text);
        assert_eq!(text_of(&output), ("2ae1019cef8eccac4869115f45cf687a8117d23da26f37471453273dec05864b\n", ""));
    }
    let short = hashed("viewer\n");
    assert!(text(&short.stderr).contains("can be found from its hash"), "{short:?}");
    assert_eq!(text(&short.stdout), "d35ca5051b82ffc326a3b0b6574a9a3161dee16b9478a199ee39cd803ce5b799\n");
    for wrong in ["", " \n", "two words", "\u{e4}"] {
        let output = hashed(wrong);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{wrong:?}");
    }
}

fn text_of(output: &Output) -> (&str, &str) {
    (text(&output.stdout), text(&output.stderr))
}

/// The fields of the configuration by their dotted names, from how it prints for debugging.
fn fields() -> Vec<String> {
    let debug = format!("{:#?}", Config::default());
    let mut path: Vec<&str> = Vec::new();
    let mut fields = Vec::new();
    for line in debug.lines() {
        let depth = (line.len() - line.trim_start().len()) / 4;
        let Some((name, value)) = line.trim_start().split_once(": ") else { continue };
        path.truncate(depth.saturating_sub(1));
        path.push(name);
        if !value.ends_with(" {") {
            fields.push(path.join("."));
        }
    }
    fields
}

#[test]
fn no_field_is_without_a_setting() {
    let fields = fields();
    assert!(fields.iter().any(|field| field == "engine.limits.depth"), "{fields:?}");
    let known = rows();
    for field in fields {
        let known = known.iter().any(|row| row.key == field || row.key.starts_with(&format!("{field}.")));
        assert!(known, "`{field}` cannot be set: give it a row in the schema");
    }
}

#[test]
fn limits_hold_and_no_file_is_too_deep() {
    let read = |text: String| load(Some(Source { name: "x".into(), text }), [], Vec::new());
    let error = read("#".repeat((1 << 20) + 1)).unwrap_err().to_string();
    assert_eq!(error, "x: error: has 1048577 bytes; a configuration has at most 1048576");
    let rules: String = (0..=10_000).map(|i| format!("[[operations]]\nmatch = \"a/{i}\"\nmode = \"auto\"\n")).collect();
    let error = read(rules).unwrap_err().to_string();
    assert!(error.contains("there are 10001 rules, and at most 10000 can be"), "{error}");
    let faults: String = (0..2_000).map(|i| format!("unknown{i} = 1\n")).collect();
    assert!(read(faults).unwrap_err().to_string().ends_with("\n1900 more are not shown"));
    // Each fault looks at its line: a line with a hundred thousand of them must not take a hundred thousand looks.
    assert_eq!(read(format!("x = {{{}}}", "z=1,".repeat(1 << 17))).unwrap_err().found.len(), 1_000);
    for deep in
        ["[".repeat(1 << 20), format!("{}a = 1", "a.".repeat(1 << 19)), format!("x = {}", "{a=".repeat(1 << 18))]
    {
        assert!(read(deep[..deep.len().min(1 << 20)].to_owned()).is_err());
    }
}

#[test]
fn the_documentation_and_the_example_say_what_is_so() {
    let file = root().join("docs/configuration.md");
    let docs = fs::read_to_string(&file).expect("the documentation can be read");
    let (begin, end) = ("<!-- settings -->\n", "<!-- end of settings -->");
    let (before, rest) = docs.split_once(begin).expect("a mark where the table begins");
    let (_, after) = rest.split_once(end).expect("a mark where the table ends");
    let printed = check(root(), &["--print-settings", "--format", "markdown"], &[]);
    assert_eq!(text(&printed.stdout), markdown());
    expect(&file, &format!("{before}{begin}{}{end}{after}", markdown()));

    let examples = root().join("examples");
    let output = check(&examples, &[], &[]);
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
    assert_eq!(
        text(&output.stdout),
        "countermand.toml: good: mode approve (auto in 1 rule), 2 rules, commands may go to payment, stock; reads \
         countermand.envelopes from localhost:9092 as group countermand\n"
    );
    let example = fs::read_to_string(examples.join("countermand.toml")).expect("the example can be read");
    let useful = example.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).count();
    assert!(useful <= 12, "{useful} lines");
}
