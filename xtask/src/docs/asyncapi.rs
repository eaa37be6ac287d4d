//! `docs/api/asyncapi.json`: the socket as `AsyncAPI` 3.1 describes it.
//!
//! The schemas are read out of `proto/`, with the comments there as their descriptions, in
//! the form that proto-JSON gives them. What a comment cannot say is in the tables here:
//! which frame is answered by which.

use std::path::Path;

use anyhow::Context as _;
use protox::prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};
use serde_json::{Map, Value, json};

const PROTO: &str = "sotto/socket/v1/socket.proto";
const PACKAGE: &str = "sotto.socket.v1";

/// What a frame of the device is answered by; others have no answer.
const REPLIES: [(&str, &[&str]); 5] = [
    ("authenticate", &["hello", "authenticated", "error", "goodbye"]),
    ("resume", &["hello", "error"]),
    ("send", &["accepted", "deviceMismatch", "error"]),
    ("retract", &["retracted", "error"]),
    ("groupSend", &["groupAccepted", "groupStale", "error"]),
];

/// The whole document.
pub(crate) fn document(root: &Path) -> anyhow::Result<String> {
    let pool = pool(root)?;
    let frame = |name: &str| {
        pool.get_message_by_name(&format!("{PACKAGE}.{name}")).context("the frame is in the proto")
    };
    let (client, server) = (frame("ClientFrame")?, frame("ServerFrame")?);

    let mut schemas = Map::new();
    let mut messages = Map::new();
    let mut channel_messages = Map::new();
    let mut operations = Map::new();
    for (envelope, action, verb) in [(&client, "receive", "take"), (&server, "send", "give")] {
        for body in bodies(envelope) {
            let name = body.json_name().to_owned();
            messages.insert(name.clone(), message(envelope, &body));
            let message_ref = json!({"$ref": format!("#/components/messages/{name}")});
            channel_messages.insert(name.clone(), message_ref);
            let mut operation = json!({
                "action": action,
                "channel": {"$ref": "#/channels/socket"},
                "messages": [channel_message(&name)],
            });
            let replies = REPLIES.iter().find(|(frame, _)| *frame == name);
            if let (Some((_, answers)), true) = (replies, action == "receive") {
                let reply = json!({
                    "channel": {"$ref": "#/channels/socket"},
                    "messages": answers.iter().map(|answer| channel_message(answer)).collect::<Vec<_>>(),
                });
                put(&mut operation, "reply", reply);
            }
            operations.insert(format!("{verb}_{name}"), operation);
            if let Kind::Message(descriptor) = body.kind() {
                add_schema(&descriptor, &mut schemas);
            }
        }
    }

    let document = json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Sotto: the socket of a device",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Messages between a device and the gateway, as proto-JSON on the \
                subprotocol `sotto.v1.json`. On `sotto.v1.proto` the same messages travel as \
                protobuf in binary frames, one frame of `proto/sotto/socket/v1/socket.proto` \
                each. Actions are those of the gateway: it receives what a device sends.",
            "license": {"name": "AGPL-3.0-only"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "deployment": {
                "host": "{domain}",
                "protocol": "wss",
                "variables": {"domain": {"default": "sotto.localhost"}},
                "security": [{"$ref": "#/components/securitySchemes/sottoToken"}],
            },
        },
        "channels": {
            "socket": {
                "address": "/v1/socket",
                "description": "One socket for each device. The subprotocol is `sotto.v1.json` \
                    or `sotto.v1.proto`; a browser shows its token as a further one, \
                    `bearer.<token>`. How it closes is in docs/reference/close-codes.md.",
                "messages": channel_messages,
                "bindings": {"ws": {"method": "GET"}},
            },
        },
        "operations": operations,
        "components": {
            "securitySchemes": {
                "sottoToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The token of POST /v1/auth/token. Or an `authenticate` or \
                        `resume` as the first frame.",
                },
            },
            "messages": messages,
            "schemas": schemas,
        },
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn pool(root: &Path) -> anyhow::Result<DescriptorPool> {
    let mut compiler = protox::Compiler::new([root.join("proto")])?;
    compiler.include_source_info(true).include_imports(true).open_file(PROTO)?;
    Ok(compiler.descriptor_pool())
}

fn channel_message(name: &str) -> Value {
    json!({"$ref": format!("#/channels/socket/messages/{name}")})
}

/// The kinds of a frame.
fn bodies(envelope: &MessageDescriptor) -> Vec<FieldDescriptor> {
    envelope.oneofs().flat_map(|oneof| oneof.fields().collect::<Vec<_>>()).collect()
}

