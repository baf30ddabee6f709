//! The file of users (`sip.users`): who may register a phone and call with it.
//!
//! ```yaml
//! alice:
//!   realm: call-api
//!   sha256: 64 hexadecimal digits
//!   md5: 32 hexadecimal digits
//! ```
//!
//! The hashes are H(A1) of RFC 7616 §3.4.2, for phones of both kinds (RFC 8760); one of the two may be
//! left out, and the user's phones are not asked for it. Passwords are in no
//! file; but a hash is as good as its password here, so the file is to be kept as one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use engine::{User, Users};
use serde::Deserialize;
use sip::digest::Algorithm;

/// The realm of users who were given none.
pub const REALM: &str = "call-api";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    realm: String,
    sha256: Option<String>,
    md5: Option<String>,
}

/// Reads a file of users.
///
/// # Errors
///
/// When it cannot be read or is not such a file; the error names the file and the user.
pub fn load(file: &Path) -> io::Result<Users> {
    let wrong = |message: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {message}", file.display()))
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    parse(&text).map_err(wrong)
}

/// The lines of the file for a user.
///
/// # Errors
///
/// When the name cannot be a user's, the realm cannot stand in YAML as it is, or there is no
/// password.
pub fn entry(
    name: &str,
    realm: &str,
    password: &str,
    algorithms: &[Algorithm],
) -> io::Result<String> {
    let wrong = |message: &str| io::Error::new(io::ErrorKind::InvalidInput, message.to_owned());
    if !is_name(name) {
        return Err(wrong("a user's name has letters, digits and -_.+ only"));
    }
    if !is_name(realm) {
        return Err(wrong("a realm has letters, digits and -_.+ only"));
    }
    if password.is_empty() {
        return Err(wrong("no password"));
    }
    // Quoted, for a name or hash may look like a number.
    let mut lines = format!("\"{name}\":\n  realm: \"{realm}\"\n");
    for algorithm in algorithms {
        let key = match algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Md5 => "md5",
        };
        lines += &format!("  {key}: \"{}\"\n", algorithm.ha1(name, realm, password));
    }
    Ok(lines)
}

fn parse(text: &str) -> Result<Users, String> {
    let entries: Option<BTreeMap<String, Entry>> =
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let mut users = Users::default();
    for (name, Entry { realm, sha256, md5 }) in entries.unwrap_or_default() {
        if !is_name(&name) {
            return Err(format!("{name:?}: no name of a user"));
        }
        if sha256.is_none() && md5.is_none() {
            return Err(format!("{name}: neither sha256 nor md5"));
        }
        for (algorithm, hash) in [(Algorithm::Sha256, &sha256), (Algorithm::Md5, &md5)] {
            let Some(hash) = hash else { continue };
            let digits = algorithm.hex_length();
            let is_hash = hash.len() == digits
                && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !is_hash {
                let algorithm = algorithm.as_str();
                return Err(format!(
                    "{name}: {algorithm} is {digits} lower-case hexadecimal digits"
                ));
            }
        }
        if users.users.is_empty() {
            users.realm = realm;
        } else if users.realm != realm {
            return Err(format!("{name}: realm {realm:?}, but {:?} before", users.realm));
        }
        users.users.push(User { name, sha256, md5 });
    }
    if users.users.is_empty() { Err("no users".to_owned()) } else { Ok(users) }
}

/// What needs no escape in a URI and no care in YAML.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_for_a_user_is_read_back() {
        let text = ["alice", "007", "1e5"]
            .map(|name| entry(name, REALM, "secret", &Algorithm::ALL).unwrap());
        let users = parse(&text.concat()).unwrap();
        assert_eq!(users.realm, REALM);
        let names: Vec<_> = users.users.iter().map(|user| &*user.name).collect();
        assert_eq!(names, ["007", "1e5", "alice"]);
        assert_eq!(users.users[2].md5, Some(Algorithm::Md5.ha1("alice", REALM, "secret")));
        assert_eq!(users.users[2].sha256, Some(Algorithm::Sha256.ha1("alice", REALM, "secret")));
        let md5 = users.users[2].md5.as_ref().unwrap();
        assert!(!format!("{users:?}").contains(md5), "hashes are not logged");
        let old = parse(&entry("bob", REALM, "secret", &[Algorithm::Md5]).unwrap()).unwrap();
        assert_eq!((&old.users[0].sha256, old.users[0].md5.is_some()), (&None, true));
    }

    #[test]
    fn mistakes_are_named() {
        let alice = entry("alice", "here", "secret", &Algorithm::ALL).unwrap();
        let bob = entry("bob", "there", "secret", &Algorithm::ALL).unwrap();
        for (text, expected) in [
            (format!("{alice}{bob}"), "bob: realm \"there\", but \"here\" before"),
            (alice.replace("md5: \"", "md5: \"0"), "alice: MD5 is 32"),
            (alice.replace("md5", "password"), "password"),
            (alice.replace("alice", "alice@example.com"), "no name of a user"),
            (String::new(), "no users"),
            ("bob: {realm: here}".to_owned(), "bob: neither sha256 nor md5"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        for (name, realm, password) in [("a b", "r", "p"), ("a", "r\"", "p"), ("a", "r", "")] {
            assert!(entry(name, realm, password, &Algorithm::ALL).is_err());
        }
    }
}
