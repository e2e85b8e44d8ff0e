//! `pushgw ping`: says whether URL, region, credentials and permission are right.

mod advice;

use super::environment::{self, Overrides};
use super::exit::CommandError;
use super::view;
use advice::{Asked, advise};
use amp_push_gateway::aws::HttpTransport;
use amp_push_gateway::gateway::signed_transport;
use amp_push_gateway::remote_write::{Disposition, RemoteWriteClient};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tracing_subscriber::filter::LevelFilter;

/// Send an empty signed write to the workspace, and say whether URL, region, credentials and permission are right.
///
/// If they are not, it says what to do. Nothing is stored. Settings come from the environment as for the Lambda
/// function: REMOTE_WRITE_URL (or AWS_PROMETHEUS_ENDPOINT), REMOTE_WRITE_AUTH (sigv4, the default, or none),
/// SIGV4_REGION, and the usual AWS variables. REMOTE_WRITE_VERSION is 1.0, the default, or 2.0.
///
/// Exit code 1 if the write is not accepted, 2 if settings are wrong.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Write to this receiver instead of REMOTE_WRITE_URL.
    #[arg(long, value_name = "URL")]
    remote_write_url: Option<String>,
    /// How long to wait for the answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let settings = Overrides::default().receiver(arguments.remote_write_url.as_deref()).settings()?;
    environment::log_to_stderr(&settings.log_filter, LevelFilter::ERROR, arguments.json);
    let http = HttpTransport::new().map_err(CommandError::failed)?;
    let transport = signed_transport(&settings, &http);
    let client = RemoteWriteClient::new(&settings.remote_write.url, transport)
        .map_err(|error| CommandError::usage(format!("{}: {error}", settings.remote_write.url)))?
        .with_version(settings.remote_write.version);
    let started = Instant::now();
    let answer = client.ping(Duration::from_secs(arguments.timeout)).await;
    let took = started.elapsed();
    let accepted = Disposition::of(&answer) == Disposition::Stored;
    let asked = Asked { url: &settings.remote_write.url, region: settings.remote_write.signing_region.as_deref() };
    let said = if accepted {
        let signed = asked.region.map_or("unsigned".to_owned(), |region| format!("signed for {region}"));
        format!("{} accepted an empty write, {signed}, in {}", asked.url, view::duration(took))
    } else {
        advise(&asked, &answer)
    };
    if arguments.json {
        let json = json!({
            "ok": accepted,
            "url": asked.url.as_str(),
            "region": asked.region,
            "status": answer.as_ref().ok().map(|answer| answer.status),
            "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "message": said,
        });
        view::line(&json.to_string());
    } else {
        let (style, heading) = if accepted { (view::GOOD, "ok:") } else { (view::BAD, "failed:") };
        view::line(&format!("{} {said}", view::Styled(style, heading)));
    }
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
