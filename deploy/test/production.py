#!/usr/bin/env python3
"""Runs the production stack with Docker and uses it through nginx with TLS; production.sh starts this.

Checks: sizes of images, times from start to ready, what containers may do and which ports are open, limits that add up;
uploads and questions, four workers that share the work, one of them killed, nothing lost; memory idle and under load;
a new version that takes over under load without a lost request or a cut stream; a backup, its verification, a restore in the
place of what is there, and one after everything was destroyed. Ends with a table of the figures. Everything has a name of its own, and is removed at the end but with --keep.
"""

import concurrent.futures
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid
from datetime import datetime

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = "test"
NEXT = "test-next"
PROJECT = "lectern-test"
DOMAIN = "lectern.test"
DEADLINE_S = 300
MIB = 1 << 20
MB = 10**6

# Bytes of each image above its base, at the most.
SIZES_MAX = {"api": 25 * MB, "worker": 170 * MB, "web": 5 * MB}
# From the start of a container to the line of its log that says that it is ready.
READY_SECONDS_MAX = {"api": 1.0, "worker": 2.0}
LIMITS_MAX = 4096 * MIB
STAND_INS_LACK = {"grafana"}


def main():
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        server = Server(folder)
        if "--keep" not in sys.argv:
            stack.callback(server.compose, "down", "--volumes", "--timeout", "10")
        failed = []
        tests = (sizes, limits, start, containers, ports, ready_in_time, ask, idle, scale_and_kill, monitoring, back_up, deploy_beside,
                 restore_in_place, deploy_in_place, destroy_and_restore)  # fmt: skip
        for test in tests:
            begin = time.monotonic()
            try:
                test(server)
                print(f"ok      {test.__name__.replace('_', ' ')} ({time.monotonic() - begin:.1f} s)", flush=True)
            except Exception as error:
                failed.append(test.__name__)
                print(f"FAILED  {test.__name__.replace('_', ' ')}: {error!r}", flush=True)
                if test is start:
                    print(server.compose("logs", "--tail", "20"))
                    failed += tests[tests.index(test) + 1 :]
                    break
        server.report()
        print(f"{len(tests) - len(failed)} passed, {len(failed)} failed")
        sys.exit(1 if failed else 0)


def run(*command, check=True, stderr_too=False, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stdout[-500:]} {done.stderr[-2000:]}")
    return done.stdout + (done.stderr if stderr_too else "")


