//! Values that stand in many bodies, as the document names them. They are types without a
//! value: a field says by `#[schema(value_type = ...)]` which of them it is.

use sotto_ids::limits::MAX_PREKEY_ID;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, Object, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

macro_rules! schemas {
    ($($(#[$doc:meta])+ $name:ident: $schema:expr;)+) => {$(
        $(#[$doc])+
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                Schema::from($schema).into()
            }
        }

        impl ToSchema for $name {}
    )+

        /// All of them. What stands in parameters alone nobody else puts into the document.
        pub(super) fn all() -> impl Iterator<Item = (String, RefOr<Schema>)> {
            [$((stringify!($name).to_owned(), $name::schema())),+].into_iter()
        }
    };
}

schemas! {
    /// Bytes.
    Base64: text("Bytes, as padded standard base64 (RFC 4648 section 4).", "AAEC/w==")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Byte)))
        .content_encoding("base64");

    /// An account by its whole name.
    AccountId: text(
        "The name of an account: the hash of the first op of its chain, in base32.",
        "acct:aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq",
    )
    .pattern(Some("^acct:[a-z2-7]{51}[aq]$"));

    /// An account by its short name.
    AccountUuid: text(
        "The short name of an account: the UUID that follows from the whole one.",
        "00010203-0405-8607-8809-0a0b0c0d0e0f",
    )
    .format(Some(SchemaFormat::Custom("uuid".to_owned())));

    /// An account by either of its names.
    AccountName: text(
        "An account, by its id or its UUID.",
        "acct:aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq",
    )
    .pattern(Some(
        "^(acct:[a-z2-7]{51}[aq]|[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$",
    ));

    /// A device of an account.
    DeviceId: Object::builder()
        .schema_type(Type::Integer)
        .description(Some("The number of a device within its account."))
        .minimum(Some(1))
        .maximum(Some(127))
        .examples([1]);

    /// A prekey.
    KeyId: Object::builder()
        .schema_type(Type::Integer)
        .description(Some("The number of a prekey: 24 bits."))
        .minimum(Some(1))
        .maximum(Some(MAX_PREKEY_ID))
        .examples([42]);

    /// A name that people type.
    Handle: text("A name that people type.", "alice")
        .min_length(Some(3))
        .max_length(Some(32))
        .pattern(Some("^[a-z0-9]+([._][a-z0-9]+)*$"));

    /// A handle and its home.
    PublicName: text("A handle and the domain that it is of.", "alice@sotto.localhost");

    /// A mailbox.
    LinkId: text(
        "The name of a mailbox: 24 random bytes in base64url. Whoever knows it may use it.",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    )
    .pattern(Some("^[A-Za-z0-9_-]{32}$"));

    /// A group.
    GroupId: text(
        "A group: a random UUID, of version 4 (RFC 9562 section 5.4).",
        "0b6c2d1e-9f3a-4c5b-8d7e-6f5a4b3c2d1e",
    )
    .format(Some(SchemaFormat::Custom("uuid".to_owned())));

    /// A body that is no text.
    Octets: Object::builder()
        .schema_type(Type::String)
        .description(Some("Bytes, as they are."))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));

    /// An id that carries its time.
    Uuid7: text("A UUID of version 7 (RFC 9562 section 5.7).", "01927f3e-8a4c-7def-8123-456789abcdef")
        .format(Some(SchemaFormat::Custom("uuid".to_owned())));
}

fn text(description: &str, example: &str) -> ObjectBuilder {
    Object::builder().schema_type(Type::String).description(Some(description)).examples([example])
}
