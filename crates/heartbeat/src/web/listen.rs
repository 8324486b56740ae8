//! Where to listen, as the configuration says it.
//!
//! Names are not looked up here: one name may be several addresses, or another one tomorrow. Only `localhost` is known, as
//! both loopback addresses, because that is what pollers on this machine call it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::node::Body;
use crate::config::values::{FilePath, Secret};
use crate::config::{Context, Fields, Node, Problem, Shape, Value};

/// One place at which something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// With TLS.
    pub tls: Option<Tls>,
    /// Who may connect to a Unix socket.
    pub mode: Option<Mode>,
}

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// This one. Port 0 is any that is free.
    Tcp(SocketAddr),
    /// Both loopback addresses, as far as this machine has them.
    Localhost(u16),
    /// All addresses of this machine, IPv6 and IPv4.
    Any(u16),
    /// A Unix socket, which is made.
    Unix(PathBuf),
    /// The sockets that the service manager opened for us (sd_listen_fds(3)): all of them, or those of one name.
    Systemd(Option<String>),
}

/// The server's side of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file: the server's certificate, then those that lead to an authority.
    pub certificate: PathBuf,
    /// Where its key is; `None`: in the same file.
    pub key: Option<Secret>,
}

/// The permissions of a Unix socket. Whoever may write may connect (unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Default for Mode {
    /// Everybody on this machine, as on a loopback address; also the default of systemd.socket(5).
    fn default() -> Self {
        Self(0o666)
    }
}

/// The longest path of a Unix socket, in bytes (unix(7), without the NUL).
const LONGEST_PATH: usize = 107;

const NOUN: &str = "an address such as `127.0.0.1:8811`, `*:8811`, `unix:/run/heartbeat.sock` or `systemd`";

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Any(port) => write!(f, "*:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(None) => f.write_str("systemd"),
            Self::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

impl Value for Address {
    fn shape() -> Shape {
        Shape::Text { noun: "an address", pattern: Some(r"^(\S*:[0-9]+|unix:.+|systemd(:.*)?)$") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(NOUN, node)?;
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty() && !path.contains('\0')) {
            let path = context.path(path, node.span);
            let length = path.as_os_str().len();
            return match length <= LONGEST_PATH {
                true => Some(Self::Unix(path)),
                false => context.error(
                    node.span,
                    format!("the path of a Unix socket has at most {LONGEST_PATH} bytes, this one has {length}"),
                ),
            };
        }
        if let Some(name) = text.strip_prefix("systemd") {
            match name.strip_prefix(':') {
                None if name.is_empty() => return Some(Self::Systemd(None)),
                Some("") => return Some(Self::Systemd(None)),
                Some(name) if name.parse::<u16>().is_err() => return Some(Self::Systemd(Some(name.to_owned()))),
                _ => {}
            }
        }
        tcp(&text).or_else(|| {
            let mut problem = Problem::error(node.span, format!("expected {NOUN}, found {}", node.describe()));
            problem.help = advice(&text);
            context.problems.push(problem);
            None
        })
    }

    fn show(&self) -> Node {
        Node::text(self.to_string())
    }
}

/// Reads an address with a port.
fn tcp(text: &str) -> Option<Address> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(if address.ip().is_unspecified() && address.is_ipv6() {
            Address::Any(address.port())
        } else {
            Address::Tcp(address)
        });
    }
    let (host, port) = text.rsplit_once(':')?;
    // `parse` would take `+80` too.
    let port = if port.starts_with(|c: char| c.is_ascii_digit()) { port.parse().ok()? } else { return None };
    match host {
        "" | "*" => Some(Address::Any(port)),
        _ if host.eq_ignore_ascii_case("localhost") => Some(Address::Localhost(port)),
        _ => None,
    }
}

/// What was probably meant.
fn advice(text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split('/').next().unwrap_or_default();
        return Some(match tcp(authority) {
            Some(address) => format!("an address is no URL: write `{address}`; TLS goes under `tls`"),
            None => "an address is no URL: write an IP address and a port; TLS goes under `tls`".to_owned(),
        });
    }
    if text.starts_with('/') {
        return Some(format!("did you mean `unix:{text}`?"));
    }
    if let Ok(port) = text.parse::<u16>() {
        return Some(format!(
            "say who may connect: `127.0.0.1:{port}` for this machine alone, `*:{port}` for everybody"
        ));
    }
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(format!("add a port: `{}`", SocketAddr::new(address, 8811)));
    }
    let (host, port) = text.rsplit_once(':')?;
    match (port.parse::<u16>(), host.parse::<std::net::Ipv6Addr>()) {
        (Err(_), _) => Some("a port is a whole number from 0 to 65535".to_owned()),
        (Ok(_), Ok(_)) => Some(format!("an IPv6 address stands in brackets: `[{host}]:{port}`")),
        (Ok(_), Err(_)) => Some("names are not looked up here: write an IP address, `localhost` or `*`".to_owned()),
    }
}

