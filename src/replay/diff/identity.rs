//! The fields that tell who a client is, and not what it does: any two clients differ in them.

/// Whether a field tells who the client is. `absent` says that one of the two messages does not have the field.
pub(super) fn is_identity(message: &str, path: &str, absent: bool) -> bool {
    IDENTITY.iter().any(|of| {
        of.message == message
            && (!absent || of.presence)
            && path.get(..of.field.len()).is_some_and(|start| start.eq_ignore_ascii_case(of.field))
            && (path.len() == of.field.len() || of.field.ends_with('.'))
    })
}

/// A field that tells who the client is.
struct IdentityField {
    message: &'static str,
    /// Its path; with a dot at the end, all fields that stand in it.
    field: &'static str,
    /// Whether it also makes no difference to the other end that the field is there.
    presence: bool,
}

const fn field(message: &'static str, field: &'static str) -> IdentityField {
    IdentityField { message, field, presence: false }
}

const fn optional(message: &'static str, field: &'static str) -> IdentityField {
    IdentityField { message, field, presence: true }
}

const IDENTITY: &[IdentityField] = &[
    field("announce-request", "peer_id"),
    optional("announce-request", "key"),
    field("announce-request", "port"),
    // A tracker answers the same whatever the program is called, whichever encodings of the answer it accepts, and whether it
    // wants to use the connection again.
    optional("announce-request", "headers.User-Agent"),
    optional("announce-request", "headers.Accept"),
    optional("announce-request", "headers.Accept-Encoding"),
    optional("announce-request", "headers.Accept-Language"),
    optional("announce-request", "headers.Connection"),
    optional("announce-request", "headers.Want-Digest"),
    optional("scrape-request", "headers.User-Agent"),
    optional("scrape-request", "headers.Accept"),
    optional("scrape-request", "headers.Accept-Encoding"),
    optional("scrape-request", "headers.Accept-Language"),
    optional("scrape-request", "headers.Connection"),
    optional("scrape-request", "headers.Want-Digest"),
    field("handshake", "peer_id"),
    optional("extended", "v"),
    field("extended", "p"),
    // Each client numbers its extensions as it likes (BEP 10).
    field("extended", "m."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_client_are_identity_and_what_it_asks_for_is_not() {
        for (message, path) in [
            ("announce-request", "peer_id"),
            ("announce-request", "headers.User-Agent"),
            ("handshake", "peer_id"),
            ("extended", "m.ut_pex"),
        ] {
            assert!(is_identity(message, path, false), "{message}.{path}");
        }
        for (message, path) in [
            ("announce-request", "left"),
            ("announce-request", "event"),
            ("announce-request", "headers.Host"),
            ("handshake", "info_hash"),
            ("handshake", "reserved"),
            ("extended", "metadata_size"),
            ("port", "port"),
        ] {
            assert!(!is_identity(message, path, false), "{message}.{path}");
        }
    }

    #[test]
    fn a_field_that_is_absent_is_identity_only_where_it_may_be() {
        assert!(is_identity("announce-request", "key", true));
        assert!(!is_identity("announce-request", "port", true), "a tracker needs it");
        assert!(!is_identity("extended", "m.ut_pex", true), "the other end learns what the client can do");
    }
}
