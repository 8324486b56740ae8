//! What is rewritten, what is refused, and what the shell makes of it.
#![allow(clippy::disallowed_methods)] // a real shell is the judge

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::{Rewritten, rewrite};

fn rewritten(command: &str) -> Rewritten {
    rewrite(command).unwrap_or_else(|reason| panic!("`{command}` was refused: {reason}"))
}

#[test]
fn the_message_is_one_word_wherever_it_stands() {
    for (command, expected) in [
        (r#"echo "$message""#, r#"echo "$message""#),
        ("echo $message", r#"echo "$message""#),
        ("echo ${message}", r#"echo "${message}""#),
        ("echo '$message'", r#"echo ''"$message"''"#),
        ("echo 'a $message b'", r#"echo 'a '"$message"' b'"#),
        ("echo 'a ${message} b'", r#"echo 'a '"${message}"' b'"#),
        ("echo a$message.b", r#"echo a"$message".b"#),
        ("x=$message; echo \"$x\"", r#"x="$message"; echo "$x""#),
        ("echo \"$(cat $message)\"", r#"echo "$(cat "$message")""#),
        ("echo `cat $message`", r#"echo `cat "$message"`"#),
        ("cat <<END\n$message \"x\"\nEND\necho $message", "cat <<END\n$message \"x\"\nEND\necho \"$message\""),
        ("echo $messages '$messages' $message_", "echo $messages '$messages' $message_"),
        ("echo a # $message", "echo a # $message"),
        ("logger \\\n  -t heartbeat $message", "logger \\\n  -t heartbeat \"$message\""),
        ("echo ${message:-none} >&2", r#"echo "${message:-none}" >&2"#),
        ("echo ${message:0:160}", r#"echo "${message:0:160}""#),
        ("case $message in *down*) echo $message;; esac", r#"case "$message" in *down*) echo "$message";; esac"#),
        ("if true; then echo $message; fi 2>/dev/null", r#"if true; then echo "$message"; fi 2>/dev/null"#),
        ("echo \"it's '$message'\"", "echo \"it's '$message'\""),
        ("echo $$ $? $HOME $message", r#"echo $$ $? $HOME "$message""#),
        ("(echo $message) | mail me", r#"(echo "$message") | mail me"#),
    ] {
        assert_eq!(rewritten(command), Rewritten { command: expected.to_owned(), warnings: Vec::new() });
    }
}

#[test]
fn a_command_without_the_message_is_left_alone() {
    for command in ["beep", "echo '", "echo $((", "a `", "echo message", "\u{1F514} \\"] {
        assert_eq!(rewritten(command), Rewritten { command: command.to_owned(), warnings: Vec::new() });
    }
}

#[test]
fn what_cannot_be_judged_is_refused() {
    for (command, reason) in [
        ("$message", "the message would be run as a command"),
        ("\"$message\"", "the message would be run as a command"),
        ("'$message'", "the message would be run as a command"),
        ("/usr/bin/notify-$message", "the message would be run as a command"),
        ("x=1 $message", "the message would be run as a command"),
        ("true; $message", "the message would be run as a command"),
        ("true && $message", "the message would be run as a command"),
        ("2>&1 $message", "the message would be run as a command"),
        ("2>&- $message", "the message would be run as a command"),
        ("if $message; then true; fi", "the message would be run as a command"),
        ("echo $($message)", "the message would be run as a command"),
        ("$(echo $message)", "the message would be run as a command"),
        ("`echo $message`", "the message would be run as a command"),
        ("echo x > $message", "the message would be the name of a file"),
        ("cat < \"$message\"", "the message would be the name of a file"),
        ("echo $(($message))", "the shell would calculate with the message"),
        ("echo $((message)) $message", "the shell would calculate with the message"),
        ("((x = $message))", "shells do not agree on `((`"),
        ("echo $'$message'", "shells do not agree on `$'` and `$\"`"),
        ("echo $$message", "`$$` is the number of the shell's process"),
        ("echo ${!message}", "a `${…}` in it is too intricate"),
        ("echo ${message@P}", "a `${…}` in it is too intricate"),
        ("echo ${x:message} $message", "a `${…}` in it is too intricate"),
        ("echo ${x:-$message}", "a `${…}` in it is too intricate"),
        ("echo '$message", "a single quote is not closed"),
        ("echo \"$message", "a double quote is not closed"),
        ("echo `$message", "a backquote is not closed"),
        ("echo $(echo $message", "a parenthesis is not closed"),
        ("echo ${message", "a brace is not closed"),
        ("echo $message\\", "a backslash ends it"),
        ("cat <<'END'\n$message\nEND\n", "nothing is put into a here-document whose delimiter is quoted"),
        ("cat <<END\n$message\n", "a here-document is not closed"),
        ("cat <<END $message", "a here-document has no body"),
        ("cat <<$x\n$message\n", "the delimiter of a here-document is not a plain word"),
        ("echo \"`echo $message`\"", "it stands between backquotes between double quotes: write `$(…)` in their place"),
        ("echo `echo \\$message`", "there is a backslash between backquotes"),
        ("echo $(case x in x) echo $message;; esac)", "there is a `case` in a substitution"),
    ] {
        assert_eq!(rewrite(command), Err(reason), "{command}");
    }
    assert_eq!(rewrite(&format!("{}$message", "echo $(".repeat(100))), Err("it is nested too deeply"));
}

#[test]
fn a_second_reading_is_warned_of() {
    for (command, word) in [
        ("ssh host \"echo $message\"", "ssh"),
        ("sh -c \"echo $message\"", "sh"),
        ("/bin/bash -c 'echo $message'", "bash"),
        ("eval echo $message", "eval"),
        ("su -c \"echo $message\" me", "su"),
        ("echo $message | \"sh\"", "sh"),
        ("true; sudo logger $message", "sudo"),
        ("echo $(perl -e '$message')", "perl"),
    ] {
        let warnings = rewritten(command).warnings;
        assert_eq!(warnings.len(), 1, "{command}");
        assert_eq!(warnings[0].message, format!("`{word}` may read the message a second time, as a program"));
    }
    assert_eq!(rewritten("echo ssh sh eval $message").warnings, []);
    assert!(rewritten("echo \\$message").warnings[0].message.contains("the message is not put in there"));
    assert!(rewritten("echo \"\\${message}\"").warnings[0].message.contains("the message is not put in there"));
}

/// Runs a command with a message, in a folder of its own, and returns what `show` was given, an argument a line, each
/// begun by `>` and ended by `<`.
fn run(command: &str, message: &str, folder: &Path) -> String {
    let show = folder.join("show");
    let script = "#!/bin/sh\nfor argument in \"$@\"; do printf '>%s<\\n' \"$argument\"; done\n";
    fs::write(&show, script).expect("the folder can be written");
    fs::set_permissions(&show, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("the file is ours");
    let output = Command::new("/bin/sh")
        .args(["-c", command])
        .env("message", message)
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell");
    assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is text")
}

/// A stretch of a command that gives `show` one argument or more, and those arguments with `\0` for the message.
fn stretch() -> impl Strategy<Value = (String, Vec<String>)> {
    let name = prop_oneof![Just("$message"), Just("${message}")];
    let around = || "[a-z0-9.,:=]{0,3}";
    (0_u8..7, name, around(), around()).prop_map(|(form, name, before, after)| {
        // `$message` without braces must not run on into what follows.
        let after = if after.starts_with(|c: char| c.is_ascii_alphanumeric()) { format!(".{after}") } else { after };
        let text = format!("{before}\0{after}");
        let spaced = format!("{before} \0 {after}");
        match form {
            0 => (format!("{before}{name}{after}"), vec![text]),
            1 => (format!("\"{before} {name} {after}\""), vec![spaced]),
            2 => (format!("'{before} {name} {after}'"), vec![spaced]),
            3 => (format!("{before}'{name}'\"{name}\"{name}{after}"), vec![format!("{before}\0\0\0{after}")]),
            4 => (format!("a\\ {before}{name}{after} '#' x\\\n"), vec![format!("a {text}"), "#".into(), "x".into()]),
            5 => (format!("\"'{name}'\" '\"{name}\"'"), vec!["'\0'".into(), "\"\0\"".into()]),
            _ => (format!("\"{before}${{nothing:-}}\\\"{name}\\\"\""), vec![format!("{before}\"\0\"")]),
        }
    })
}

/// A whole command, and the arguments that `show` must get.
fn command() -> impl Strategy<Value = (String, Vec<String>)> {
    (prop::collection::vec(stretch(), 1..4), 0_u8..8).prop_map(|(stretches, form)| {
        let mut line = "show".to_owned();
        let mut arguments = Vec::new();
        for (text, more) in stretches {
            let _ = write!(line, " {text}");
            arguments.extend(more);
        }
        let line = match form {
            0 => line,
            1 => format!("if true; then {line}; fi # $message '"),
            2 => format!("x=$message; ( {line} ) 2>&1"),
            3 => format!("out=$({line}); printf '%s\\n' \"$out\""),
            4 => format!("printf '%s\\n' \"$({line})\""),
            5 => format!("case $message in '') ;; *) {line};; esac"),
            6 => format!("{{ {line}; }} | cat"),
            _ => format!("cat >/dev/null <<END && {line}\n\"$message'\nEND\n"),
        };
        (line, arguments)
    })
}

/// Messages that would do something if anybody read them as more than data.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("$(touch p)"),
        Just("`touch p`"),
        Just("; touch p;"),
        Just("\ntouch p\n"),
        Just("'; touch p; '"),
        Just("\"; touch p; \""),
        Just("-rf"),
        Just("--"),
        Just("*"),
        Just(" ~ "),
        Just("\\"),
        Just("$HOME ${x} $message"),
        Just("END\ntouch p\n"),
        Just(">p"),
        Just("a[$(touch p)]"),
        Just("|touch p"),
        Just("&"),
        Just("%s%n"),
        Just("{a,b}"),
        Just("ü\u{1F514}"),
        Just("# "),
    ];
    // Command substitution takes newlines off the end of what a command prints, but here every line ends in `<`.
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_message_arrives_unchanged_and_runs_nothing((command, arguments) in command(), message in hostile()) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let rewritten = rewrite(&command).map_err(|reason| TestCaseError::fail(format!("`{command}`: {reason}")))?;
        let shown = run(&rewritten.command, &message, folder.path());
        let expected: String =
            arguments.iter().map(|argument| format!(">{}<\n", argument.replace('\0', &message))).collect();
        prop_assert_eq!(shown, expected, "{}\n{}", command, rewritten.command);
        let files = fs::read_dir(folder.path()).expect("the folder is there").count();
        prop_assert_eq!(files, 1, "only `show` may be there: {}", rewritten.command);
    }

    /// Whatever is accepted, however odd: the message runs nothing.
    #[test]
    fn no_accepted_command_runs_the_message(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "show", " ", "$message", "${message}", "'", "\"", "`", "$(", ")", "(", "\\", ";", "\n", "#", "|", "&",
                "<<E\n", "E\n", "x=", "{ ", "; }", "if ", "then ", "fi", "${x:-", "}", "$", "2>", "<", "case ", " in ",
                ";;", "$((", "))", "-", "!",
            ]),
            1..12,
        ),
    ) {
        let command: String = pieces.concat();
        let Ok(rewritten) = rewrite(&command) else { return Ok(()) };
        let folder = tempfile::tempdir().expect("there is room for a folder");
        // A syntax error is no fault here, so the exit status is not looked at; a flood of commands is not started.
        let tool = folder.path().join("show");
        fs::write(&tool, "#!/bin/sh\nexit 0\n").expect("the folder can be written");
        fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("the file is ours");
        for message in ["touch p", "$(touch p)", "`touch p`;touch p\ntouch p", "touch"] {
            let _ = Command::new("/bin/sh")
                .args(["-c", &rewritten.command])
                .env("message", message)
                .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output()
                .expect("there is a shell");
            prop_assert!(!folder.path().join("p").exists(), "{:?} became {:?}", command, rewritten.command);
        }
    }

    #[test]
    fn no_text_makes_the_scanner_panic(text in ".{0,40}", tail in "[$'\"`({\\\\)}<#; messageE\n]{0,40}") {
        let _ = rewrite(&format!("{text}$message{tail}"));
        let _ = rewrite(&format!("{tail}$message{text}"));
    }
}