impl Value for Listen {
    fn shape() -> Shape {
        Shape::Either(vec![Address::shape(), Shape::Section(Fields::describe(Self::fields))])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            Body::Map(_) => Fields::read(context, format_args!("a listener"), node, Self::fields).0,
            _ => Address::decode(node, context).map(Self::from),
        }
    }

    fn show(&self) -> Node {
        let Self { address, tls, mode } = self;
        if tls.is_none() && mode.is_none() {
            return address.show();
        }
        let mut keys = vec![("address", address.show())];
        keys.extend(tls.as_ref().map(|tls| ("tls", tls.show())));
        keys.extend(mode.map(|mode| ("mode", mode.show())));
        Node::map(keys)
    }
}

impl From<Address> for Listen {
    fn from(address: Address) -> Self {
        Self { address, tls: None, mode: None }
    }
}

impl Listen {
    fn fields(fields: &mut Fields<'_, '_, '_>) -> Option<Self> {
        let address = fields.required::<Address>(
            "address",
            "Where: `IP:PORT`, `localhost:PORT`, `*:PORT`, `unix:PATH`, `systemd` or `systemd:NAME`.",
        );
        let tls = fields.optional::<Tls>("tls", "The server's side of TLS.");
        let mode =
            fields.optional::<Mode>("mode", "Who may connect to a Unix socket, in octal; everybody if it is left out.");
        if mode.is_some() && !matches!(address, None | Some(Address::Unix(_))) {
            fields.error("mode", "`mode` is for Unix sockets: this address has no permissions");
        }
        Some(Self { address: address?, tls, mode })
    }
}

impl Value for Tls {
    fn shape() -> Shape {
        Shape::Section(Fields::describe(Self::fields))
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        Fields::read(context, format_args!("`tls` of a listener"), node, Self::fields).0
    }

    fn show(&self) -> Node {
        let certificate = ("certificate", FilePath(self.certificate.clone()).show());
        Node::map([certificate].into_iter().chain(self.key.as_ref().map(|key| ("key", key.show()))))
    }
}

impl Tls {
    fn fields(fields: &mut Fields<'_, '_, '_>) -> Option<Self> {
        let certificate = fields
            .required::<FilePath>("certificate", "A PEM file: the certificate, then those that lead to an authority.");
        let key = fields
            .optional::<Key>("key", "The PEM file of its key, or a secret; the certificate's file if it is left out.");
        let certificate = certificate?.0;
        if key.is_none() {
            let at = fields.span("certificate");
            fields.context().secret_files.push((certificate.clone(), at));
        }
        Some(Self { certificate, key: key.map(|key| key.0) })
    }
}

/// A key: nobody writes it into a configuration, so plain text is a path.
struct Key(Secret);

impl Value for Key {
    fn shape() -> Shape {
        Shape::Either(vec![FilePath::shape(), Secret::shape()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            Body::Scalar(_) => {
                let path = FilePath::decode(node, context)?.0;
                context.secret_files.push((path.clone(), node.span));
                Some(Self(Secret::File(path)))
            }
            _ => Secret::decode(node, context).map(Self),
        }
    }

    fn show(&self) -> Node {
        self.0.show()
    }
}

impl Value for Mode {
    fn shape() -> Shape {
        Shape::Text { noun: "permissions in octal", pattern: Some("^0?[0-7]{3}$") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        const NOUN: &str = "permissions in octal such as `\"0660\"`";
        let text = context.text(NOUN, node)?;
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if is_octal && mode <= 0o777 => Some(Self(mode)),
            _ => context.expected(NOUN, node),
        }
    }

