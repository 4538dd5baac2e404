//! What the options of `analyze` ask for, once they are known to go together.

use anyhow::{Result, bail};
use bittrace_trace::record::Severity;

use crate::args::{AnalyzeArguments, AnalyzeFormat, Common, ConnectionOrder, FailOn, Format, ViewName};
use crate::input::STANDARD_INPUT;
use crate::query::names::FieldName;

/// How many messages stand after the summary when nobody says how many.
const FIRST_MESSAGES: u64 = 50;

/// The views that --format parquet has tables of.
const TABLE_VIEWS: [ViewName; 5] =
    [ViewName::Messages, ViewName::Conversations, ViewName::Pieces, ViewName::Findings, ViewName::Captures];

/// What to print, and how.
pub(super) struct Settings {
    pub(super) common: Common,
    pub(super) format: Format,
    /// Whether tables of columns take the place of rows.
    pub(super) has_columns: bool,
    pub(super) views: Vec<ViewName>,
    /// The columns that are chosen, each as it was written; none when all are shown.
    pub(super) columns: Vec<(FieldName, String)>,
    /// The stream that is told as a conversation.
    pub(super) follow: Option<u32>,
    pub(super) hex: bool,
    pub(super) unfolded: bool,
    pub(super) order: Option<ConnectionOrder>,
    /// How many connections views show at most, where that was asked for.
    pub(super) most_rows: Option<usize>,
    pub(super) show: Show,
    pub(super) fail_on: Option<Severity>,
    pub(super) no_summary: bool,
    /// What standard input is called.
    pub(super) standard_input: String,
}

/// What to show of each capture, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    pub(super) summary: bool,
    pub(super) messages: bool,
    /// Messages wait for the summary, which stands first. Of messages without a limit none is kept: the summary
    /// then stands after them.
    pub(super) held: bool,
    pub(super) limit: u64,
}

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// When a name is unknown, or options cannot go together.
    pub(super) fn new(arguments: &AnalyzeArguments, common: Common) -> Result<Self> {
        let columns = arguments
            .fields
            .iter()
            .map(|text| match FieldName::parse(text.trim()) {
                Ok(name) => Ok((name, text.trim().to_owned())),
                Err(unknown) => bail!("--fields: {unknown}"),
            })
            .collect::<Result<Vec<_>>>()?;
        let format = row_format(arguments);
        let has_columns = matches!(arguments.format, AnalyzeFormat::Arrow | AnalyzeFormat::Parquet);
        let views = chosen_views(arguments);
        if !views.is_empty() && !views.contains(&ViewName::Messages) {
            let option = if arguments.hex { "--hex" } else { "--fields" };
            if arguments.hex || !columns.is_empty() {
                bail!("{option} needs the messages: add messages to --view");
            }
        }
        if arguments.separator.is_some() && format != Format::Csv {
            bail!("--separator is for --format csv");
        }
        if let Some(refusal) = picture_refusal(&views, format) {
            bail!(refusal);
        }
        if let (Some(_), Some(refusal)) = (arguments.jobs, jobs_refusal(arguments, &views)) {
            bail!(refusal);
        }
        if format == Format::Csv && views.contains(&ViewName::Summary) {
            bail!("--format csv takes one view, not the summary; --format table and json have the summary");
        }
        if format == Format::Csv && views.iter().any(|view| *view != views[0]) {
            bail!("--format csv takes one view: each view has its own columns");
        }
        Ok(Self {
            common,
            format,
            has_columns,
            show: Show::new(arguments, &views),
            views,
            columns,
            follow: arguments.follow,
            hex: arguments.hex,
            unfolded: arguments.no_fold,
            order: arguments.sort,
            most_rows: arguments.limit.map(|limit| if limit == 0 { usize::MAX } else { limit as usize }),
            fail_on: arguments.fail_on.map(severity),
            no_summary: arguments.no_summary || arguments.format.rows().is_none() && !has_columns,
            standard_input: arguments.name.clone().unwrap_or_else(|| STANDARD_INPUT.to_owned()),
        })
    }
}

/// The format of rows. Options are understood as for JSON where no rows are written.
fn row_format(arguments: &AnalyzeArguments) -> Format {
    arguments.format.rows().unwrap_or(Format::Json)
}

impl Settings {
    /// Whether each capture has a row of its own.
    pub(super) fn has_rows(&self) -> bool {
        self.views.contains(&ViewName::Captures) || self.has_summary_object()
    }

    /// Whether the rows of captures are all that a table shows.
    pub(super) fn is_captures_alone(&self) -> bool {
        self.format == Format::Table && is_captures_alone(&self.views)
    }

