//! Logging.

use super::{Level, Log, LogFormat};
use crate::config::Fields;
use crate::config::values::{FilePath, Size, words};

words!(Level { "error" => Error, "warn" => Warn, "info" => Info, "debug" => Debug, "trace" => Trace });
words!(LogFormat { "text" => Text, "json" => Json });

/// The keys of `log`.
pub(super) fn fields(fields: &mut Fields<'_, '_, '_>) -> Option<Log> {
    let defaults = Log::default();
    let level = fields.or("level", "The least severe level that is written.", defaults.level);
    let file = fields.optional::<FilePath>("file", "The file; standard error if it is left out.");
    let format =
        fields.optional("format", "The form of a line; if it is left out, `text` on a terminal and `json` elsewhere.");
    let rotate = fields.or("rotate", "The file is rotated when it grows beyond this.", Size(defaults.rotate));
    let keep = fields.or("keep", "So many rotated files are kept.", defaults.keep);
    if rotate.0 == 0 {
        fields.error("rotate", "`rotate` must be at least `1B`");
    }
    Some(Log { level, file: file.map(|file| file.0), format, rotate: rotate.0, keep })
}