    fn show(&self) -> Node {
        Node::text(format!("{:04o}", self.0))
    }
}

/// Some places to listen at: one, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listens(pub Vec<Listen>);

impl Value for Listens {
    fn shape() -> Shape {
        Shape::Either(vec![Listen::shape(), Vec::<Listen>::shape()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            Body::List(_) => Vec::decode(node, context).map(Self),
            _ => Listen::decode(node, context).map(|listen| Self(vec![listen])),
        }
    }

    fn show(&self) -> Node {
        match self.0.as_slice() {
            [only] => only.show(),
            all => Node::list(all.iter().map(Value::show)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Problems, yaml};

    /// What becomes of a value in the file `/etc/heartbeat/heartbeat.yaml`.
    fn decode<T: Value>(written: &str) -> Result<T, String> {
        decode_with_secrets(written).map(|(value, _)| value)
    }

    /// The same, with the files in which there are secrets.
    fn decode_with_secrets<T: Value>(written: &str) -> Result<(T, Vec<PathBuf>), String> {
        let mut problems = Problems::default();
        let source = problems.add_source("/etc/heartbeat/heartbeat.yaml", written);
        let node = yaml::read(source, written, &mut problems).expect("YAML");
        let none = |_: &str| None;
        let mut context = Context::new(problems, &none);
        let value = T::decode(&node, &mut context);
        match context.problems.has_errors() {
            true => Err(context.problems.render()),
            false => {
                let secrets = context.secret_files.into_iter().map(|(path, _)| path).collect();
                Ok((value.expect("a value or a problem"), secrets))
            }
        }
    }

    #[test]
    fn addresses_are_written_in_many_ways() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        for (written, address) in [
            ("127.0.0.1:8811", tcp("127.0.0.1:8811")),
            ("0.0.0.0:80", tcp("0.0.0.0:80")),
            ("'[::1]:8811'", tcp("[::1]:8811")),
            ("'[::]:8811'", Address::Any(8811)),
            (":8811", Address::Any(8811)),
            ("'*:8811'", Address::Any(8811)),
            ("localhost:0", Address::Localhost(0)),
            ("unix:/run/heartbeat.sock", Address::Unix("/run/heartbeat.sock".into())),
            ("unix:heartbeat.sock", Address::Unix("/etc/heartbeat/heartbeat.sock".into())),
            ("systemd", Address::Systemd(None)),
            ("'systemd:'", Address::Systemd(None)),
            ("systemd:web", Address::Systemd(Some("web".into()))),
        ] {
            assert_eq!(decode::<Address>(written), Ok(address.clone()), "{written}");
            let again = format!("'{}'", address.show().as_text().unwrap());
            assert_eq!(decode::<Address>(&again), Ok(address), "{written}");
        }
    }

    #[test]
    fn what_is_no_address_is_explained() {
        for (written, help) in [
            ("8811", "`127.0.0.1:8811` for this machine alone, `*:8811` for everybody"),
            ("127.0.0.1", "add a port: `127.0.0.1:8811`"),
            ("'::1'", "add a port: `[::1]:8811`"),
            ("2001:db8::7:8811x", "a port is a whole number"),
            ("http://127.0.0.1:8811/", "write `127.0.0.1:8811`"),
            ("https://web1.example.org/", "an address is no URL"),
            ("web1:8811", "names are not looked up here"),
            ("systemd:80", "names are not looked up here"),
            ("127.0.0.1:99999", "a port is a whole number from 0 to 65535"),
            ("localhost:+80", "names are not looked up here"),
            ("/run/heartbeat.sock", "did you mean `unix:/run/heartbeat.sock`?"),
            ("'unix:'", "expected an address"),
            ("", "expected an address"),
        ] {
            let said = decode::<Address>(written).unwrap_err();
            assert!(said.contains(help), "{written}: {said}");
        }
        let long = format!("unix:/run/{}", "x".repeat(103));
        assert!(decode::<Address>(&long).unwrap_err().contains("at most 107 bytes, this one has 108"));
    }

    #[test]
    fn one_or_several_plain_or_with_more() {
        let one = decode::<Listens>("127.0.0.1:8811").unwrap();
        assert_eq!(one.0.len(), 1);
        let written = "[ 127.0.0.1:8811, { address: 'unix:/run/a.sock', mode: '0660' }, \
                       { address: '*:8443', tls: { certificate: a.pem, key: { env: KEY } } }, \
                       { address: '*:8444', tls: { certificate: a.pem, key: k.pem } } ]";
        let several = decode::<Listens>(written).unwrap();
        assert_eq!(several.0[1].mode, Some(Mode(0o660)));
        let keys: Vec<_> = several.0[2..].iter().map(|listen| listen.tls.clone().unwrap()).collect();
        assert_eq!(keys[0].certificate, Path::new("/etc/heartbeat/a.pem"));
        assert_eq!(keys[0].key, Some(Secret::Env("KEY".into())));
        assert_eq!(keys[1].key, Some(Secret::File("/etc/heartbeat/k.pem".into())));
        for listens in [one, several] {
            let shown = crate::config::write::write(&Node::map([("listen", listens.show())]));
            let again = shown.strip_prefix("listen:").unwrap();
            assert_eq!(decode::<Listens>(again), Ok(listens), "{shown}");
        }
    }

    #[test]
    fn a_file_with_a_key_is_one_with_a_secret() {
        for (tls, file) in [
            ("{ certificate: both.pem }", "both.pem"),
            ("{ certificate: chain.pem, key: key.pem }", "key.pem"),
            ("{ certificate: chain.pem, key: { file: key.pem } }", "key.pem"),
        ] {
            let (_, secrets) = decode_with_secrets::<Listen>(&format!("{{ address: ':1', tls: {tls} }}")).unwrap();
            assert_eq!(secrets, [Path::new("/etc/heartbeat").join(file)], "{tls}");
        }
    }

    #[test]
    fn mistakes_in_a_listener_are_named() {
        for (written, expected) in [
            ("{ adress: 127.0.0.1:80 }", "did you mean `address`?"),
            ("{ tls: { certificate: a } }", "a listener lacks `address`"),
            ("{ address: '*:80', tls: { key: a } }", "lacks `certificate`"),
            ("{ address: '*:80', mode: '0660' }", "`mode` is for Unix sockets"),
            ("{ address: 'unix:a', mode: rw }", "expected permissions in octal"),
            ("{ address: 'unix:a', mode: '1777' }", "expected permissions in octal"),
            ("{ address: 'unix:a', mode: '0888' }", "expected permissions in octal"),
            ("[ [ ] ]", "expected an address"),
        ] {
            let said = decode::<Listens>(written).unwrap_err();
            assert!(said.contains(expected), "{written}: {said}");
        }
    }
}
