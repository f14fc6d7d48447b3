//! Variables and flags that stand above the file: `COUNTERMAND_ENGINE__DECIDE_GRACE=0ms` is `decide_grace = "0ms"` in
//! `[engine]`.

use std::ops::Range;

use super::{
    VARIABLE_PREFIX,
    config::{Config, Property},
    hint,
    properties::{check_property, is_secret_property},
    report::{Place, Report, Text, is_secret_name},
    schema::{Described, Slot, read_text, variable},
    secret::Secret,
    value::{Entry, Given, Value},
    walk::{Places, put},
};

/// A setting given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// What people call it: `--topics`.
    pub name: String,
    /// The setting, such as `kafka.topics`.
    pub key: String,
    /// Its value as in a variable: lists are split at commas.
    pub text: String,
}

/// What overrides one setting.
pub(super) struct Override {
    name: String,
    key: String,
    text: String,
    /// Bytes of the text that is shown for it, which hold the value.
    span: Range<usize>,
    variable: bool,
}

const PROPERTIES: &str = "kafka.properties.";

/// Those of `variables` that are settings, by name, and then the flags: what comes later stands above. With them comes
/// what faults show of each.
pub(super) fn collect(
    variables: impl IntoIterator<Item = (String, String)>,
    flags: Vec<Flag>,
) -> (Vec<Override>, Vec<Text>) {
    let mut overrides: Vec<Override> = variables
        .into_iter()
        .filter_map(|(name, text)| {
            let path = name.strip_prefix(VARIABLE_PREFIX).filter(|path| path.contains("__"))?;
            let key = path.to_lowercase().replace("__", ".");
            let from = name.len() + 1;
            Some(Override { span: from..from + text.len(), name, key, text, variable: true })
        })
        .collect();
    overrides.sort_by(|a, b| a.name.cmp(&b.name));
    overrides.extend(flags.into_iter().map(|Flag { name, key, text }| {
        let from = name.len() + 1;
        Override { span: from..from + text.len(), name, key, text, variable: false }
    }));
    let shown = |it: &Override| match (is_secret_name(&it.name), it.variable) {
        // A secret is not even kept.
        (true, _) => format!("{}=", it.name),
        (false, true) => format!("{}={}", it.name, it.text),
        (false, false) => format!("{} {}", it.name, it.text),
    };
    let texts = overrides.iter().map(|it| Text { name: it.name.clone(), text: shown(it) }).collect();
    (overrides, texts)
}

/// Puts all of them into `config`, in their order.
pub(super) fn apply(overrides: &[Override], config: &mut Config, places: &mut Places, report: &mut Report) {
    for (i, it) in overrides.iter().enumerate() {
        let place = Place::Override(i, it.span.clone());
        if let Some(property) = it.key.strip_prefix(PROPERTIES) {
            put_property(it, &property.replace('_', "."), &place, config, places, report);
        } else if let Some(setting) = Config::setting(&it.key) {
            match given(it, &setting.slot) {
                Ok(given) => {
                    let value = Value { span: it.span.clone(), given };
                    put(setting, &value, |_| place.clone(), config, places, report);
                }
                Err(message) => report.error(setting.key, &place, message),
            }
        } else {
            report.error(&it.key, &Place::Override(i, 0..it.name.len()), unknown(it));
        }
    }
}

fn given(it: &Override, slot: &Slot<Config>) -> Result<Given, String> {
    match slot {
        Slot::Secret { .. } => {
            let name = Value { span: 0..0, given: Given::Text(it.name.clone()) };
            Ok(Given::Table(vec![Entry { key: "env".to_owned(), key_span: 0..0, value: name }]))
        }
        Slot::Texts { .. } => read_text(slot, &it.text),
        _ if it.text.trim().is_empty() => Err(format!("`{}` is empty: unset it, or give it a value", it.name)),
        _ => read_text(slot, &it.text),
    }
}

/// `COUNTERMAND_KAFKA__PROPERTIES__SASL_PASSWORD` is `sasl.password`: no property that may be set has an underscore.
fn put_property(
    it: &Override,
    key: &str,
    place: &Place,
    config: &mut Config,
    places: &mut Places,
    report: &mut Report,
) {
    if let Err(message) = check_property(key) {
        return report.error(&it.key, place, message);
    }
    let property = match is_secret_property(key) {
        true => Property::Secret(Secret::Env(it.name.clone())),
        false => Property::Plain(it.text.clone()),
    };
    config.kafka.properties.insert(key.to_owned(), property);
    places.note("kafka.properties", place.clone());
}

fn unknown(it: &Override) -> String {
    if it.key == "operations" || it.key.starts_with("operations.") {
        return format!("`{}` sets nothing: rules of operations stand in the file only", it.name);
    }
    let variables: Vec<String> = Config::settings().map(|setting| variable(setting.key)).collect();
    match hint::nearest(&it.name, variables.iter().map(String::as_str)) {
        Some(near) => format!("`{}` sets nothing: did you mean `{near}`?", it.name),
        None => format!("`{}` sets nothing: `countermand check --print-settings` lists what can be set", it.name),
    }
}
