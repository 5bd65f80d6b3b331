//! PostgreSQL away, slow to be asked, or started anew; and how often it is asked at all.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures::future::join_all;
use lectern_shared::testing::Place;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use url::Url;

use super::{Api, problem};

const LIST: &str = "/api/v1/collections";

/// The way to PostgreSQL, which can be cut.
struct Road {
    address: SocketAddr,
    server: String,
    open: JoinSet<()>,
    /// Bytes that went to the server.
    asked: Arc<AtomicUsize>,
}

impl Road {
    /// Puts one between the API and the database of a place.
    async fn to(place: &mut Place) -> Self {
        let mut url = Url::parse(&place.settings.database_url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let mut road = Self {
            address: "127.0.0.1:0".parse().unwrap(),
            server,
            open: JoinSet::new(),
            asked: Arc::default(),
        };
        road.mend().await;
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(road.address.port())).unwrap();
        place.settings.database_url = url.into();
        road
    }

    async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (server, asked) = (self.server.clone(), Arc::clone(&self.asked));
        self.open.spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let asked = Arc::clone(&asked);
                connections.spawn(async move {
                    let (mut answers, mut questions) = server.into_split();
                    let (mut from_client, mut to_client) = client.into_split();
                    let outward = async {
                        let mut piece = [0; 4096];
                        while let Ok(length @ 1..) = from_client.read(&mut piece).await {
                            asked.fetch_add(length, Ordering::SeqCst);
                            if questions.write_all(&piece[..length]).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        () = outward => {}
                        _ = tokio::io::copy(&mut answers, &mut to_client) => {}
                    }
                });
            }
        });
    }

    async fn cut(&mut self) {
        self.open.shutdown().await;
    }
}

impl Api {
    async fn status_of_list(&self) -> u16 {
        let response = self.request("GET", LIST).send().await.unwrap();
        response.status().as_u16()
    }
}

#[tokio::test]
async fn while_the_database_is_away_requests_are_told_to_come_back_and_then_go_on() {
    let mut place = Place::new().await.unwrap();
    let mut road = Road::to(&mut place).await;
    let api = Api::start_in(place, &[]).await;
    assert_eq!(api.status_of_list().await, 200);
    road.cut().await;
    // All that come at one moment, not only the one whose look-up notices.
    for refused in join_all((0..8).map(|_| api.request("GET", LIST).send())).await {
        let refused = refused.unwrap();
        assert!(refused.headers().contains_key("retry-after"));
        problem(refused, 503, "store_unavailable").await;
    }
    road.mend().await;
    assert_eq!(api.status_of_list().await, 200);
}

#[tokio::test]
async fn a_connection_that_keys_are_looked_up_over_may_die_and_no_request_notices() {
    let api = Api::start(&[]).await;
    for _ in 0..5 {
        assert_eq!(api.status("lectern-wrong", "GET", LIST).await, 401);
        // Those of the API: this one is not among them.
        let killed: Vec<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .fetch_all(api.pool())
        .await
        .unwrap();
        assert!(killed.contains(&true));
    }
    assert_eq!(api.status("lectern-wrong", "GET", LIST).await, 401);
}

#[tokio::test]
async fn health_is_found_out_once_a_second_however_many_strangers_ask() {
    let mut place = Place::new().await.unwrap();
    let road = Road::to(&mut place).await;
    let api = Api::start_in(place, &[]).await;
    let ask = async |path: &str| {
        let request = api.client.get(format!("http://{}{path}", api.address));
        let response = request.send().await.unwrap();
        assert!(matches!(response.status().as_u16(), 200 | 503));
    };
    let asked = || road.asked.load(Ordering::SeqCst);
    let paths = ["/api/v1/health", "/api/v1/health/ready"];
    // What one report takes at the least, once the connections are open.
    let mut reports = Vec::new();
    let began = Instant::now();
    while reports.len() < 3 {
        let before = asked();
        ask(paths[0]).await;
        reports.push(asked() - before);
        reports.retain(|bytes| *bytes > 0);
        assert!(began.elapsed().as_secs() < 60, "nothing is found out again");
    }
    let before = asked();
    for number in 0..600 {
        ask(paths[number % 2]).await;
    }
    join_all((0..200).map(|number| ask(paths[number % 2]))).await;
    // One a second are a small part of one each, however slow the machine is.
    let each = 800 * reports[1].min(reports[2]);
    assert!(
        (asked() - before) * 4 <= each,
        "{} of {each}, {reports:?}",
        asked() - before
    );
}