    /// Whether the results end with an object that sums them up.
    pub(super) fn has_summary_object(&self) -> bool {
        self.format == Format::Json && !self.no_summary && !self.has_columns
    }
}

impl Show {
    fn new(arguments: &AnalyzeArguments, views: &[ViewName]) -> Self {
        let format = row_format(arguments);
        // A page takes the place of what is printed where nothing was asked for.
        let is_page_alone = arguments.html.is_some() && format == Format::Table;
        let usual = views.is_empty() && arguments.follow.is_none() && !is_page_alone;
        let limit = match arguments.limit {
            Some(0) => u64::MAX,
            Some(limit) => limit,
            None if usual && format == Format::Table => FIRST_MESSAGES,
            None => u64::MAX,
        };
        let summary = !arguments.no_summary && (usual || views.contains(&ViewName::Summary));
        Self {
            summary,
            messages: usual
                || views.contains(&ViewName::Messages)
                || views.contains(&ViewName::Ladder)
                || arguments.follow.is_some(),
            held: format == Format::Table && summary && limit < u64::MAX,
            limit,
        }
    }
}

/// The views to show. Where no view is named, options that choose messages, or say how messages look, ask for messages, and
/// `--sort` asks for conversations.
fn chosen_views(arguments: &AnalyzeArguments) -> Vec<ViewName> {
    if arguments.format == AnalyzeFormat::Parquet {
        return TABLE_VIEWS.to_vec();
    }
    if !arguments.view.is_empty() || arguments.follow.is_some() {
        return arguments.view.clone();
    }
    if arguments.format == AnalyzeFormat::Arrow {
        return vec![ViewName::Messages];
    }
    let says_how_messages_look = arguments.hex || arguments.no_fold || !arguments.fields.is_empty();
    // With a page these options choose what the page is of.
    let has_page = arguments.html.is_some() && row_format(arguments) == Format::Table;
    let chooses_messages = !has_page
        && (arguments.filter.is_some()
            || !arguments.stream.is_empty()
            || arguments.limit.is_some()
            || arguments.from.is_some()
            || arguments.to.is_some());
    if has_page && !says_how_messages_look {
        Vec::new()
    } else if arguments.sort.is_some() && !says_how_messages_look {
        vec![ViewName::Conversations]
    } else if says_how_messages_look || chooses_messages {
        vec![ViewName::Messages]
    } else {
        Vec::new()
    }
}

/// Why views that are pictures cannot be shown as they are asked for, and what to use instead.
fn picture_refusal(views: &[ViewName], format: Format) -> Option<&'static str> {
    let has = |view| views.contains(&view);
    if format != Format::Table && has(ViewName::Ladder) {
        return Some("--view ladder is for people; --view messages has the same messages as JSON and CSV");
    }
    if format != Format::Table && has(ViewName::Map) {
        return Some(
            "--view map is for people; --view pieces has who sent each piece, and when it was verified, as JSON and CSV",
        );
    }
    if format != Format::Table && has(ViewName::Rates) {
        return Some(
            "--view rates is for people; --filter 'message == piece' --fields elapsed,src,dst,fields.length has each block as \
             JSON and CSV",
        );
    }
    if has(ViewName::Ladder) && has(ViewName::Messages) {
        return Some("--view messages and --view ladder show the same messages; name one of them");
    }
    None
}

/// Why captures cannot be read by several processes, and what to use instead. Tables are aligned to the numbers of
/// messages, which depend on earlier captures; a trace, or a log, is one of all captures.
fn jobs_refusal(arguments: &AnalyzeArguments, views: &[ViewName]) -> Option<&'static str> {
    match arguments.format {
        AnalyzeFormat::Json | AnalyzeFormat::Csv | AnalyzeFormat::Parquet => None,
        AnalyzeFormat::Table if is_captures_alone(views) => None,
        AnalyzeFormat::Table => Some("--jobs needs --format json, csv or parquet, or --view captures"),
        AnalyzeFormat::Perfetto | AnalyzeFormat::Zeek => {
            Some("--format perfetto and zeek read one capture after another: leave out --jobs")
        }
        AnalyzeFormat::Arrow => {
            Some("--format arrow is one stream, which --jobs cannot write: use --format parquet -o DIR")
        }
    }
}

fn is_captures_alone(views: &[ViewName]) -> bool {
    !views.is_empty() && views.iter().all(|view| *view == ViewName::Captures)
}

const fn severity(fail_on: FailOn) -> Severity {
    match fail_on {
        FailOn::Note => Severity::Note,
        FailOn::Warn => Severity::Warn,
        FailOn::Error => Severity::Error,
    }
}
