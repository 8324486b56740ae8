//! A name server on loopback, that lies as told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverOpts};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::probe::resolve::Resolver;

/// What the server says to a question for addresses of one version.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// These.
    Addresses(Vec<IpAddr>),
    /// This code.
    Code(ResponseCode),
    /// What no resolver understands.
    Garbage,
    /// Nothing.
    Silence,
}

/// A running name server.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A name server that answers every question as `say` has it: for a name without its last dot, and IPv6 or not.
pub(crate) async fn server(say: impl Fn(&str, bool) -> Say + Send + Sync + 'static) -> NameServer {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a loopback address"));
    let address = socket.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            let Ok(question) = Message::from_vec(&buffer[..count]) else { continue };
            if let Some(answer) = answer(&question, &say) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    NameServer { address, task }
}

fn answer(question: &Message, say: &impl Fn(&str, bool) -> Say) -> Option<Vec<u8>> {
    let query = question.queries.first()?;
    let name = query.name().to_utf8();
    let mut message = Message::response(question.id, question.op_code);
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    message.queries.push(query.clone());
    match say(name.trim_end_matches('.'), query.query_type() == RecordType::AAAA) {
        Say::Silence => return None,
        Say::Garbage => {
            let mut bytes = question.id.to_be_bytes().to_vec();
            bytes.extend_from_slice(b"\x81\x80 this is no answer");
            return Some(bytes);
        }
        Say::Code(code) => message.metadata.response_code = code,
        Say::Addresses(addresses) => {
            for address in addresses {
                let data = match address {
                    IpAddr::V4(address) => RData::A(A(address)),
                    IpAddr::V6(address) => RData::AAAA(AAAA(address)),
                };
                message.answers.push(Record::from_rdata(query.name().clone(), 60, data));
            }
        }
    }
    Some(message.to_vec().expect("encodes"))
}

/// A name server by which every name is 127.0.0.1.
pub(crate) async fn all_here() -> NameServer {
    server(|_, six| Say::Addresses(if six { vec![] } else { vec![Ipv4Addr::LOCALHOST.into()] })).await
}

/// A resolver that asks the server at this address.
pub(crate) fn resolver(server: SocketAddr) -> Resolver {
    let mut config = NameServerConfig::udp(server.ip());
    config.connections[0].port = server.port();
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_secs(5);
    Resolver::of(vec![config], options)
}
