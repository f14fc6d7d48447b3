//! Compiles the protobuf contract in `proto/` to Rust, without `protoc`: protox parses, prost-build generates.
//!
//! The generated types also get serde attributes that make them read and write proto3 canonical JSON
//! (`docs/decisions/canonical-json.md`); the functions that these name are in `src/wire/json`.

use std::error::Error;

use prost_build::Config;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

const PACKAGE: &str = "countermand.v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let mut files = Vec::new();
    for entry in std::fs::read_dir("proto/countermand/v1")? {
        files.push(entry?.path());
    }
    // The order of a folder is its file system's; what is built must not depend on it.
    files.sort();
    let descriptors = protox::compile(&files, ["proto"])?;
    let mut config = Config::new();
    config
        // `google.protobuf.Any` of our own: its value shares the message's memory, and it can be given canonical JSON.
        .compile_well_known_types()
        .bytes(["."])
        .btree_map(["."])
        // Their examples would be taken for documentation tests.
        .disable_comments([".google.protobuf"]);
    json_attributes(&mut config, &descriptors)?;
    config.compile_fds(descriptors)?;
    Ok(())
}

/// Gives every message of our package the attributes for proto3 canonical JSON.
fn json_attributes(config: &mut Config, descriptors: &FileDescriptorSet) -> Result<(), String> {
    for file in descriptors.file.iter().filter(|file| file.package() == PACKAGE) {
        for message in &file.message_type {
            let path = format!(".{PACKAGE}.{}", message.name());
            config.message_attribute(&path, "#[derive(::serde::Serialize, ::serde::Deserialize)]");
            // Absent fields have their default, unknown ones are an error that names them.
            config.message_attribute(&path, "#[serde(default, deny_unknown_fields)]");
            if message.nested_type.iter().any(|nested| !nested.options.as_ref().is_some_and(|o| o.map_entry())) {
                return Err(format!("{path}: build.rs does not know messages inside messages"));
            }
            for field in &message.field {
                config.field_attribute(format!("{path}.{}", field.name()), field_attribute(message, field)?);
            }
        }
    }
    Ok(())
}

/// The serde attribute of one field: both of its names, left out when default, and how its type is written.
fn field_attribute(message: &DescriptorProto, field: &FieldDescriptorProto) -> Result<String, String> {
    let mut parts = vec![
        format!("rename = \"{}\"", field.json_name()),
        "skip_serializing_if = \"crate::wire::json::is_default\"".to_owned(),
    ];
    if field.json_name() != field.name() {
        parts.push(format!("alias = \"{}\"", field.name()));
    }
    if field.oneof_index.is_some() {
        return Err(format!("{}.{}: build.rs does not know oneofs", message.name(), field.name()));
    }
    let repeated = field.label() == Label::Repeated;
    let by = |name: &str| format!("_with = \"crate::wire::json::{name}\"");
    let (read, write) = match (field.r#type(), repeated) {
        (Type::Enum, _) => {
            let of = field.type_name().trim_start_matches('.').trim_start_matches(PACKAGE).trim_start_matches('.');
            let plural = if repeated { "s" } else { "" };
            let of = format!("crate::wire::proto::{of}");
            (format!("read_enum{plural}::<{of}, _>"), Some(format!("write_enum{plural}::<{of}, _>")))
        }
        (Type::Int32 | Type::Uint32, false) => ("read_number".to_owned(), None),
        (Type::Int64 | Type::Uint64, false) => ("read_number".to_owned(), Some("write_long".to_owned())),
        (Type::String | Type::Bool, _) => ("read_nullable".to_owned(), None),
        (Type::Message, _) if is_ours(field) => {
            (if repeated { "read_messages" } else { "read_message" }.to_owned(), None)
        }
        // Maps, and protobuf's own types, which bring their own JSON.
        (Type::Message, _) => ("read_nullable".to_owned(), None),
        (kind, _) => {
            let place = format!("{}.{}", message.name(), field.name());
            return Err(format!("{place}: build.rs does not know how JSON writes a field of {kind:?}"));
        }
    };
    parts.push(format!("deserialize{}", by(&read)));
    parts.extend(write.map(|write| format!("serialize{}", by(&write))));
    Ok(format!("#[serde({})]", parts.join(", ")))
}

/// Whether a field is of a message of our package itself: not of protobuf's own, and not the hidden entry of a map.
fn is_ours(field: &FieldDescriptorProto) -> bool {
    field.type_name().strip_prefix(&format!(".{PACKAGE}.")).is_some_and(|name| !name.contains('.'))
}
