//! A kind of check is one file and one line of the table: this is such a file, and [`KINDS`] is the line. Without another edit
//! it is in the schema, in the reference, in `config show` and in `check --json`.

use std::time::Duration;

use heartbeat::alert;
use heartbeat::cli::check::json_line;
use heartbeat::config::Fields;
use heartbeat::plan::{Kinds, Loader, documentation};
use heartbeat::probe::{self, Boxed, Failure, Kind, Observation, PickedBy, Prober, Spec, Trace, World};
use heartbeat_core::outcome::Fault;

static KINDS: &[Kind] = &[Kind {
    name: "dice",
    doc: "Rolls a die that is loaded.",
    picked_by: PickedBy::Key("dice"),
    example: "dice: 6",
    decode,
}];

#[derive(Clone, Debug)]
struct Dice {
    shows: u16,
    least: u16,
}

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let shows = fields.required("dice", "What the die shows.");
    let least = fields.or("at_least", "What it must show at least.", 4_u16);
    Some(Box::new(Dice { shows: shows?, least }))
}

impl Spec for Dice {
    fn target(&self) -> String {
        format!("a die that shows {}", self.shows)
    }

    fn address(&self) -> Option<String> {
        None
    }

    fn values(&self) -> Vec<(String, String)> {
        vec![("at_least".to_owned(), self.least.to_string())]
    }

    fn build(&self, _: &World) -> Result<Box<dyn Prober>, String> {
        Ok(Box::new(self.clone()))
    }
}

impl Prober for Dice {
    fn probe<'a>(&'a self, _: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        Box::pin(async {
            match self.shows >= self.least {
                true => Ok(Observation::default()),
                false => {
                    Err(Failure::new(Fault::Body, format!("expected at least {}, found {}", self.least, self.shows)))
                }
            }
        })
    }
}

const FILE: &str = "checks:\n  lucky: { dice: 6 }\n  unlucky: { dice: 5, at_least: 6 }\nalerts: []\n";

#[tokio::test]
async fn a_toy_appears_everywhere_without_another_edit() {
    let kinds = Kinds { checks: KINDS, alerts: alert::KINDS };
    let loader = Loader { kinds, ..Loader::default() };

    let schema = documentation::schema(kinds).to_string();
    assert!(schema.contains("\"at_least\"") && schema.contains("What it must show at least."), "{schema}");
    let reference = documentation::reference(kinds);
    assert!(reference.contains("## Check: dice") && reference.contains("`at_least`"), "{reference}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("heartbeat.yaml");
    std::fs::write(&file, FILE).expect("the temporary folder can be written");
    let (shown, problems) = loader.show(&file);
    let shown = heartbeat::config::json::value(&shown.unwrap_or_else(|| panic!("{}", problems.render())));
    assert_eq!(shown["checks"]["lucky"]["dice"], 6);
    assert_eq!(shown["checks"]["lucky"]["at_least"], 4, "the default is filled in");

    let (plan, problems) = loader.load(&file);
    let plan = plan.unwrap_or_else(|| panic!("{}", problems.render()));
    let mut lines = Vec::new();
    for check in &plan.checks {
        let prober = check.spec.build(&World::new()).expect("a die needs nothing");
        let report = probe::run(&*prober, Duration::from_secs(5)).await;
        lines.push(json_line(check, &report));
    }
    assert_eq!(lines[0]["kind"], "dice");
    assert_eq!(lines[0]["verdict"], "pass");
    assert_eq!(lines[1]["verdict"], "fail");
    assert_eq!(lines[1]["target"], "a die that shows 5");
    assert_eq!(lines[1]["reason"], "expected at least 6, found 5");

    let (plan, problems) = loader.text("heartbeat.yaml", &FILE.replace("at_least", "at_last"));
    assert!(plan.is_none());
    assert!(problems.render().contains("did you mean `at_least`?"), "{}", problems.render());
}
