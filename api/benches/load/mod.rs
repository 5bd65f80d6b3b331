//! The API as a process of its own, and what it costs.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use lectern_shared::testing::Place;

pub(crate) struct Api {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Api {
    /// Starts it in a place with these arguments.
    ///
    /// `program` is another build of it, to be compared with this one.
    pub(crate) async fn start(place: &Place, program: Option<&Path>, arguments: &[String]) -> Self {
        let log = std::env::temp_dir().join(format!("lectern-bench-{}.log", std::process::id()));
        let ours = Path::new(env!("CARGO_BIN_EXE_lectern-api"));
        let child = Command::new(program.unwrap_or(ours))
            .arg("serve")
            .args(arguments)
            .envs(place.environment())
            .env("LECTERN_LISTEN", "127.0.0.1:0")
            .env("LECTERN_LOG", "info")
            .env("NO_COLOR", "1")
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let address = async {
            loop {
                let said = fs::read_to_string(&log).unwrap();
                if let Some((_, rest)) = said.split_once("address=") {
                    let address = rest.split_whitespace().next().unwrap_or_default();
                    return address.trim_matches('"').parse().unwrap();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let address = tokio::time::timeout(Duration::from_secs(60), address).await;
        let address =
            address.unwrap_or_else(|_| panic!("the API doesn't start: see {}", log.display()));
        Self { child, address }
    }

    /// A line of `/proc/…/status`, in MiB.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        kibibytes.unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Processor time that it has taken.
    pub(crate) fn processor(&self) -> Duration {
        processor(&self.child.id().to_string())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process, `self` being this one.
pub(crate) fn processor(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name stands in brackets and may have anything in it.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // Linux tells user space of a hundred a second, whatever its own are.
    Duration::from_millis(ticks * 10)
}

/// `p50 …, p99 …, most …` of some times in milliseconds.
pub(crate) fn percentiles(mut milliseconds: Vec<f64>) -> String {
    milliseconds.sort_by(f64::total_cmp);
    let last = milliseconds.len() - 1;
    let at = |percent: usize| milliseconds[last * percent / 100];
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
        at(50),
        at(99),
        at(100)
    )
}