class Server:
    """The stack, its settings, and what was measured."""

    def __init__(self, folder):
        self.folder = folder
        self.figures = []
        self.memory = {}
        self.key = None
        self.https_port, self.http_port, self.prometheus_port = (free_port() for _ in range(3))
        files = os.sysconf("SC_OPEN_MAX")
        self.alerts, self.alerts_port = listen_to_alerts()
        self.settings = folder / "production.env"
        self.settings.write_text(
            f"LECTERN_DOMAIN={DOMAIN}\nPOSTGRES_PASSWORD={secrets.token_hex(16)}\nREDIS_PASSWORD={secrets.token_hex(16)}\n"
            f"GRAFANA_PASSWORD={secrets.token_hex(16)}\nLECTERN_VERSION={VERSION}\nLECTERN_TLS_FOLDER={folder}/tls\n"
            f"LECTERN_ACME_FOLDER={folder}/acme\nLECTERN_HTTP_PORT={self.http_port}\nLECTERN_HTTPS_PORT={self.https_port}\n"
            f"LECTERN_PROMETHEUS_PORT={self.prometheus_port}\nLECTERN_GRAFANA_PORT={free_port()}\n"
            # Another stack may run here, and not every machine lets a container have more than itself.
            f"LECTERN_SUBNET=172.31.208.0/24\nLECTERN_OPEN_FILES_MAX={min(files, 65536)}\n"
            f"LECTERN_BACKUP_KEY_FILE={folder}/backup.key\nLECTERN_BACKUP_FOLDER={folder}/backups\n"
            f"LECTERN_METRICS_FOLDER={folder}/metrics\nLECTERN_MAINTENANCE_SCHEDULE=* * * * *\n"
            # This machine, as containers see it.
            f"LECTERN_ALERT_WEBHOOK=http://172.31.208.1:{self.alerts_port}/\n"
            # All of the load comes from one address.
            "LECTERN_EDGE_REQUESTS_PER_SECOND=10000\nLECTERN_EDGE_BURST=10000\n"
        )
        (folder / "backup.key").write_text(secrets.token_hex(32))
        for name in ("backups", "metrics"):
            (folder / name).mkdir()
        # What Debian doesn't have is no part of the stack.
        lacking = STAND_INS_LACK if os.environ.get("LECTERN_TEST_STAND_INS") else set()
        (folder / "test.yml").write_text(json.dumps({"services": {name: {"profiles": ["never"]} for name in lacking}}))
        self.files = [ROOT / "deploy/compose.prod.yml", ROOT / "deploy/compose.backup.yml", folder / "test.yml"]
        self.version = VERSION
        (folder / "acme").mkdir()
        (folder / "tls").mkdir()
        self.certificate = folder / "tls/fullchain.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN},DNS:www.{DOMAIN}",
            "-keyout", folder / "tls/privkey.pem", "-out", self.certificate)  # fmt: skip
        (folder / "tls/privkey.pem").chmod(0o644)
        # Begun when there is something to look after.
        self.services = sorted(set(self.compose("config", "--services").split()) - {"backup"})

    def compose(self, *arguments, files=None):
        files = [part for file in files or self.files for part in ("--file", file)]
        return run("docker", "compose", "--project-name", PROJECT, "--env-file", self.settings, *files, *arguments,
                   env={**os.environ, "LECTERN_VERSION": self.version})  # fmt: skip

    def deploy(self, *arguments):
        return run(ROOT / "deploy/deploy.sh", *arguments, stderr_too=True, env={
            **os.environ,
            "LECTERN_ENV_FILE": str(self.settings),
            "LECTERN_COMPOSE_PROJECT": PROJECT,
            "LECTERN_COMPOSE_FILES": " ".join(map(str, self.files)),
            "LECTERN_DEPLOY_STATE": str(self.folder / "deploys"),
            "LECTERN_DEPLOY_FREE_MIB": "100",
            "LECTERN_DEPLOY_DRAIN_SECONDS": "120",
        })  # fmt: skip

    def exporter_is_connected(self):
        password = re.search(r"^POSTGRES_PASSWORD=(\w+)", self.settings.read_text(), re.M)[1]
        count = self.compose("exec", "-T", "-e", f"PGPASSWORD={password}", "postgres", "psql", "-h", "127.0.0.1", "-U", "lectern", "-Atc",
                             "select count(*) from pg_stat_activity where application_name = 'postgres_exporter'")  # fmt: skip
        return int(count) > 0

    def backup(self, *command):
        """A script of deploy in the service backup, and how many seconds it took. Its memory is noted meanwhile."""
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            work = pool.submit(self.compose, "run", "--rm", "-T", "--no-deps", "backup", *command)
            while not concurrent.futures.wait([work], timeout=0.2).done:
                labels = [f"label=com.docker.compose.{key}" for key in (f"project={PROJECT}", "service=backup", "oneoff=True")]
                running = run("docker", "ps", "--quiet", *(word for label in labels for word in ("--filter", label))).split()
                if running:
                    self.note_memory_of(running, "load", may_end=True)
            seconds = time.monotonic() - begin
            work.result()
        return seconds

    def containers(self, service):
        return self.compose("ps", "--quiet", service).split()

    def inspect(self, container):
        return json.loads(run("docker", "inspect", container))[0]

    def request(self, method, path, body=None, **headers):
        context = ssl.create_default_context(cafile=self.certificate)
        connection = http.client.HTTPSConnection(DOMAIN, timeout=60)
        connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", self.https_port), 60), server_hostname=DOMAIN)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Authorization": f"Bearer {self.key}", **headers})
            response = connection.getresponse()
            return response.status, response.read()

    def get(self, path):
        status, body = self.request("GET", path)
        assert status == 200, (path, status, body[:300])
        return json.loads(body)

    def upload(self, name, content, seconds=0):
        """Its id. With `seconds` it is sent in pieces that take as long."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        kind = f"multipart/form-data; boundary={boundary}"
        body = head + content + f"\r\n--{boundary}--\r\n".encode()
        length = {"Content-Length": str(len(body))}

        def slowly():
            piece = max(1, len(body) // 20)
            for begin in range(0, len(body), piece):
                time.sleep(seconds / 20)
                yield body[begin : begin + piece]

        for _ in range(5):
            sent = slowly() if seconds else body
            status, answer = self.request("POST", "/api/v1/documents", sent, **{"Content-Type": kind, **length})
            if status != 503:
                break
            time.sleep(2)  # too much to do: as it says, and as every client should do
        assert status in (200, 202), (name, status, answer[:300])
        return json.loads(answer)["id"]

    def prometheus(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.prometheus_port}/api/v1/{path}", timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expression):
        return self.prometheus("query?query=" + urllib.parse.quote(expression))["result"]

    def ask(self, question):
        """The answer's events to their end."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        status, body = self.request("POST", "/api/v1/questions", json.dumps({"question": question}), **headers)
        assert status == 200, (status, body[:300])
        return body.decode()

    def note_memory(self, when):
        """The most that a container of each service has been seen with, as the limit counts it without the file cache."""
        self.note_memory_of(self.compose("ps", "--quiet").split(), when)

    def note_memory_of(self, containers, when, may_end=False):
        shown = run("docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *containers, check=not may_end)
        for line in shown.splitlines():
            name, used, _, limit = line.split()
            if may_end and limit in ("--", "0B"):  # it has
                continue
            service = re.fullmatch(rf"{PROJECT}-(.+?)-(run-)?\w+", name).group(1)
            row = self.memory.setdefault(service, {"limit": mebibytes(limit)})
            row[when] = max(row.get(when, 0), mebibytes(used))

    def note(self, what, figure):
        self.figures.append((what, figure))

    def report(self):
        print("\n| What | Figure |\n|---|---|")
        for what, figure in self.figures:
            print(f"| {what} | {figure} |")
        print("\n| Service | Limit, MiB | Idle | Under load |\n|---|---|---|---|")
        for service, row in sorted(self.memory.items()):
            print(f"| `{service}` | {row['limit']:.0f} | {row.get('idle', 0):.0f} | {row.get('load', 0):.0f} |")
        print(flush=True)


def listen_to_alerts():
    """What Alertmanager tells, and the port that it tells it to."""
    told = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return told, server.server_port


def mebibytes(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * {"B": 1 / MIB, "KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait(is_there, what, deadline_s=DEADLINE_S):
    until = time.monotonic() + deadline_s
    while True:
        with contextlib.suppress(OSError, AssertionError, KeyError, ValueError):
            if is_there():
                return
        assert time.monotonic() < until, f"waited for {what} in vain"
        time.sleep(0.2)


# ---------------------------------------------------------------- before it runs


def sizes(server):
    """An image has the layers of its base first; what comes after them is ours."""
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    too_large = []
    bases = dict(re.findall(r"^ARG (DEBIAN|NGINX)=(\S+)", dockerfile, re.M))
    for name, bytes_max in SIZES_MAX.items():
        base = bases["NGINX" if name == "web" else "DEBIAN"]
        image, below = (json.loads(run("docker", "image", "inspect", of))[0] for of in (f"lectern-{name}:{VERSION}", base))
        layers = below["RootFS"]["Layers"]
        assert image["RootFS"]["Layers"][: len(layers)] == layers, f"lectern-{name} isn't made of {base}"
        above = image["Size"] - below["Size"]
        server.note(f"Image `lectern-{name}` above its base", f"{above / MB:.1f} MB")
        if above > bytes_max:
            too_large.append(f"lectern-{name}: {above / MB:.1f} MB, {bytes_max / MB:.0f} allowed")
    assert not too_large, too_large


def limits(server):
    # All of it, with what this machine can't have.
    services = json.loads(server.compose("config", "--format", "json", files=server.files[:2]))["services"]
    total = 0
    for name, service in services.items():
        assert service.get("mem_limit"), f"{name} has no limit"
        assert service["logging"]["options"]["max-size"], f"the log of {name} grows without end"
        assert service["restart"] == "unless-stopped", name
        total += int(service["mem_limit"]) * int(service.get("deploy", {}).get("replicas", 1))
    server.note("Memory limits of the whole stack", f"{total / MIB:.0f} MiB")
    assert total < LIMITS_MAX, f"{total / MIB:.0f} MiB"


# ---------------------------------------------------------------- it runs


def start(server):
    begin = time.monotonic()
    server.compose("up", "--detach", "--no-build", "--wait", *server.services)
    server.note("The whole stack, from nothing to healthy", f"{time.monotonic() - begin:.1f} s")
    server.key = re.search(r"keep it: (lectern_sk_\w+)", server.compose("logs", "api")).group(1)
    assert server.get("/api/v1/health")["workers"]["alive"] == 2


def containers(server):
    """What each program of Lectern may do inside of its container."""
    for service in ("api", "worker", "web"):
        state = server.inspect(server.containers(service)[0])
        host = state["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["Privileged"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert state["Config"]["User"].split(":")[0] not in ("", "0", "root"), service
        labels = state["Config"]["Labels"]
        assert labels["org.opencontainers.image.version"] == VERSION, labels
        process = pathlib.Path(f"/proc/{state['State']['Pid']}/status")
        if process.exists():  # the engine may be on another machine
            status = process.read_text()
            assert re.search(r"^CapEff:\s+0+$", status, re.M) and not re.search(r"^Uid:\s+0\s", status, re.M), status
    logs = server.compose("logs", "worker")
    assert '"seccomp":true' in logs, "parsers aren't locked in"


def ports(server):
    for container in server.compose("ps", "--quiet").split():
        for port, bindings in server.inspect(container)["NetworkSettings"]["Ports"].items():
            for binding in bindings or []:
                assert binding["HostIp"] == "127.0.0.1", (port, binding)


def ready_in_time(server):
    """From the start of the container to the line that says so, with a database that is up; the best of three."""
    for service, line in (("api", "listening"), ("worker", "ready")):
        container = server.containers(service)[0]
        times = []
        for _ in range(3):
            run("docker", "restart", "--time", "20", container)
            started = timestamp(server.inspect(container)["State"]["StartedAt"])

            def told():
                since = server.inspect(container)["State"]["StartedAt"]
                logs = subprocess.run(["docker", "logs", "--since", since, container], capture_output=True, text=True)
                found = [json.loads(each) for each in (logs.stdout + logs.stderr).splitlines() if each.startswith("{")]
                found = [each for each in found if each.get("message") == line]
                return found and timestamp(found[-1]["timestamp"])

            wait(told, f"{service} to be ready", 60)
            times.append(told() - started)
        best = min(times)
        server.note(f"`{service}` from start to ready", ", ".join(f"{each:.2f} s" for each in sorted(times)))
        assert best <= READY_SECONDS_MAX[service], f"{service}: {times}"
    server.compose("up", "--detach", "--no-build", "--wait", *server.services)


def timestamp(text):
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")).timestamp()


def ask(server):
    document = server.upload("handbook.pdf", (ROOT / "worker/tests/files/handbook.pdf").read_bytes())
    wait(lambda: server.get(f"/api/v1/documents/{document}")["state"] == "ready", "the document")
    answer = server.ask("How much is the daily allowance abroad?")
    assert "event: token" in answer and "event: done" in answer and '"cited":[1]' in answer, answer[-500:]
    status, page = server.request("GET", "/")
    assert status == 200 and b"<title>" in page


def idle(server):
    time.sleep(10)
    for _ in range(3):
        server.note_memory("idle")


def scale_and_kill(server):
    """Four workers share what is there; one is killed in the middle of it, and nothing is lost."""
    server.compose("up", "--detach", "--no-build", "--no-recreate", "--wait", "--scale", "worker=4", *server.services)
    wait(lambda: server.get("/api/v1/health")["workers"]["alive"] == 4, "four workers")
    texts = [text_of(number) for number in range(48)]
    begin = time.monotonic()
    watched = threading.Event()
    watcher = threading.Thread(target=watch, args=(server, watched))
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            documents = list(pool.map(lambda text: server.upload(*text), texts))
        workers = server.containers("worker")
        wait(lambda: sum(states(server).values()) == len(texts) + 1 and states(server).get("ready", 0) >= 8, "the first documents")
        run("docker", "kill", "--signal", "KILL", workers[0])
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda number: server.ask(f"Which code has the valve of station {number}?"), range(24)))
        wait(lambda: states(server) == {"ready": len(texts) + 1}, "all documents")
    finally:
        watched.set()
        watcher.join()
    lost = [answer for answer in answers if "event: done" not in answer]
    assert not lost, lost[0][-500:]
    server.note("48 documents of 30 passages with 4 workers, one of them killed, 24 questions meanwhile", f"{time.monotonic() - begin:.0f} s, nothing lost")
    shares = {container[:12]: jobs_done(container) for container in workers}
    server.note("Jobs that each of these workers had ended at last", ", ".join(str(share) for share in shares.values()))
    idle_ones = [name for name, share in list(shares.items())[1:] if share == 0]
    assert not idle_ones, f"workers without work: {shares}"
    assert documents


def watch(server, ended):
    while not ended.wait(1):
        server.note_memory("load")


def states(server):
    found, cursor = {}, ""
    while cursor is not None:
        page = server.get(f"/api/v1/documents?limit=200{cursor and '&cursor=' + urllib.parse.quote(cursor)}")
        for document in page["documents"]:
            found[document["state"]] = found.get(document["state"], 0) + 1
        cursor = page["next"]
    return found


def jobs_done(container):
    """What the worker's log says: one line for each job."""
    logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
    return sum('"job.id"' in line and '"INFO"' in line for line in (logs.stdout + logs.stderr).splitlines())


def text_of(number):
    words = "pump valve pressure station inspection seal turbine flange bearing filter".split()
    paragraphs = []
    for part in range(30):
        turned = " ".join(words[(number + part + index) % len(words)] for index in range(60))
        paragraphs.append(f"Station {number}, part {part}: the valve has the code V-{number:03}-{part:02}. {turned}.")
    return f"station-{number}.txt", "\n\n".join(paragraphs).encode()


def monitoring(server):
    """Everything that Prometheus should scrape answers it, and the rules are ones that it understands."""

    def all_up():
        up = server.query("count by (job) (up == 1)")
        return {each["metric"]["job"] for each in up} >= {"lectern-api", "lectern-worker", "postgres", "redis", "node", "prometheus"}

    wait(all_up, "all targets of Prometheus", 90)
    bad = [rule for group in server.prometheus("rules")["groups"] for rule in group["rules"] if rule["health"] == "err"]
    assert not bad, bad
    wait(lambda: server.prometheus("alertmanagers")["activeAlertmanagers"], "Prometheus to find Alertmanager", 60)
    server.compose("exec", "-T", "alertmanager", "amtool", "--alertmanager.url=http://127.0.0.1:9093", "alert", "add", "Trial", "severity=critical")
    wait(lambda: any("Trial" in json.dumps(each) for each in server.alerts), "somebody to be told of an alert", 60)


def back_up(server):
    """By the service backup: a backup, one more, and what Prometheus and its alerts see of them."""
    server.backup("backup.sh", "init")
    first = server.backup("backup.sh")
    second = server.backup("backup.sh")
    verified = server.backup("verify-backup.sh")
    maintained = server.backup("maintenance.sh")
    size = sum(file.stat().st_size for file in (server.folder / "backups").rglob("*") if file.is_file())
    server.note("Backup of 49 documents by the service backup, and another one with nothing new", f"{first:.1f} s, {second:.1f} s, repository {size / MB:.1f} MB")
    server.note("Verification: restored, compared, searched", f"{verified:.1f} s")
    server.note("Maintenance: disks, certificate, tables, doctor, list of backups", f"{maintained:.1f} s")
    server.compose("up", "--detach", "--no-deps", "--no-build", "backup")
    wanted = {"lectern_backup_last_success_timestamp_seconds", "lectern_backup_verified_timestamp_seconds", "lectern_certificate_end_timestamp_seconds",
              "lectern_maintenance_failed_steps", "lectern_index_valid", "lectern_doctor_findings"}  # fmt: skip
    wait(lambda: wanted <= {each["metric"]["__name__"] for each in server.query('{__name__=~"lectern_(backup|certificate|maintenance|index|doctor)_.*"}')},
         "Prometheus to see what the scripts have measured", 60)  # fmt: skip
    failed_steps = server.query("max(lectern_maintenance_failed_steps)")[0]["value"][1]
    assert failed_steps == "0", failed_steps
    assert not server.query("node_textfile_scrape_error > 0")
    by_hand = server.query("max(lectern_maintenance_last_run_timestamp_seconds)")[0]["value"][1]
    wait(lambda: server.query("max(lectern_maintenance_last_run_timestamp_seconds)")[0]["value"][1] > by_hand, "maintenance by the clock", 120)


def deploy_beside(server):
    """Another version takes over, backup first, while people do whatever takes long: no request fails, no stream is cut."""
    ended = threading.Event()
    web = server.containers("web")
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        people = {
            "searches": [pool.submit(until, server, ended, search)],
            "pages": [pool.submit(until, server, ended, read_page)],
            "answers, streamed": [pool.submit(until, server, ended, stream_answer) for _ in range(2)],
            "answers as JSON": [pool.submit(until, server, ended, whole_answer)],
            "slow uploads": [pool.submit(until, server, ended, slow_upload) for _ in range(2)],
            "documents followed from upload to ready": [pool.submit(until, server, ended, follow)],
        }
        try:
            said = server.deploy("full", "--version", NEXT, "--blue-green")
        finally:
            took = time.monotonic() - begin
            ended.set()
        counts, failed = [], []
        for kind, tasks in people.items():
            results = [task.result() for task in tasks]
            counts.append(f"{sum(count for count, _ in results)} {kind}")
            failed += [(kind, each) for _, found in results for each in found]
    server.version = NEXT
    server.note("`deploy.sh full --blue-green` under load, backup and drain included", f"{took:.0f} s: {', '.join(counts)}; {len(failed)} lost or cut")
    assert not failed, failed[:3]
    assert server.containers("web") == web, "nginx was replaced"
    images = {server.inspect(container)["Config"]["Image"] for service in ("api", "worker", "backup") for container in server.containers(service)}
    assert images <= {f"lectern-api:{NEXT}", f"lectern-worker:{NEXT}", f"lectern-backup:{VERSION}"}, images
    # One had been killed before, and its container had stayed.
    assert len(server.containers("worker")) == 3, said
    version = server.compose("exec", "-T", "web", "wget", "-q", "-O", "-", "http://127.0.0.1:8081/version")
    assert version == NEXT, version
    run("docker", "restart", "--time", "30", web[0])
    wait(lambda: server.compose("exec", "-T", "web", "wget", "-q", "-O", "-", "http://127.0.0.1:8081/version") == NEXT, "the new page after a restart", 30)
    wait(lambda: server.get("/api/v1/health"), "nginx", 30)


def deploy_in_place(server):
    """How long readers see the page of maintenance when a release replaces another one."""
    ended = threading.Event()
    answers = []

    def look():
        while not ended.is_set():
            at = time.monotonic()
            try:
                answers.append((at, server.request("GET", "/api/v1/documents?limit=1")[0]))
            except OSError:
                answers.append((at, "refused"))
            time.sleep(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        begin = time.monotonic()
        server.deploy("backend", "--version", VERSION, "--skip-backup")
        took = time.monotonic() - begin
    finally:
        ended.set()
        watcher.join()
    server.version = VERSION
    away = [at for at, status in answers if status != 200]
    assert {status for _, status in answers} <= {200, 503}, {status for _, status in answers}
    server.note("`deploy.sh backend` in place: all of it, and the page of maintenance", f"{took:.1f} s, {max(away) - min(away) if away else 0:.1f} s")


def restore_in_place(server):
    """What is there is replaced by the last backup while monitoring goes on, and a document that came after it is gone."""
    server.backup("backup.sh")
    before = states(server)
    late = server.upload("late.txt", b"This document came after the backup. " * 20)
    wait(lambda: server.get(f"/api/v1/documents/{late}")["state"] == "ready", "the late document")
    server.compose("stop", "api", "worker")
    wait(server.exporter_is_connected, "the exporter to be connected", 60)
    took = server.backup("restore.sh", "--replace")
    server.compose("up", "--detach", "--no-build", "--no-recreate", "--wait", "api", "worker")
    wait(lambda: states(server) == before, "the documents of the backup")
    server.note("Restore in the place of what is there, monitoring at work", f"{took:.1f} s")
    wait(lambda: server.query("pg_up")[0]["value"][1] == "1", "the exporter to come back", 60)


def destroy_and_restore(server):
    """All containers and volumes go; what is left are the settings, the key and the repository of the backups."""
    before = states(server)
    server.backup("backup.sh")
    server.compose("down", "--volumes", "--timeout", "10")
    begin = time.monotonic()
    server.compose("up", "--detach", "--no-build", "--wait", "postgres", "redis")
    took = server.backup("restore.sh")
    server.compose("up", "--detach", "--no-build", "--wait", *server.services)
    # The key is one of the restored database's.
    wait(lambda: states(server) == before, "the documents of the backup")
    answer = server.ask("How much is the daily allowance abroad?")
    assert "event: done" in answer and '"cited":[1]' in answer, answer[-500:]
    file = server.get("/api/v1/documents?limit=1")["documents"][0]["id"]
    assert server.request("GET", f"/api/v1/documents/{file}/file")[0] == 200
    server.note("From nothing but the repository to the first answer, restore and start of the stack", f"{time.monotonic() - begin:.1f} s, of that restore.sh {took:.1f} s")
    findings = server.compose("run", "--rm", "-T", "--no-deps", "worker", "doctor")
    assert "nothing found" in findings, findings


def until(server, ended, act):
    """How often it was done, and what went wrong."""
    count, failed = 0, []
    while not ended.is_set():
        try:
            problem = act(server, count)
        except (OSError, http.client.HTTPException, AssertionError) as error:
            problem = repr(error)
        if problem:
            failed.append(problem)
        count += 1
        time.sleep(0.05)
    return count, failed


def search(server, number):
    body = json.dumps({"question": f"code of the valve of station {number % 48}", "passages": 1})
    status, answer = server.request("POST", "/api/v1/search", body, **{"Content-Type": "application/json"})
    return status != 200 and (status, answer[:200])


def read_page(server, number):
    status, page = server.request("GET", "/reference" if number % 2 else "/")
    return (status != 200 or b"<title>" not in page) and (status, page[:200])


def stream_answer(server, number):
    answer = server.ask(f"Which code has the valve of station {number % 48}, part {number % 30}?")
    return "event: done" not in answer and answer[-300:]


def whole_answer(server, number):
    question = {"role": "user", "content": f"Which code has the valve of station {number % 48}, part {number % 30}?"}
    body = json.dumps({"model": "lectern", "messages": [question]})
    status, answer = server.request("POST", "/v1/chat/completions", body, **{"Content-Type": "application/json"})
    return (status != 200 or b'"stop"' not in answer) and (status, answer[:200])


def slow_upload(server, number):
    """Longer than an API that ends waits for its requests."""
    server.upload(f"slow-{uuid.uuid4().hex}.txt", f"Slow {uuid.uuid4().hex}. {'turbine flange ' * 300}".encode(), seconds=25)


def follow(server, number):
    name, text = text_of(1000 + number)
    document = server.upload(f"{uuid.uuid4().hex}-{name}", text + uuid.uuid4().hex.encode())
    status, events = server.request("GET", f"/api/v1/documents/{document}/events", None, Accept="text/event-stream")
    return (status != 200 or b"event: done" not in events) and (status, events[-300:])


if __name__ == "__main__":
    main()