/// A frame with one kind of body.
fn message(envelope: &MessageDescriptor, body: &FieldDescriptor) -> Value {
    let name = body.json_name();
    let mut properties = Map::new();
    for field in envelope.fields().filter(|field| field.containing_oneof().is_none()) {
        properties.insert(field.json_name().to_owned(), property(&field));
    }
    properties.insert(name.to_owned(), property(body));
    let mut message = json!({
        "name": name,
        "payload": {"type": "object", "required": [name], "properties": properties},
    });
    if let Kind::Message(descriptor) = body.kind() {
        let comment = comment(descriptor.parent_file().file_descriptor_proto(), descriptor.path());
        put(&mut message, "summary", first_sentence(&comment).into());
        put(&mut message, "description", comment.into());
    }
    message
}

/// Adds a message, and all that it contains.
fn add_schema(descriptor: &MessageDescriptor, schemas: &mut Map<String, Value>) {
    if schemas.contains_key(descriptor.name()) {
        return;
    }
    // Taken before its parts are looked at: they may lead back here.
    schemas.insert(descriptor.name().to_owned(), Value::Null);
    let mut properties = Map::new();
    for field in descriptor.fields() {
        properties.insert(field.json_name().to_owned(), property(&field));
        match field.kind() {
            Kind::Message(part) => add_schema(&part, schemas),
            Kind::Enum(part) => {
                schemas.insert(part.name().to_owned(), enumeration(&part));
            }
            _ => {}
        }
    }
    let comment = comment(descriptor.parent_file().file_descriptor_proto(), descriptor.path());
    let schema = json!({"type": "object", "description": comment, "properties": properties});
    schemas.insert(descriptor.name().to_owned(), schema);
}

fn enumeration(descriptor: &EnumDescriptor) -> Value {
    let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
    let comment = comment(descriptor.parent_file().file_descriptor_proto(), descriptor.path());
    json!({"type": "string", "enum": names, "description": comment})
}

/// A field, in proto-JSON's form.
fn property(field: &FieldDescriptor) -> Value {
    let mut schema = match field.kind() {
        Kind::Message(part) => json!({"$ref": format!("#/components/schemas/{}", part.name())}),
        Kind::Enum(part) => json!({"$ref": format!("#/components/schemas/{}", part.name())}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::String => json!({"type": "string"}),
        Kind::Uint32 | Kind::Fixed32 => {
            json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX})
        }
        Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "pattern": "^[0-9]{1,20}$"}),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({"type": "string", "pattern": "^-?[0-9]{1,19}$"})
        }
        Kind::Float | Kind::Double => json!({"type": "number"}),
    };
    if field.cardinality() == Cardinality::Repeated {
        schema = json!({"type": "array", "items": schema});
    }
    let comment = comment(field.parent_file().file_descriptor_proto(), field.path());
    if comment.is_empty() {
        return schema;
    }
    if schema.get("$ref").is_some() {
        // Beside a reference nothing else counts (JSON Schema draft 7 section 8.3).
        return json!({"description": comment, "allOf": [schema]});
    }
    put(&mut schema, "description", comment.into());
    schema
}

/// What stands before or behind a declaration, in one line for each paragraph.
fn comment(file: &protox::prost_reflect::prost_types::FileDescriptorProto, path: &[i32]) -> String {
    let locations = file.source_code_info.as_ref().map_or(&[][..], |info| &info.location);
    let Some(location) = locations.iter().find(|location| location.path == path) else {
        return String::new();
    };
    let text = [location.leading_comments.as_deref(), location.trailing_comments.as_deref()];
    let text = text.into_iter().flatten().collect::<Vec<_>>().join("\n");
    let paragraphs = text.split("\n\n").map(|paragraph| {
        paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
    });
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Sets a member of an object.
fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").or_else(|| text.find(".\n")).map_or(text.len(), |at| at + 1);
    text.get(..end).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed() -> Value {
        let root = crate::workspace::root().unwrap();
        serde_json::from_str(&document(&root).unwrap()).unwrap()
    }

    #[test]
    fn every_frame_of_the_protocol_is_an_operation() {
        let document = parsed();

        for operation in ["take_send", "take_ack", "give_deliver", "give_goodbye"] {
            assert!(document["operations"][operation].is_object(), "{operation}");
        }
        let send = &document["components"]["schemas"]["Send"]["properties"];
        assert_eq!(send["clientMsgId"]["contentEncoding"], "base64");
        assert_eq!(send["messages"]["type"], "array");
    }

    #[test]
    fn every_answer_in_the_table_is_a_frame() {
        let document = parsed();

        for (frame, answers) in REPLIES {
            for name in std::iter::once(&frame).chain(answers) {
                assert!(document["components"]["messages"][name].is_object(), "{name}");
            }
        }
    }
}
