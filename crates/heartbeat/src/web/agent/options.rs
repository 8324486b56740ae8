//! What the configuration says about agents.

use std::sync::Arc;

use crate::config::node::Body;
use crate::config::values::words;
use crate::config::{Context, Fields, Node, Shape, Value};
use crate::web::listen::Listen;

/// An agent, and where it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where.
    pub listen: Listen,
    /// The view that it speaks of.
    pub view: Arc<str>,
    /// The weight that a server is given while it is up.
    pub weight: Weight,
}

/// The weight that a server is given while it is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// What HAProxy's configuration says.
    #[default]
    None,
    /// Less of it the busier this machine is.
    Load,
}

words!(Weight { "none" => None, "load" => Load });

/// Some agents: one, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agents(pub Vec<Options>);

/// The view that an agent speaks of unless it is told.
const VIEW: &str = "ready";

impl Value for Options {
    fn shape() -> Shape {
        Shape::Either(vec![Listen::shape(), Shape::Section(Fields::describe(Self::fields))])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            Body::Map(_) => Fields::read(context, format_args!("an agent"), node, Self::fields).0,
            _ => Listen::decode(node, context).map(Self::from),
        }
    }

    fn show(&self) -> Node {
        let view = Node::text(&*self.view);
        Node::map([("listen", self.listen.show()), ("view", view), ("weight", self.weight.show())])
    }
}

impl From<Listen> for Options {
    fn from(listen: Listen) -> Self {
        Self { listen, view: VIEW.into(), weight: Weight::default() }
    }
}

impl Options {
    fn fields(fields: &mut Fields<'_, '_, '_>) -> Option<Self> {
        let listen: Option<Listen> = fields.required("listen", "Where: an address, as for HTTP.");
        let view = fields.or("view", "The view that it speaks of.", VIEW.to_owned());
        let doc = "`load`: a server that is up is given less weight the busier this machine is, by its load average of one \
                   minute; `none`: always 100%.";
        let weight = fields.or("weight", doc, Weight::default());
        if listen.as_ref().is_some_and(|listen| listen.tls.is_some()) {
            fields
                .error("listen", "HAProxy asks agents without TLS: take `tls` away, and listen where only it can ask");
        }
        Some(Self { listen: listen?, view: view.into(), weight })
    }
}

impl Value for Agents {
    fn shape() -> Shape {
        Shape::Either(vec![Options::shape(), Vec::<Options>::shape()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            Body::List(_) => Vec::decode(node, context).map(Self),
            _ => Options::decode(node, context).map(|agent| Self(vec![agent])),
        }
    }

    fn show(&self) -> Node {
        match self.0.as_slice() {
            [only] => only.show(),
            all => Node::list(all.iter().map(Value::show)),
        }
    }
}
