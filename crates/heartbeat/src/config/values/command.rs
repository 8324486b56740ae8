//! Command lines, and where they run.

use std::ffi::OsString;

use crate::config::node::Body;
use crate::config::{Context, FieldDoc, Fields, Node, Problem, Shape, Value};

/// A command as configured. The environment is not expanded in it: its `$` belongs to the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// Program and arguments, at least the program; no shell.
    Words(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

impl CommandLine {
    /// The words to execute: a line for a shell becomes those of that shell. At least the program.
    pub fn argv(&self) -> Vec<OsString> {
        match self {
            Self::Words(words) => words.iter().map(OsString::from).collect(),
            Self::Shell(line) => ["/bin/sh", "-c", line].map(OsString::from).to_vec(),
        }
    }
}

const NOUN: &str = "a command: a list of words, a line without shell syntax, or `{ shell: … }`";

impl Value for CommandLine {
    fn shape() -> Shape {
        let shell = FieldDoc {
            key: "shell",
            doc: "A line for `/bin/sh -c`.",
            shape: String::shape(),
            required: true,
            default: None,
        };
        Shape::Either(vec![
            Shape::Text {
                noun: "a line that is split into words as a shell would, and run without one",
                pattern: None,
            },
            Shape::List(Box::new(Shape::Text { noun: "a word", pattern: None })),
            Shape::Section(vec![shell]),
        ])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            Body::Scalar(scalar) => split(&scalar.text, node, context),
            Body::List(items) => {
                let words: Vec<_> = items.iter().map(|item| context.verbatim_text("a word", item)).collect();
                let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
                checked(words, node, context)
            }
            Body::Map(_) => {
                let (line, _) = Fields::read(context, format_args!("a command"), node, |f| {
                    f.required("shell", "A line for `/bin/sh -c`.")
                });
                let line: super::Verbatim = line?;
                if line.0.trim().is_empty() {
                    return context.error(node.span, "the command is empty");
                }
                Some(Self::Shell(line.0))
            }
            Body::Null => context.expected(NOUN, node),
        }
    }

    fn show(&self) -> Node {
        match self {
            Self::Words(words) => Node::list(words.iter().map(|word| Node::text(word.as_str()))),
            Self::Shell(line) => Node::map([("shell", Node::text(line.as_str()))]),
        }
    }
}

fn split(line: &str, node: &Node, context: &mut Context<'_>) -> Option<CommandLine> {
    let Ok(words) = shell_words::split(line) else {
        return context.error(node.span, format!("a quote is not closed in `{line}`"));
    };
    // What only a shell understands would be passed on as an argument, which nobody means.
    if let Some(word) =
        words.iter().find(|word| matches!(word.as_str(), "|" | "||" | "&&" | ">" | ">>" | "<" | "&" | ";"))
    {
        let problem =
            Problem::warning(node.span, format!("`{word}` means nothing here: this line is run without a shell"))
                .help("for a shell write `{ shell: … }`");
        context.problems.push(problem);
    }
    checked(words, node, context)
}

fn checked(words: Vec<String>, node: &Node, context: &mut Context<'_>) -> Option<CommandLine> {
    if words.first().is_none_or(|program| program.is_empty()) {
        return context.error(node.span, "the command is empty");
    }
    if words.iter().any(|word| word.contains('\0')) {
        return context.error(node.span, "a command cannot hold the character NUL");
    }
    Some(CommandLine::Words(words))
}

/// Where a command runs and what it inherits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surroundings {
    /// In `/`, with a short list of variables.
    #[default]
    Clean,
    /// In the launch folder with the launcher's environment, less `LD_*`.
    Launcher,
}

super::words!(Surroundings { "clean" => Clean, "launcher" => Launcher });
